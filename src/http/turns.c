/* http/turns.c: a queue and its lock. */
#include "http/turns.h"
#include "base/clock.h"
#include <pthread.h>
#include <stdlib.h>

struct turns {
    pthread_mutex_t lock;
    struct queue queue;
    atomic_size_t count; /* of the queue; read without the lock */
};

struct turns *turns_new(size_t queue_max, int64_t wait_max_ns, atomic_size_t *waiting)
{
    struct turns *turns = mem_alloc(sizeof *turns);
    *turns = (struct turns){ .count = 0 };
    queue_init(&turns->queue, queue_max, wait_max_ns, waiting);
    pthread_mutex_init(&turns->lock, NULL);
    return turns;
}

void turns_free(struct turns *turns)
{
    if (!turns)
        return;
    pthread_mutex_destroy(&turns->lock);
    free(turns);
}

enum queue_verdict turns_submit(struct turns *turns, struct job *job)
{
    pthread_mutex_lock(&turns->lock);
    const enum queue_verdict verdict = queue_put(&turns->queue, job, clock_ns());
    atomic_store(&turns->count, turns->queue.count);
    pthread_mutex_unlock(&turns->lock);
    return verdict;
}

struct job *turns_take(struct turns *turns, int64_t now_ns)
{
    if (turns_count(turns) == 0)
        return NULL;
    pthread_mutex_lock(&turns->lock);
    struct job *job = queue_take(&turns->queue, now_ns);
    atomic_store(&turns->count, turns->queue.count);
    pthread_mutex_unlock(&turns->lock);
    return job;
}

size_t turns_count(struct turns *turns)
{
    return atomic_load(&turns->count);
}
