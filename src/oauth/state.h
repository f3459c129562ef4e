/* oauth/state.h: the records that change what the protocol remembers (store/item.h). */
#ifndef OAUTH_STATE_H
#define OAUTH_STATE_H

#include "store/store.h"

/* Puts an item where the store has `version` of it (0: none), in front of the records `next`. Lies in the arena, as
 * does a copy of the item; the item's texts must live as long. */
struct record *state_put(struct arena *arena, const struct item *item, int64_t version, struct record *next);
/* Deletes it. */
struct record *state_delete(struct arena *arena, const struct item *item, struct record *next);

#endif
