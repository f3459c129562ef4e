/* http/workers.c: one queue, one lock, plain blocking threads. They run at a lower priority than the event loops and in
 * longer slices, so that a loop with an answer to give needn't wait for signatures to end. */
#include "http/workers.h"
#include "jose/jws.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORKER_NICE = 10, SLICE_NS = 20000000, STACK_BYTES = 512 * 1024, JOBS_A_YIELD = 2 };

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct job *first, **last;
    size_t count, max;
    atomic_size_t *waiting;
    bool stopping;
    size_t started;
    pthread_t threads[];
};

static struct job *take(struct workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    while (!workers->first && !workers->stopping)
        pthread_cond_wait(&workers->more, &workers->lock);
    struct job *job = workers->first;
    if (job) {
        workers->first = job->next;
        if (!workers->first)
            workers->last = &workers->first;
        atomic_store_explicit(workers->waiting, --workers->count, memory_order_relaxed);
    }
    pthread_mutex_unlock(&workers->lock);
    return job;
}

/* A kernel that knows slices (Linux 6.12 and later) lets a thread that wakes with a shorter one run at once. True when
 * it does; an older kernel ignores the slice. */
static bool give_way(void)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t slice_ns, deadline, period;
    } attributes = { .size = 48, .policy = SCHED_OTHER, .nice = WORKER_NICE, .slice_ns = SLICE_NS };
    if (syscall(SYS_sched_setattr, 0, &attributes, 0) != 0) /* refused in some sandboxes: things only get slower */
        return false;
    return syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) == 0 && attributes.slice_ns == SLICE_NS;
}

static void *work(void *arg)
{
    struct workers *workers = arg;
    pthread_setname_np(pthread_self(), "worker");
    bool gives_way = give_way();
    unsigned done = 0;
    for (struct job *job; (job = take(workers));) {
        job->run(job);
        if (!gives_way && ++done % JOBS_A_YIELD == 0) /* else a loop could wait for many signatures */
            sched_yield();
    }
    jws_thread_end();
    return NULL;
}

struct err workers_open(size_t threads, size_t queue_max, atomic_size_t *waiting, struct workers **out)
{
    struct workers *workers = mem_alloc(sizeof *workers + threads * sizeof *workers->threads);
    *workers = (struct workers){ .max = queue_max, .waiting = waiting };
    workers->last = &workers->first;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->more, NULL);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    while (workers->started < threads &&
           pthread_create(&workers->threads[workers->started], &attributes, work, workers) == 0)
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
    bool room = workers->count < workers->max && !workers->stopping;
    if (room) {
        *workers->last = job;
        workers->last = &job->next;
        atomic_store_explicit(workers->waiting, ++workers->count, memory_order_relaxed);
        pthread_cond_signal(&workers->more);
    }
    pthread_mutex_unlock(&workers->lock);
    return room;
}

void workers_close(struct workers *workers)
{
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->more);
    pthread_mutex_unlock(&workers->lock);
    for (size_t i = 0; i < workers->started; i++)
        pthread_join(workers->threads[i], NULL);
    pthread_cond_destroy(&workers->more);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}
