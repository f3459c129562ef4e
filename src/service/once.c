/* service/once.c: an item of the kind "once". A claim is {"until":…}, what is done {}. */
#include "service/once.h"
#include "base/json.h"
#include "jose/jws.h"
#include "service/service.h"
#include "store/commit.h"

static const struct err busy = { ERR_UNAVAILABLE, "the same is being done at this moment; try again" };

/* Puts it where the store has `version` of it. until_s < 0: it is done. */
static struct record *once_put(struct arena *arena, const struct once *once, int64_t version, int64_t until_s)
{
    struct item item = { .kind = ITEM_ONCE,
                         .expires_at = once->remembered_s,
                         .client_id = STR(""),
                         .subject = STR(""),
                         .sid = STR(""),
                         .body = until_s < 0 ? STR("{}")
                                             : arena_printf(arena, "{\"until\":%lld}", (long long)until_s) };
    sha256(once->name, item.id);
    return item_put(arena, &item, version, NULL);
}

/* What the store says of it. *version 0: nothing. */
static struct err once_look(struct service *service, struct arena *arena, const struct once *once, int64_t *version,
                            int64_t *until_s)
{
    struct store *store = service->store;
    unsigned char id[32];
    struct item item;
    const struct json *body = NULL;
    *version = 0;
    *until_s = 0;
    sha256(once->name, id);
    const struct err err = store->ops->find_item(store, arena, ITEM_ONCE, id, &item);
    if (err.code == ERR_NOT_FOUND)
        return OK;
    TRY(err);
    *version = item.version;
    if (json_parse(arena, item.body, &body).code || !json_int(json_member(body, STR("until")), 0, INT64_MAX, until_s))
        *until_s = -1;
    return OK;
}

struct err once_claim(struct service *service, struct arena *arena, struct once *once, enum once_state *state)
{
    int64_t version, until_s;
    *state = ONCE_CLAIMED;
    TRY(once_look(service, arena, once, &version, &until_s));
    if (until_s < 0) {
        *state = ONCE_DONE;
        return OK;
    }
    if (until_s > once->now_s)
        return busy;
    const struct err err = commit_wait(service->commit, once_put(arena, once, version, once->until_s));
    once->version = version + 1;
    return err.code == ERR_CONFLICT ? busy : err;
}

struct record *once_done(struct arena *arena, const struct once *once)
{
    return once_put(arena, once, once->version, -1);
}

void once_give_back(struct service *service, struct arena *arena, const struct once *once)
{
    const struct err err = commit_wait(service->commit, once_put(arena, once, once->version, 0));
    (void)err; /* then it is held until its time is over */
}
