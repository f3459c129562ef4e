/* store/platform_keys.c: keys in the platform's tables. Each transition is one function there, with its event. */
#include "store/platform.h"

static const char overtaken[] = "the keys have changed in the meantime";

/* --- reading ----------------------------------------------------------------------------------------------------- */

static const struct {
    enum key_state state;
    const char *name;
} states[] = { { KEY_PENDING, "pending" },
               { KEY_ACTIVE, "active" },
               { KEY_RETIRING, "retiring" },
               { KEY_RETIRED, "retired" },
               { KEY_REVOKED, "revoked" } };

static enum key_state platform_keys_state_of(struct str name)
{
    for (size_t i = 0; i < sizeof states / sizeof *states; i++)
        if (str_eq(name, str_of(states[i].name)))
            return states[i].state;
    return KEY_REVOKED; /* the column's check lets no other in: of a later version, not to be used here */
}

static struct key platform_keys_key_of(const struct json *row)
{
    return (struct key){ .kid = platform_str(row, "kid"),
                         .alg = platform_str(row, "alg"),
                         .public_jwk = platform_str(row, "public_jwk"),
                         .private_ref = platform_str(row, "private_ref"),
                         .state = platform_keys_state_of(platform_str(row, "state")),
                         .created_at = store_seconds(platform_int(row, "created_at")),
                         .published_at = store_seconds(platform_int(row, "published_at")),
                         .activated_at = store_seconds(platform_int(row, "activated_at")),
                         .retiring_at = store_seconds(platform_int(row, "retiring_at")),
                         .retired_at = store_seconds(platform_int(row, "retired_at")),
                         .revoked_at = store_seconds(platform_int(row, "revoked_at")),
                         .rotate_requested_at = store_seconds(platform_int(row, "rotate_requested_at")),
                         .lifetime_s = store_seconds(platform_int(row, "lifetime_s")),
                         .retire_after = store_seconds(platform_int(row, "retire_after")),
                         .disposed_at = store_seconds(platform_int(row, "disposed_at")),
                         .revocation_reason = platform_str(row, "revocation_reason"),
                         .rotated_from_kid = platform_str(row, "rotated_from_kid") };
}

/* What a function lists, at most `max`, which `args` say too. */
static struct err platform_keys_read_keys(struct store *store, struct arena *arena, const char *function,
                                          struct buf *args, size_t max, struct key **out, size_t *count)
{
    const struct json *answer = NULL, *row = NULL;
    struct str rest, line;
    size_t found = 0;
    struct key *keys = arena_alloc(arena, max * sizeof *keys);
    platform_put_int(args, "max", (int64_t)max);
    TRY(platform_do(store, arena, function, args, PLATFORM_REPEATABLE, overtaken, &answer));
    for (rest = platform_rows(answer); found < max && platform_next_row(&rest, &line);) {
        TRY(json_parse(arena, line, &row));
        keys[found++] = platform_keys_key_of(row);
    }
    *out = keys;
    *count = found;
    return OK;
}

struct err platform_list_keys(struct store *store, struct arena *arena, struct key **out, size_t *count)
{
    struct buf args;
    platform_begin(&args, arena);
    return platform_keys_read_keys(store, arena, "token_service_list_keys", &args, KEYS_LIVE_MAX + 1, out, count);
}

struct err platform_list_past_keys(struct store *store, struct arena *arena, bool undisposed, size_t max,
                                   struct key **out, size_t *count)
{
    struct buf args;
    platform_begin(&args, arena);
    platform_put_bool(&args, "undisposed", undisposed);
    return platform_keys_read_keys(store, arena, "token_service_list_past_keys", &args, max, out, count);
}

struct err platform_find_key(struct store *store, struct arena *arena, struct str kid, struct key *out)
{
    static const char none[] = "there is no such key";
    const struct json *answer = NULL;
    struct buf args;
    if (!platform_can_hold(kid))
        return failed(ERR_NOT_FOUND, none);
    platform_begin(&args, arena);
    platform_put_str(&args, "kid", kid);
    TRY(platform_do(store, arena, "token_service_find_key", &args, PLATFORM_REPEATABLE, none, &answer));
    *out = platform_keys_key_of(answer);
    return OK;
}

