/* store/store_sqlite_keys.c: keys in the embedded store. A transition is one transaction: updates that name the state
 * they leave, and the event that tells of it. An update that meets no row means that somebody was faster: nothing is
 * kept then. */
#include "store/store_sqlite.h"

static const struct err overtaken = { ERR_CONFLICT, "the keys have changed in the meantime" };

/* --- reading ----------------------------------------------------------------------------------------------------- */

static struct key store_sqlite_keys_read_key(struct arena *arena, sqlite3_stmt *row)
{
    return (struct key){ .kid = sqlite_column_str(arena, row, 0),
                         .alg = sqlite_column_str(arena, row, 1),
                         .public_jwk = sqlite_column_str(arena, row, 2),
                         .private_ref = sqlite_column_str(arena, row, 3),
                         .state = (enum key_state)sqlite3_column_int(row, 4),
                         .created_at = store_seconds(sqlite3_column_int64(row, 5)),
                         .published_at = store_seconds(sqlite3_column_int64(row, 6)),
                         .activated_at = store_seconds(sqlite3_column_int64(row, 7)),
                         .retiring_at = store_seconds(sqlite3_column_int64(row, 8)),
                         .retired_at = store_seconds(sqlite3_column_int64(row, 9)),
                         .revoked_at = store_seconds(sqlite3_column_int64(row, 10)),
                         .rotate_requested_at = store_seconds(sqlite3_column_int64(row, 11)),
                         .lifetime_s = store_seconds(sqlite3_column_int64(row, 12)),
                         .retire_after = store_seconds(sqlite3_column_int64(row, 13)),
                         .disposed_at = store_seconds(sqlite3_column_int64(row, 14)),
                         .revocation_reason = sqlite_column_str(arena, row, 15),
                         .rotated_from_kid = sqlite_column_str(arena, row, 16) };
}

/* The rows of a statement whose ?1 is their greatest number. */
static struct err store_sqlite_keys_read_keys(struct connection *reader, sqlite3_stmt *list, struct arena *arena,
                                              size_t max, struct key **out, size_t *count)
{
    struct key *keys = arena_alloc(arena, max * sizeof *keys);
    struct err err;
    size_t found = 0;
    sqlite3_bind_int64(list, 1, (int64_t)max);
    while (sqlite_next(&reader->sqlite, list, &err))
        keys[found++] = store_sqlite_keys_read_key(arena, list);
    TRY(err);
    *out = keys;
    *count = found;
    return OK;
}

struct err sqlite_list_keys(struct store *store, struct arena *arena, struct key **out, size_t *count)
{
    struct connection *reader = &sqlite_of(store)->reader;
    HOLD(reader);
    return store_sqlite_keys_read_keys(reader, statement_of(reader, LIST_KEYS), arena, KEYS_LIVE_MAX + 1, out, count);
}

struct err sqlite_list_past_keys(struct store *store, struct arena *arena, bool undisposed, size_t max,
                                 struct key **out, size_t *count)
{
    struct connection *reader = &sqlite_of(store)->reader;
    sqlite3_stmt *list = statement_of(reader, LIST_PAST_KEYS);
    HOLD(reader);
    sqlite3_bind_int(list, 2, undisposed);
    return store_sqlite_keys_read_keys(reader, list, arena, max, out, count);
}

static struct err store_sqlite_keys_find_key(struct connection *from, struct arena *arena, struct str kid,
                                             struct key *out)
{
    sqlite3_stmt *find = statement_of(from, FIND_KEY);
    struct err err;
    sqlite_bind_str(find, 1, kid);
    if (!sqlite_next(&from->sqlite, find, &err))
        return err.code ? err : failed(ERR_NOT_FOUND, "there is no such key");
    *out = store_sqlite_keys_read_key(arena, find);
    sqlite3_reset(find);
    return OK;
}

struct err sqlite_find_key(struct store *store, struct arena *arena, struct str kid, struct key *out)
{
    struct connection *reader = &sqlite_of(store)->reader;
    HOLD(reader);
    return store_sqlite_keys_find_key(reader, arena, kid, out);
}

