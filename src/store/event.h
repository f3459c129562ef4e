/* store/event.h: events: what is to be told to others, written in the transaction of what it tells (RECORD_EVENT,
 * store.h; a key's transitions write their own), and kept until it was told (service/outbox.h). */
#ifndef STORE_EVENT_H
#define STORE_EVENT_H

#include "base/mem.h"

enum {
    EVENTS_LISTED_MAX = 200, /* in one answer of list_events, and in one call of drop_events */
    EVENT_DETAIL_MAX = 16 * 1024,
};

/* "keys_rotated" is written by the store itself, in a key's transition. */
struct event {
    int64_t position; /* the store's, ever growing; of those that depend on each other, the later has the greater one */
    struct str type;  /* "token_generated", …: letters, digits and underscores */
    struct str detail;  /* a JSON object, with its own name in it: "eventId" */
    int64_t created_at; /* s */
};

#endif
