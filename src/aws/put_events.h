/* aws/put_events.h: PutEvents of Amazon EventBridge: a batch of events for one bus in one call. Thread-safe. */
#ifndef AWS_PUT_EVENTS_H
#define AWS_PUT_EVENTS_H

#include "base/settings.h"

struct put_events;

enum { PUT_EVENTS_MAX = 10, PUT_EVENTS_BYTES = 256 * 1024 }; /* AWS's limits of a call */

/* UTF-8. */
struct put_entry {
    struct str detail_type, detail; /* detail: a JSON object */
    int64_t at_s;                   /* when it happened, Unix time */
};

/* What became of one entry. */
enum put_outcome {
    PUT_TAKEN,
    PUT_THROTTLED, /* too fast */
    PUT_FAILED,    /* a fault of EventBridge that may pass */
    PUT_REFUSED,   /* EventBridge does not accept it, nor will it later, as far as one can tell */
};

/* From settings: bus (EVENT_BUS_NAME), region, endpoint. Asks nothing yet. ERR_INVALID_REQUEST for settings,
 * ERR_UNAVAILABLE without libcurl. */
MUST_USE struct err put_events_open(const struct settings *settings, struct put_events **out);
void put_events_close(struct put_events *bus); /* NULL allowed */

/* How many bytes of PUT_EVENTS_BYTES an entry takes, as AWS counts. */
size_t put_entry_bytes(const struct put_entry *entry);

/* Puts 1 to PUT_EVENTS_MAX entries, which together take no more than PUT_EVENTS_BYTES: one call, and another one only
 * where a clock or credentials have to be mended first. OK: outcomes[i] is what became of entries[i]. ERR_UNAVAILABLE:
 * of each of them it is not known whether it was taken; the sentence is static or kept. *is_throttled then says whether
 * the call was only too early. `bus` is a struct put_events: so the call can be given to who has events to put. */
MUST_USE struct err put_events(void *bus, struct arena *arena, const struct put_entry *entries, size_t count,
                               int64_t timeout_ms, enum put_outcome outcomes[], bool *is_throttled);

/* Whether events can be put, and puts none: one entry whose detail is no JSON, which EventBridge has to refuse once it
 * has judged the call, the credentials and the right to put events of this source on the bus. It needs no permission
 * but that of put_events(), and so can't tell whether the bus exists or has rules. ERR_UNAVAILABLE says what failed;
 * the sentence is static or kept. */
MUST_USE struct err put_events_check(struct put_events *bus, struct arena *arena);

/* What the body of the response 200 to that says. Any bytes. Fuzzed: tests/fuzz/put_events.c. */
MUST_USE struct err put_events_read_check(struct arena *arena, struct str body);

/* The body of a response 200: what became of `count` entries. False when it is not understood. Any bytes. Fuzzed:
 * tests/fuzz/put_events.c. */
bool put_events_read(struct arena *arena, struct str body, size_t count, enum put_outcome outcomes[]);

#endif
