/* service/event_queue.h: events that are tied to no transaction, since those whom they tell of must not wait: failed
 * verifications. In memory, and bounded: when there is no more room the oldest is dropped, and counted. Thread-safe;
 * its lock is held for some instructions. */
#ifndef SERVICE_EVENT_QUEUE_H
#define SERVICE_EVENT_QUEUE_H

#include "base/mem.h"

enum { EVENT_QUEUE_ROOM = 1024, EVENT_ID_BYTES = 16 };

struct queued_event {
    const char *error; /* static */
    int64_t at_s;
    bool is_named; /* id is set: when it is taken first, so that it has the same one when it is taken again */
    unsigned char id[EVENT_ID_BYTES];
};

struct event_queue;

struct event_queue *event_queue_new(void); /* never NULL */
void event_queue_free(struct event_queue *queue);
void event_queue_add(struct event_queue *queue, const char *error, int64_t at_s);
/* Takes up to `max` of the oldest. */
size_t event_queue_take(struct event_queue *queue, size_t max, struct queued_event *out);
/* Puts some back that were taken, in their place before all others, as far as there is room still. */
void event_queue_give_back(struct event_queue *queue, const struct queued_event *events, size_t count);
size_t event_queue_length(struct event_queue *queue);

#endif
