/* service/once.h: what comes with an id of its own, perhaps more than once, and is to be done once: an event that is
 * delivered at least once. The store decides, over all instances, by an item (store/item.h): it is claimed before the
 * work, and is done with the work's own records, in their transaction. */
#ifndef SERVICE_ONCE_H
#define SERVICE_ONCE_H

#include "base/mem.h"

struct record;
struct service;

enum once_state {
    ONCE_CLAIMED, /* do it */
    ONCE_DONE,    /* it has been done */
};

/* An id, and until when somebody who doesn't end the work holds it. Views live as long as the arena. */
struct once {
    struct str name;        /* of what kind of id it is, and the id: "event:…" */
    int64_t now_s, until_s; /* a claim lasts until then */
    int64_t remembered_s;   /* s since 1970: until when the store knows that it was done */
    int64_t version;        /* once.c's own */
};

/* Claims it. May wait. ERR_UNAVAILABLE: the store is away, or somebody else is at it now; come back later. */
MUST_USE struct err once_claim(struct service *service, struct arena *arena, struct once *once, enum once_state *state);
/* The record that it is done, for local_call_with(): in the arena. */
struct record *once_done(struct arena *arena, const struct once *once);
/* Gives a claim back, after a failure; what can't be given back now ends by itself. May wait. */
void once_give_back(struct service *service, struct arena *arena, const struct once *once);

#endif