/* --- transitions ------------------------------------------------------------------------------------------------- */

/* Runs an update that must meet exactly one row. */
static struct err store_sqlite_keys_update_one(struct connection *writer, sqlite3_stmt *update)
{
    TRY(sqlite_do(&writer->sqlite, update));
    return sqlite3_changes(writer->sqlite.db) == 1 ? OK : overtaken;
}

static struct err store_sqlite_keys_add_event(struct connection *writer, struct str new_kid, struct str old_kid,
                                              const char *transition, struct str reason, int64_t now_s)
{
    sqlite3_stmt *add = statement_of(writer, ADD_KEY_EVENT);
    sqlite_bind_str(add, 1, new_kid);
    sqlite_bind_str(add, 2, old_kid);
    sqlite_bind_str(add, 3, str_of(transition));
    sqlite_bind_str(add, 4, reason);
    sqlite3_bind_int64(add, 5, now_s);
    return sqlite_do(&writer->sqlite, add);
}

static struct err store_sqlite_keys_insert_key(struct connection *writer, const struct key *key, enum key_state state)
{
    sqlite3_stmt *add = statement_of(writer, ADD_KEY);
    bool is_first = state == KEY_ACTIVE;
    sqlite_bind_str(add, 1, key->kid);
    sqlite_bind_str(add, 2, key->alg);
    sqlite_bind_str(add, 3, key->public_jwk);
    sqlite_bind_str(add, 4, key->private_ref);
    sqlite3_bind_int(add, 5, (int)state);
    sqlite3_bind_int64(add, 6, key->created_at);
    sqlite3_bind_int64(add, 7, key->published_at);
    sqlite3_bind_int64(add, 8, is_first ? key->activated_at : 0);
    sqlite3_bind_int64(add, 9, key->lifetime_s);
    TRY(store_sqlite_keys_update_one(writer, add));
    return store_sqlite_keys_add_event(writer, key->kid, STR(""), is_first ? "activated" : "published", STR(""),
                                       key->published_at);
}

struct err sqlite_add_first_key(struct store *store, const struct key *key)
{
    struct connection *writer = &sqlite_of(store)->writer;
    HOLD(writer);
    TRY(transaction_begin(writer));
    return transaction_end(writer, store_sqlite_keys_insert_key(writer, key, KEY_ACTIVE));
}

struct err sqlite_add_pending_key(struct store *store, const struct key *key)
{
    struct connection *writer = &sqlite_of(store)->writer;
    HOLD(writer);
    TRY(transaction_begin(writer));
    return transaction_end(writer, store_sqlite_keys_insert_key(writer, key, KEY_PENDING));
}

static struct err store_sqlite_keys_begin_signing(struct connection *writer, struct str kid, struct str previous,
                                                  int64_t now_s, const struct key_terms *terms)
{
    sqlite3_stmt *activate = statement_of(writer, ACTIVATE_KEY);
    sqlite_bind_str(activate, 1, kid);
    sqlite3_bind_int64(activate, 2, now_s);
    sqlite_bind_str(activate, 3, previous);
    sqlite3_bind_int64(activate, 4, terms->lifetime_s);
    return store_sqlite_keys_update_one(writer, activate);
}

static struct err store_sqlite_keys_rotate(struct connection *writer, struct str kid, struct str previous,
                                           int64_t now_s, const struct key_terms *terms)
{
    sqlite3_stmt *store_sqlite_keys_retire = statement_of(writer, RETIRE_PREVIOUS);
    sqlite_bind_str(store_sqlite_keys_retire, 1, previous);
    sqlite3_bind_int64(store_sqlite_keys_retire, 2, now_s);
    sqlite3_bind_int64(store_sqlite_keys_retire, 3, terms->retiring_s);
    sqlite3_bind_int64(store_sqlite_keys_retire, 4, terms->margin_s);
    TRY(store_sqlite_keys_update_one(writer, store_sqlite_keys_retire));
    TRY(store_sqlite_keys_begin_signing(writer, kid, previous, now_s, terms));
    return store_sqlite_keys_add_event(writer, kid, previous, "activated", STR(""), now_s);
}

