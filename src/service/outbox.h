/* service/outbox.h: tells the event bus what lies in the store's outbox (store/event.h), in order for each key, and
 * deletes it there when the bus has taken it. At least once: what was taken and could not be deleted is told again,
 * with the eventId that it had.
 *
 * Order. Whoever tells reads the outbox from its beginning, and tells of an event only after all earlier ones of its
 * key that are still there: an event that is gone was taken. So the first time that the bus hears of an event, it has
 * heard of all earlier ones of that key, however many instances tell at once; a lease keeps it to one, but for the
 * moments when one was cut off, and only to save calls.
 *
 * That can't be oauth/backchannel.c's way, where each notice is claimed by a change of its row: a batch would be ten
 * changes, and order would be lost between two who have claimed. */
#ifndef SERVICE_OUTBOX_H
#define SERVICE_OUTBOX_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_bus;
struct outbox;
struct store;

enum {
    OUTBOX_COUNTED_MAX = 100000, /* a longer one counts as so long */
    OUTBOX_HELD_MAX = 64,        /* events at once that the bus does not take, while it takes others */
    OUTBOX_LEASE_S = 30,
};

/* As it was found last. */
struct outbox_state {
    size_t length;     /* at most OUTBOX_COUNTED_MAX */
    int64_t oldest_at; /* s; 0: it is empty */
};

/* Never NULL; both must outlive it. `bus` NULL: it is told of nothing. */
struct outbox *outbox_new(struct store *store, struct event_bus *bus);
void outbox_free(struct outbox *outbox);
/* Tells of all that can be told, until `until_ns` (clock_ns(); INT64_MAX: no limit); what has begun is ended. One
 * thread at a time. OK: nothing is left but what has its own time to be tried again, or another instance is at it.
 * ERR_TIMEOUT: there is more, and no time. ERR_UNAVAILABLE: the bus or the store fails. */
MUST_USE struct err outbox_round(struct outbox *outbox, int64_t until_ns);
/* Any thread. */
struct outbox_state outbox_state(const struct outbox *outbox);

#endif
