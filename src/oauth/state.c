/* oauth/state.c: makes records of items. */
#include "oauth/state.h"
#include "base/random.h"

struct record *state_put(struct arena *arena, const struct item *item, int64_t version, struct record *next)
{
    struct record *record = arena_zalloc(arena, sizeof *record);
    struct item *copy = arena_alloc(arena, sizeof *copy);
    *copy = *item;
    *record = (struct record){ .kind = RECORD_ITEM, .item = copy, .item_version = version, .next = next };
    random_bytes(&record->item_change, sizeof record->item_change);
    return record;
}

struct record *state_delete(struct arena *arena, const struct item *item, struct record *next)
{
    struct item empty = *item;
    empty.body = STR("");
    return state_put(arena, &empty, item->version, next);
}
