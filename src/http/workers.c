/* http/workers.c: one queue, one lock, plain blocking threads. A job is handed to the thread that became idle last (its
 * memory is the warmest), and queued when none is idle: so a thread that wakes has its job, and needs no lock. They run
 * at a lower priority than the event loops and in longer slices, so that a loop with an answer to give needn't wait for
 * signatures to end. */
#include "http/workers.h"
#include "jose/jws.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORKER_NICE = 10, SLICE_NS = 20000000, STACK_BYTES = 512 * 1024, JOBS_A_YIELD = 2 };

struct worker {
    struct workers *workers;
    pthread_t thread;
    struct worker *next; /* among the idle ones */
    struct job *job;     /* what it was handed when it was woken; NULL: it is to end */
    sem_t woken;
};

struct workers {
    pthread_mutex_t lock;
    struct worker *idle; /* while there are any, the queue is empty */
    struct job *first, **last;
    size_t count, max;
    atomic_size_t *waiting;
    bool stopping;
    size_t started;
    struct worker all[];
};

/* With the lock. */
static struct job *take_queued(struct workers *workers)
{
    struct job *job = workers->first;
    if (job) {
        workers->first = job->next;
        if (!workers->first)
            workers->last = &workers->first;
        atomic_store_explicit(workers->waiting, --workers->count, memory_order_relaxed);
    }
    return job;
}

/* The next job; NULL at the end. */
static struct job *take(struct worker *self)
{
    struct workers *workers = self->workers;
    pthread_mutex_lock(&workers->lock);
    struct job *job = take_queued(workers);
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
static void give_way(void)
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

static void *work(void *arg)
{
    struct worker *self = arg;
    pthread_setname_np(pthread_self(), "worker");
    give_way();
    unsigned done = 0;
    for (struct job *job; (job = take(self));) {
        job->run(job);
        if (++done % JOBS_A_YIELD == 0) /* a kernel that preempts at ticks alone lets a loop wait for many signatures */
            sched_yield();
    }
    jws_thread_end();
    return NULL;
}

static bool start(struct workers *workers, const pthread_attr_t *attributes)
{
    struct worker *worker = &workers->all[workers->started];
    *worker = (struct worker){ .workers = workers };
    sem_init(&worker->woken, 0, 0);
    if (pthread_create(&worker->thread, attributes, work, worker) == 0)
        return true;
    sem_destroy(&worker->woken);
    return false;
}

struct err workers_open(size_t threads, size_t queue_max, atomic_size_t *waiting, struct workers **out)
{
    struct workers *workers = mem_alloc(sizeof *workers + threads * sizeof *workers->all);
    *workers = (struct workers){ .max = queue_max, .waiting = waiting };
    workers->last = &workers->first;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    while (workers->started < threads && start(workers, &attributes))
        workers->started++;
    pthread_attr_destroy(&attributes);
    if (workers->started < threads) {
        workers_close(workers);
        return failed(ERR_INTERNAL, "the worker threads could not be started");
    }
    *out = workers;
    return OK;
}

bool workers_submit(struct workers *workers, struct job *job)
{
    job->next = NULL;
    pthread_mutex_lock(&workers->lock);
    struct worker *worker = workers->idle;
    const bool queues = !worker && workers->count < workers->max && !workers->stopping;
    if (worker) {
        workers->idle = worker->next;
    } else if (queues) {
        *workers->last = job;
        workers->last = &job->next;
        atomic_store_explicit(workers->waiting, ++workers->count, memory_order_relaxed);
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
