/* http/workers.c: two queues, one lock, plain blocking threads. A job is handed to the thread that became idle last
 * (its memory is the warmest), and queued when none is idle: so a thread that wakes has its job, and needs no lock.
 *
 * Jobs of unknown callers ask the store, which may be slow: at most half of the threads run them, and while both queues
 * hold jobs, every fourth job taken is one of theirs. */
#include "http/workers.h"
#include "base/clock.h"
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

enum {
    STACK_BYTES = 512 * 1024,
    STRANGERS_QUEUE = 2, /* their queue: one in so many of the other; after a start everybody is one of them */
    STRANGERS_TURN = 4,  /* and of the turns */
};

struct worker {
    struct workers *workers;
    pthread_t thread;
    struct worker *next; /* among the idle ones */
    struct job *job;     /* what it was handed when it was woken; NULL: it is to end */
    sem_t woken;
};

struct workers {
    pthread_mutex_t lock;
    struct worker *idle; /* while there are any, no job is queued that may be taken */
    struct queue known, strangers;
    size_t at_strangers, at_strangers_max; /* threads */
    unsigned turns;
    bool stopping;
    size_t started;
    struct worker all[];
};

/* With the lock, as all that follow. */
static bool workers_may_take_stranger(const struct workers *workers)
{
    return workers->at_strangers < workers->at_strangers_max;
}

static struct job *workers_take_queued(struct workers *workers)
{
    struct queue *queue = &workers->known;
    if (workers->strangers.first && workers_may_take_stranger(workers) &&
        (!queue->first || ++workers->turns % STRANGERS_TURN == 0))
        queue = &workers->strangers;
    struct job *job = queue_take(queue, clock_ns());
    if (job && job->is_stranger)
        workers->at_strangers++;
    return job;
}

/* The next job, when the last one, a stranger's or not, has ended; NULL at the end. */
static struct job *workers_take(struct worker *self, bool was_stranger)
{
    struct workers *workers = self->workers;
    pthread_mutex_lock(&workers->lock);
    if (was_stranger)
        workers->at_strangers--;
    struct job *job = workers_take_queued(workers);
    const bool waits = !job && !workers->stopping;
    if (waits) {
        self->next = workers->idle;
        workers->idle = self;
    }
    pthread_mutex_unlock(&workers->lock);
    if (!waits)
        return job;
    while (sem_wait(&self->woken) != 0)
        continue; /* EINTR */
    return self->job;
}

static void *workers_work(void *arg)
{
    struct worker *self = arg;
    pthread_setname_np(pthread_self(), "worker");
    bool is_stranger = false;
    for (struct job *job; (job = workers_take(self, is_stranger));) {
        is_stranger = job->is_stranger; /* run() gives it away */
        job->run(job);
    }
    return NULL;
}

static bool workers_start(struct workers *workers, const pthread_attr_t *attributes)
{
    struct worker *worker = &workers->all[workers->started];
    *worker = (struct worker){ .workers = workers };
    sem_init(&worker->woken, 0, 0);
    if (pthread_create(&worker->thread, attributes, workers_work, worker) == 0)
        return true;
    sem_destroy(&worker->woken);
    return false;
}

struct err workers_open(size_t threads, size_t queue_max, int64_t wait_max_ns, atomic_size_t *waiting,
                        struct workers **out)
{
    struct workers *workers = mem_alloc(sizeof *workers + threads * sizeof *workers->all);
    *workers = (struct workers){ .at_strangers_max = (threads + 1) / 2 };
    queue_init(&workers->known, queue_max, wait_max_ns, waiting);
    queue_init(&workers->strangers, (queue_max + STRANGERS_QUEUE - 1) / STRANGERS_QUEUE, wait_max_ns, waiting);
    pthread_mutex_init(&workers->lock, NULL);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    while (workers->started < threads && workers_start(workers, &attributes))
        workers->started++;
    pthread_attr_destroy(&attributes);
    if (workers->started < threads) {
        workers_close(workers);
        return failed(ERR_INTERNAL, "the worker threads could not be started");
    }
    *out = workers;
    return OK;
}

/* With the lock. */
static enum queue_verdict workers_queue(struct workers *workers, struct job *job)
{
    return workers->stopping ? QUEUE_FULL
                             : queue_put(job->is_stranger ? &workers->strangers : &workers->known, job, clock_ns());
}

enum queue_verdict workers_submit(struct workers *workers, struct job *job, bool is_stranger)
{
    enum queue_verdict verdict = QUEUE_TAKEN;
    job->is_stranger = is_stranger;
    job->is_late = false;
    pthread_mutex_lock(&workers->lock);
    struct worker *worker = is_stranger && !workers_may_take_stranger(workers) ? NULL : workers->idle;
    if (worker) {
        workers->idle = worker->next;
        workers->at_strangers += is_stranger;
    } else {
        verdict = workers_queue(workers, job);
    }
    pthread_mutex_unlock(&workers->lock);
    if (worker) {
        worker->job = job;
        sem_post(&worker->woken);
    }
    return verdict;
}

void workers_close(struct workers *workers)
{
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    struct worker *idle = workers->idle;
    workers->stopping = true;
    workers->idle = NULL;
    pthread_mutex_unlock(&workers->lock);
    while (idle) {
        struct worker *worker = idle;
        idle = worker->next;
        worker->job = NULL;
        sem_post(&worker->woken);
    }
    for (size_t i = 0; i < workers->started; i++) {
        pthread_join(workers->all[i].thread, NULL);
        sem_destroy(&workers->all[i].woken);
    }
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}