/* --- transitions ------------------------------------------------------------------------------------------------- */

/* Repeatable as well: when a lost one was done, the second says ERR_CONFLICT, and the caller lists again. */
static struct err platform_keys_move(struct store *store, struct arena *arena, const char *function, struct buf *args)
{
    return platform_do(store, arena, function, args, PLATFORM_REPEATABLE, overtaken, NULL);
}

static struct err platform_keys_add_key(struct store *store, const struct key *key, const char *state)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct buf args;
    platform_begin(&args, &arena);
    platform_put_str(&args, "kid", key->kid);
    platform_put_str(&args, "alg", key->alg);
    platform_put_str(&args, "public_jwk", key->public_jwk);
    platform_put_str(&args, "private_ref", key->private_ref);
    platform_put_str(&args, "state", str_of(state));
    platform_put_int(&args, "created_at", key->created_at);
    platform_put_int(&args, "published_at", key->published_at);
    platform_put_int(&args, "activated_at", key->activated_at);
    platform_put_int(&args, "lifetime_s", key->lifetime_s);
    return platform_keys_move(store, &arena, "token_service_add_key", &args);
}

struct err platform_add_first_key(struct store *store, const struct key *key)
{
    return platform_keys_add_key(store, key, "active");
}

struct err platform_add_pending_key(struct store *store, const struct key *key)
{
    return platform_keys_add_key(store, key, "pending");
}

static void platform_keys_put_terms(struct buf *args, const struct key_terms *terms)
{
    platform_put_int(args, "lifetime_s", terms->lifetime_s);
    platform_put_int(args, "retiring_s", terms->retiring_s);
    platform_put_int(args, "margin_s", terms->margin_s);
}

struct err platform_activate_key(struct store *store, struct str kid, struct str previous, int64_t now_s,
                                 const struct key_terms *terms)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct buf args;
    platform_begin(&args, &arena);
    platform_put_str(&args, "kid", kid);
    platform_put_str(&args, "previous", previous);
    platform_put_int(&args, "now_s", now_s);
    platform_keys_put_terms(&args, terms);
    return platform_keys_move(store, &arena, "token_service_activate_key", &args);
}

/* What needs no more than a key and the time. */
static struct err platform_keys_note(struct store *store, const char *function, struct str kid, int64_t now_s)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct buf args;
    platform_begin(&args, &arena);
    platform_put_str(&args, "kid", kid);
    platform_put_int(&args, "now_s", now_s);
    return platform_keys_move(store, &arena, function, &args);
}

struct err platform_retire_key(struct store *store, struct str kid, int64_t now_s)
{
    return platform_keys_note(store, "token_service_retire_key", kid, now_s);
}

struct err platform_revoke_key(struct store *store, struct str kid, struct str successor, struct str reason,
                               int64_t now_s, const struct key_terms *terms)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct buf args;
    if (!platform_can_hold(kid))
        return failed(ERR_NOT_FOUND, "there is no such key");
    platform_begin(&args, &arena);
    platform_put_str(&args, "kid", kid);
    platform_put_str(&args, "successor", successor);
    platform_put_str(&args, "reason", reason);
    platform_put_int(&args, "now_s", now_s);
    platform_keys_put_terms(&args, terms);
    return platform_keys_move(store, &arena, "token_service_revoke_key", &args);
}

struct err platform_request_rotation(struct store *store, struct str kid, int64_t now_s)
{
    return platform_keys_note(store, "token_service_request_rotation", kid, now_s);
}

struct err platform_mark_key_disposed(struct store *store, struct str kid, int64_t now_s)
{
    return platform_keys_note(store, "token_service_mark_key_disposed", kid, now_s);
}

struct err platform_raise_key_lifetime(struct store *store, int64_t lifetime_s)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct buf args;
    platform_begin(&args, &arena);
    platform_put_int(&args, "lifetime_s", lifetime_s);
    return platform_keys_move(store, &arena, "token_service_raise_key_lifetime", &args);
}
