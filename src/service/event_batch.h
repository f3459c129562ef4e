/* service/event_batch.h: which events go together in one call, so that order holds for a key. A pure function. */
#ifndef SERVICE_EVENT_BATCH_H
#define SERVICE_EVENT_BATCH_H

#include "aws/put_events.h"

enum event_batch_state {
    EVENT_WAITING,
    EVENT_HELD, /* it, or an earlier one of its key, has to wait for another round */
    EVENT_TOLD
};

struct batch_event {
    struct str key; /* those with the same one are told in their order */
    struct put_entry entry;
    enum event_batch_state state;
};

/* The numbers of the next ones to put, in order; returns how many, at most PUT_EVENTS_MAX, which together take no more
 * than PUT_EVENTS_BYTES (one that takes more by itself stands alone). None has the key of an earlier one that is not
 * told: EventBridge promises no order within a call, and the earlier one may be refused. `events` are in their order.
 */
size_t event_batch_pick(const struct batch_event *events, size_t count, size_t picked[PUT_EVENTS_MAX]);

#endif
