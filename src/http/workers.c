/* http/workers.c: two queues, one lock, plain blocking threads. A job is handed to the thread that became idle last
 * (its memory is the warmest), and queued when none is idle: so a thread that wakes has its job, and needs no lock.
 * They run at a lower priority than the event loops and in longer slices, and yield after every second job, so that a
 * loop with a response to send need not wait for signatures to end. Slices, yields and the loop's sleep (loop_gather)
 * stand in for one another: without one of them nothing changes, and without all three the p99 of introspection beside
 * saturated issuing was 4.0 and 4.3 ms instead of 1.0 (./dev bench --only latency), while some 580 tokens a second were
 * issued instead of 350, and issuing by itself was as fast (--only issuing).
 *
 * Jobs of unknown callers ask the store, which may be slow: at most half of the threads run them, and while both queues
 * hold jobs, every fourth job taken is one of theirs. */
#include "http/workers.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    WORKER_NICE = 10,
    SLICE_NS = 20000000,
    STACK_BYTES = 512 * 1024,
    JOBS_A_YIELD = 2,
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

struct queue {
    struct job *first, **last;
    size_t count, max;
};

struct workers {
    pthread_mutex_t lock;
    struct worker *idle; /* while there are any, no job is queued that may be taken */
    struct queue known, strangers;
    size_t at_strangers, at_strangers_max; /* threads */
    unsigned turns;
    atomic_size_t *waiting; /* in both queues */
    bool stopping;
    size_t started;
    struct worker all[];
};

static void workers_queue_init(struct queue *queue, size_t max)
{
    *queue = (struct queue){ .last = &queue->first, .max = max };
}

/* With the lock, as all that follow. */
static void workers_tell_waiting(struct workers *workers)
{
    atomic_store_explicit(workers->waiting, workers->known.count + workers->strangers.count, memory_order_relaxed);
}

static bool workers_put_queued(struct workers *workers, struct job *job)
{
    struct queue *queue = job->is_stranger ? &workers->strangers : &workers->known;
    if (queue->count >= queue->max)
        return false;
    *queue->last = job;
    queue->last = &job->next;
    queue->count++;
    workers_tell_waiting(workers);
    return true;
}

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
    struct job *job = queue->first;
    if (!job)
        return NULL;
    queue->first = job->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->count--;
    workers_tell_waiting(workers);
    if (job->is_stranger)
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

/* Long slices: a kernel that knows them (Linux 6.12 and later) prefers a thread that wakes with a shorter one, and an
 * older one ignores them. Refused in some sandboxes: then things only get slower. */
static void workers_lower_priority(void)
{
    const struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t slice_ns, deadline, period;
    } attributes = { .size = 48, .policy = SCHED_OTHER, .nice = WORKER_NICE, .slice_ns = SLICE_NS };
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

static void *workers_work(void *arg)
{
    struct worker *self = arg;
    pthread_setname_np(pthread_self(), "worker");
    workers_lower_priority();
    unsigned done = 0;
    bool is_stranger = false;
    for (struct job *job; (job = workers_take(self, is_stranger));) {
        is_stranger = job->is_stranger; /* run() gives it away */
        job->run(job);
        if (++done % JOBS_A_YIELD == 0) /* a kernel that preempts only at ticks lets a loop wait for many signatures */
            sched_yield();
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

struct err workers_open(size_t threads, size_t queue_max, atomic_size_t *waiting, struct workers **out)
{
    struct workers *workers = mem_alloc(sizeof *workers + threads * sizeof *workers->all);
    *workers = (struct workers){ .waiting = waiting, .at_strangers_max = (threads + 1) / 2 };
    workers_queue_init(&workers->known, queue_max);
    workers_queue_init(&workers->strangers, (queue_max + STRANGERS_QUEUE - 1) / STRANGERS_QUEUE);
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

bool workers_submit(struct workers *workers, struct job *job, bool is_stranger)
{
    job->next = NULL;
    job->is_stranger = is_stranger;
    pthread_mutex_lock(&workers->lock);
    struct worker *worker = is_stranger && !workers_may_take_stranger(workers) ? NULL : workers->idle;
    const bool queues = !worker && !workers->stopping && workers_put_queued(workers, job);
    if (worker) {
        workers->idle = worker->next;
        workers->at_strangers += is_stranger;
    }
    pthread_mutex_unlock(&workers->lock);
    if (worker) {
        worker->job = job;
        sem_post(&worker->woken);
    }
    return worker || queues;
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
