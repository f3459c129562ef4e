/* service/event_queue.c: a ring. */
#include "service/event_queue.h"
#include "base/random.h"
#include "observe/metrics.h"
#include <pthread.h>
#include <stdlib.h>

struct event_queue {
    pthread_mutex_t lock;
    size_t first, count;
    struct queued_event ring[EVENT_QUEUE_ROOM];
};

struct event_queue *event_queue_new(void)
{
    struct event_queue *queue = mem_alloc(sizeof *queue);
    *queue = (struct event_queue){ .count = 0 };
    pthread_mutex_init(&queue->lock, NULL);
    return queue;
}

void event_queue_free(struct event_queue *queue)
{
    pthread_mutex_destroy(&queue->lock);
    free(queue);
}

void event_queue_add(struct event_queue *queue, const char *error, int64_t at_s)
{
    pthread_mutex_lock(&queue->lock);
    const bool is_full = queue->count == EVENT_QUEUE_ROOM;
    if (is_full) {
        queue->first = (queue->first + 1) % EVENT_QUEUE_ROOM;
        queue->count--;
    }
    queue->ring[(queue->first + queue->count++) % EVENT_QUEUE_ROOM] = (struct queued_event){ .error = error,
                                                                                             .at_s = at_s };
    pthread_mutex_unlock(&queue->lock);
    metrics_count(COUNT_EVENTS_DROPPED, is_full);
}

size_t event_queue_take(struct event_queue *queue, size_t max, struct queued_event *out)
{
    size_t taken = 0;
    pthread_mutex_lock(&queue->lock);
    while (taken < max && queue->count > 0) {
        out[taken++] = queue->ring[queue->first];
        queue->first = (queue->first + 1) % EVENT_QUEUE_ROOM;
        queue->count--;
    }
    pthread_mutex_unlock(&queue->lock);
    for (size_t i = 0; i < taken; i++)
        if (!out[i].is_named) {
            random_bytes(out[i].id, sizeof out[i].id);
            out[i].is_named = true;
        }
    return taken;
}

void event_queue_give_back(struct event_queue *queue, const struct queued_event *events, size_t count)
{
    size_t left = count;
    pthread_mutex_lock(&queue->lock);
    for (; left > 0 && queue->count < EVENT_QUEUE_ROOM; queue->count++) {
        queue->first = (queue->first + EVENT_QUEUE_ROOM - 1) % EVENT_QUEUE_ROOM;
        queue->ring[queue->first] = events[--left];
    }
    pthread_mutex_unlock(&queue->lock);
    metrics_count(COUNT_EVENTS_DROPPED, left);
}

size_t event_queue_length(struct event_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    const size_t count = queue->count;
    pthread_mutex_unlock(&queue->lock);
    return count;
}
