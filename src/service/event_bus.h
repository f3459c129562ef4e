/* service/event_bus.h: the way to the event bus, as those who tell of events take it: one batch at a time, with pauses
 * after failures, and everything counted. */
#ifndef SERVICE_EVENT_BUS_H
#define SERVICE_EVENT_BUS_H

#include "aws/put_events.h"

/* Puts a batch, as put_events() does, which it usually is. */
typedef struct err (*event_bus_put_batch)(void *context, struct arena *arena, const struct put_entry *entries,
                                          size_t count, int64_t timeout_ms, enum put_outcome outcomes[],
                                          bool *is_throttled);

struct event_bus {
    event_bus_put_batch put;
    void *context;
    int64_t (*now_ns)(void); /* clock_ns(), but for tests */
    /* event_bus.c's own; one thread at a time */
    unsigned failures; /* in a row, of the bus as a whole */
    int64_t again_ns;  /* it is not called before that */
    const char *why;   /* the last of them; static or kept */
};

enum {
    EVENT_BUS_FIRST_PAUSE_MS = 1000, /* doubled with each failure in a row; half of it is left to chance */
    EVENT_BUS_PAUSE_MAX_MS = 60000,
    EVENT_BUS_TRY_MS = 5000,
    EVENT_BUS_LEAST_MS = 100, /* with less time than that a call is not begun */
};

/* When something that has failed `tries` times in a row (1 and more) is tried again; `random`: 64 random bits. */
int64_t event_bus_pause_ms(unsigned tries, uint64_t random);
/* Whether it would be called now. */
bool event_bus_is_open(const struct event_bus *bus);
/* Puts 1 to PUT_EVENTS_MAX entries, by until_ns (INT64_MAX: no limit). OK: outcomes[i] is what became of
 * entries[i], of which some were taken, or there is but one. ERR_UNAVAILABLE: the bus as a whole fails, or did a moment
 * ago, and none is known to be taken. ERR_TIMEOUT: there is no time for a call. */
MUST_USE struct err event_bus_put(struct event_bus *bus, struct arena *arena, const struct put_entry *entries,
                                  size_t count, int64_t until_ns, enum put_outcome outcomes[]);

#endif
