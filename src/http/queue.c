/* http/queue.c: a list, and the average time between two that leave it. */
#include "http/queue.h"
#include "observe/metrics.h"

enum {
    AVERAGE_PART = 32,              /* of the moving average: what the newest weighs */
    OUTLIER = 4,                    /* times the average, at most */
    FORGET_NS = 1000 * 1000 * 1000, /* what is older says nothing about now */
};

void queue_init(struct queue *queue, size_t max, int64_t wait_max_ns, atomic_size_t *waiting)
{
    *queue = (struct queue){ .last = &queue->first, .max = max, .wait_max_ns = wait_max_ns, .waiting = waiting };
}

/* Half of the bound is for the wait that is foreseen. */
static int64_t queue_foreseen_ns(const struct queue *queue)
{
    return queue->wait_max_ns / 2;
}

enum queue_verdict queue_put(struct queue *queue, struct job *job, int64_t now_ns)
{
    if (queue->count >= queue->max)
        return QUEUE_FULL;
    if (now_ns - queue->measured_ns > FORGET_NS)
        queue->measured = 0;
    if (queue->count >= QUEUE_LEAST && queue->measured >= QUEUE_LEAST &&
        (int64_t)queue->count * queue->each_ns > queue_foreseen_ns(queue))
        return QUEUE_SLOW;
    job->next = NULL;
    job->queued_ns = now_ns;
    job->is_late = false;
    *queue->last = job;
    queue->last = &job->next;
    queue->count++;
    atomic_fetch_add_explicit(queue->waiting, 1, memory_order_relaxed);
    return QUEUE_TAKEN;
}

/* Only while others wait: else the time between two is that between two requests. A stall is no new speed, and what is
 * seen first refuses nobody by itself while there is no crowd. */
static void queue_measure(struct queue *queue, int64_t now_ns)
{
    if (queue->left_behind_ns) {
        const int64_t took_ns = now_ns - queue->left_behind_ns;
        const int64_t most_ns = queue->measured > 0 ? (queue->each_ns + 1000) * OUTLIER
                                                    : queue_foreseen_ns(queue) / QUEUE_LEAST;
        queue->each_ns += ((took_ns < most_ns ? took_ns : most_ns) - queue->each_ns) /
                          (queue->measured > 0 ? AVERAGE_PART : 1);
        queue->measured += queue->measured < QUEUE_LEAST;
        queue->measured_ns = now_ns;
    }
    queue->left_behind_ns = queue->count > 0 ? now_ns : 0;
}

struct job *queue_take(struct queue *queue, int64_t now_ns)
{
    struct job *job = queue->first;
    if (!job)
        return NULL;
    queue->first = job->next;
    if (!queue->first)
        queue->last = &queue->first;
    queue->count--;
    atomic_fetch_sub_explicit(queue->waiting, 1, memory_order_relaxed);
    const int64_t waited_ns = now_ns - job->queued_ns;
    metrics_queue_waited(waited_ns);
    job->is_late = waited_ns > queue->wait_max_ns && queue->count >= QUEUE_LEAST;
    if (!job->is_late) /* what is only refused takes no time */
        queue_measure(queue, now_ns);
    return job;
}
