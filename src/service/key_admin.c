/* service/key_admin.c: administration of keys, on the store and by rotation. */
#include "service/key_admin.h"
#include "keys/keyring.h"
#include "keys/rotation.h"
#include "service/housekeeping.h"
#include "service/service.h"

static const struct err no_key = { ERR_NOT_FOUND, "there is no key with this kid" };

static struct key_entry key_admin_entry_of(const struct key *key)
{
    return (struct key_entry){ .kid = key->kid,
                               .alg = key->alg,
                               .public_jwk = key->public_jwk,
                               .state = key_state_name(key->state),
                               .created_at = key->created_at,
                               .published_at = key->published_at,
                               .activated_at = key->activated_at,
                               .rotate_requested_at = key->rotate_requested_at,
                               .retiring_at = key->retiring_at,
                               .retire_after = key->retire_after,
                               .retired_at = key->retired_at,
                               .revoked_at = key->revoked_at,
                               .disposed_at = key->disposed_at,
                               .revocation_reason = key->revocation_reason,
                               .rotated_from_kid = key->rotated_from_kid };
}

static struct err key_admin_find_key(struct service *service, struct arena *arena, struct str kid, struct key *out)
{
    struct err err = service->store->ops->find_key(service->store, arena, kid, out);
    return err.code == ERR_NOT_FOUND ? no_key : err;
}

struct err key_admin_list(struct service *service, struct arena *arena, size_t past_max, struct key_entry **out,
                          size_t *count)
{
    struct store *store = service->store;
    struct key *live = NULL, *past = NULL;
    size_t live_count = 0, past_count = 0;
    TRY(store->ops->list_keys(store, arena, &live, &live_count));
    if (past_max > 0)
        TRY(store->ops->list_past_keys(store, arena, false, past_max, &past, &past_count));
    *count = live_count + past_count;
    *out = arena_alloc(arena, *count * sizeof **out);
    for (size_t i = 0; i < *count; i++)
        (*out)[i] = key_admin_entry_of(i < live_count ? &live[i] : &past[i - live_count]);
    return OK;
}

struct err key_admin_find(struct service *service, struct arena *arena, struct str kid, struct key_entry *out)
{
    struct key key;
    TRY(key_admin_find_key(service, arena, kid, &key));
    *out = key_admin_entry_of(&key);
    return OK;
}

struct err key_admin_plan(struct service *service, struct arena *arena, int64_t now_s, struct key_event **out,
                          size_t *count)
{
    struct plan_row rows[PLAN_MAX];
    struct lifecycle life;
    TRY(rotation_read_life(service->store, service->settings, arena, &life));
    *count = lifecycle_plan(&life, now_s, rows);
    *out = arena_alloc(arena, *count * sizeof **out);
    for (size_t i = 0; i < *count; i++) {
        int64_t in_s = rows[i].at_s - now_s;
        (*out)[i] = (struct key_event){ .at_s = rows[i].at_s,
                                        .in = in_s > 0 ? lifecycle_span(arena, in_s) : STR("now"),
                                        .kid = rows[i].kid,
                                        .what = rows[i].event };
    }
    return OK;
}

struct err key_admin_explain(struct service *service, struct arena *arena, struct str kid, int64_t now_s,
                             struct key_entry *entry, struct str *out)
{
    struct lifecycle life;
    struct key key;
    TRY(key_admin_find_key(service, arena, kid, &key));
    TRY(rotation_read_life(service->store, service->settings, arena, &life));
    *entry = key_admin_entry_of(&key);
    *out = lifecycle_explain(&life, arena, &key, now_s);
    return OK;
}

/* --- moving ------------------------------------------------------------------------------------------------------ */

/* Revoking the active key rotates by itself; with `immediate` beside another kid, both are done. */
static struct err key_admin_ask(struct service *service, struct arena *arena, const struct key_move *move,
                                int64_t now_s, struct rotated *done)
{
    struct rotation *rotation = service->rotation;
    int64_t latest_iat = atomic_load(&service->latest_iat);
    if (latest_iat > now_s) /* the clock was set back: a key goes when its last token has expired, and not before */
        now_s = latest_iat;
    if (move->revoke.at) {
        struct err err = rotation_revoke(rotation, arena, move->revoke, move->reason, now_s, done);
        if (err.code == ERR_NOT_FOUND)
            return no_key;
        TRY(err);
        if (done->new_kid.len > 0 || !move->immediate)
            return OK;
    }
    return rotation_rotate(rotation, arena, move->immediate, now_s, done);
}

/* The next standby, and what a revoked key leaves behind: there may be no server that would see to that. */
static void key_admin_clear_up(struct service *service, const struct key_move *move, int64_t now_s)
{
    bool changed = false;
    if (service->housekeeping)
        housekeeping_nudge(service->housekeeping);
    else if (move->revoke.at)
        rotation_dispose(service->rotation, now_s, &changed);
}

struct err key_admin_move(struct service *service, struct arena *arena, const struct key_move *move, int64_t now_s,
                          struct key_moved *out)
{
    struct rotated done = { .at_s = 0 };
    struct err err = key_admin_ask(service, arena, move, now_s, &done);
    if (service->keyring)
        TRY(keyring_reload(service->keyring)); /* also after a failure: the keys may have changed on its way */
    TRY(err);
    key_admin_clear_up(service, move, now_s);
    *out = (struct key_moved){ done.new_kid, done.old_kid, done.at_s, done.message };
    return OK;
}