struct err sqlite_activate_key(struct store *store, struct str kid, struct str previous, int64_t now_s,
                               const struct key_terms *terms)
{
    struct connection *writer = &sqlite_of(store)->writer;
    HOLD(writer);
    TRY(transaction_begin(writer));
    return transaction_end(writer, store_sqlite_keys_rotate(writer, kid, previous, now_s, terms));
}

static struct err store_sqlite_keys_retire(struct connection *writer, struct str kid, int64_t now_s)
{
    sqlite3_stmt *update = statement_of(writer, RETIRE_KEY);
    sqlite_bind_str(update, 1, kid);
    sqlite3_bind_int64(update, 2, now_s);
    TRY(store_sqlite_keys_update_one(writer, update));
    return store_sqlite_keys_add_event(writer, STR(""), kid, "retired", STR(""), now_s);
}

struct err sqlite_retire_key(struct store *store, struct str kid, int64_t now_s)
{
    struct connection *writer = &sqlite_of(store)->writer;
    HOLD(writer);
    TRY(transaction_begin(writer));
    return transaction_end(writer, store_sqlite_keys_retire(writer, kid, now_s));
}

static struct err store_sqlite_keys_revoke(struct connection *writer, struct arena *arena, struct str kid,
                                           struct str successor, struct str reason, int64_t now_s,
                                           const struct key_terms *terms)
{
    sqlite3_stmt *update = statement_of(writer, REVOKE_KEY);
    struct key key;
    TRY(store_sqlite_keys_find_key(writer, arena, kid, &key));
    if (key.state == KEY_REVOKED)
        return OK;
    bool was_active = key.state == KEY_ACTIVE;
    sqlite_bind_str(update, 1, kid);
    sqlite3_bind_int64(update, 2, now_s);
    sqlite_bind_str(update, 3, reason);
    sqlite3_bind_int(update, 4, (int)key.state);
    TRY(store_sqlite_keys_update_one(writer, update));
    if (was_active)
        TRY(store_sqlite_keys_begin_signing(writer, successor, kid, now_s, terms));
    return store_sqlite_keys_add_event(writer, was_active ? successor : STR(""), kid, "revoked", reason, now_s);
}

struct err sqlite_revoke_key(struct store *store, struct str kid, struct str successor, struct str reason,
                             int64_t now_s, const struct key_terms *terms)
{
    struct connection *writer = &sqlite_of(store)->writer;
    AUTO(arena_release) struct arena arena = { 0 };
    HOLD(writer);
    TRY(transaction_begin(writer));
    return transaction_end(writer, store_sqlite_keys_revoke(writer, &arena, kid, successor, reason, now_s, terms));
}

/* --- notes ------------------------------------------------------------------------------------------------------- */

static struct err store_sqlite_keys_note(struct store *store, enum statement which, struct str kid, int64_t now_s)
{
    struct connection *writer = &sqlite_of(store)->writer;
    sqlite3_stmt *update = statement_of(writer, which);
    HOLD(writer);
    sqlite_bind_str(update, 1, kid);
    sqlite3_bind_int64(update, 2, now_s);
    return store_sqlite_keys_update_one(writer, update);
}

struct err sqlite_request_rotation(struct store *store, struct str kid, int64_t now_s)
{
    return store_sqlite_keys_note(store, REQUEST_ROTATION, kid, now_s);
}

struct err sqlite_mark_key_disposed(struct store *store, struct str kid, int64_t now_s)
{
    return store_sqlite_keys_note(store, MARK_DISPOSED, kid, now_s);
}

struct err sqlite_raise_key_lifetime(struct connection *writer, int64_t lifetime_s)
{
    sqlite3_stmt *raise = statement_of(writer, RAISE_LIFETIME);
    sqlite3_bind_int64(raise, 1, lifetime_s);
    return sqlite_do(&writer->sqlite, raise);
}

struct err sqlite_raise_lifetime(struct store *store, int64_t lifetime_s)
{
    struct connection *writer = &sqlite_of(store)->writer;
    HOLD(writer);
    return sqlite_raise_key_lifetime(writer, lifetime_s);
}
