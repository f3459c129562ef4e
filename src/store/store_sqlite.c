/* store/store_sqlite.c: the embedded store: one SQLite file in the data directory. Here: opening it, clients, tokens
 * and revocations; keys are in store_sqlite_keys.c, items in store_sqlite_items.c, events in store_sqlite_events.c,
 * what deletes expired rows in store_sqlite_purge.c, the schema and every statement's text in store_sqlite_schema.c.
 *
 * Two connections: one writes, one reads, so that looking a client up never waits for a commit. Access tokens lie in
 * the order in which they expire, and there is no index on their hash: a new one goes to the end of one tree, where its
 * neighbours are, and dirties no page of its own, as a random hash would. A revocation finds its row among those that
 * expire in the same second. */
#include "store/store_sqlite.h"
#include "base/random.h"
#include "store/batch.h"
#include "store/identity.h"
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOWHERE ":memory:"

enum { PLACES_TRIED = 4096 };

struct err transaction_begin(struct connection *writer)
{
    return sqlite_do(&writer->sqlite, statement_of(writer, BEGIN));
}

struct err transaction_end(struct connection *writer, struct err err)
{
    if (!err.code)
        err = sqlite_do(&writer->sqlite, statement_of(writer, COMMIT));
    if (err.code && !sqlite3_get_autocommit(writer->sqlite.db)) { /* some failures have rolled back by themselves */
        struct err undone = sqlite_do(&writer->sqlite, statement_of(writer, ROLLBACK));
        (void)undone; /* it is logged, and the first failure is what counts */
    }
    return err;
}

/* --- clients ----------------------------------------------------------------------------------------------------- */

static void store_sqlite_read_client(struct arena *arena, sqlite3_stmt *row, struct client *out)
{
    *out = (struct client){ .id = sqlite_column_str(arena, row, 0),
                            .name = sqlite_column_str(arena, row, 1),
                            .is_public = str_eq(sqlite_column_str(arena, row, 2), STR("public")),
                            .scopes = sqlite_column_str(arena, row, 4),
                            .access_ttl_s = store_seconds(sqlite3_column_int64(row, 5)),
                            .refresh_ttl_s = store_seconds(sqlite3_column_int64(row, 6)),
                            .id_ttl_s = store_seconds(sqlite3_column_int64(row, 7)),
                            .is_active = sqlite3_column_int(row, 8) != 0,
                            .created_at = store_seconds(sqlite3_column_int64(row, 9)),
                            .metadata = sqlite_column_str(arena, row, 10),
                            .old_secret_until = store_seconds(sqlite3_column_int64(row, 12)),
                            .version = sqlite3_column_int64(row, 13) };
    sqlite_column_bytes(row, 3, out->secret_hash, sizeof out->secret_hash);
    sqlite_column_bytes(row, 11, out->old_secret_hash, sizeof out->old_secret_hash);
}

static struct err store_sqlite_find_client(struct store *store, struct arena *arena, struct str id, struct client *out)
{
    struct connection *reader = &sqlite_of(store)->reader;
    sqlite3_stmt *find = statement_of(reader, FIND_CLIENT);
    struct err err;
    HOLD(reader);
    sqlite_bind_str(find, 1, id);
    if (!sqlite_next(&reader->sqlite, find, &err))
        return err.code ? err : failed(ERR_NOT_FOUND, "there is no such client");
    store_sqlite_read_client(arena, find, out);
    sqlite3_reset(find);
    return OK;
}

static struct err store_sqlite_list_clients(struct store *store, struct arena *arena, struct str after, size_t max,
                                            struct client **out, size_t *count)
{
    struct connection *reader = &sqlite_of(store)->reader;
    sqlite3_stmt *list = statement_of(reader, LIST_CLIENTS);
    struct err err;
    HOLD(reader);
    size_t room = 16, found = 0;
    struct client *clients = arena_alloc(arena, room * sizeof *clients);
    sqlite_bind_str(list, 1, after);
    sqlite3_bind_int64(list, 2, (int64_t)max);
    while (sqlite_next(&reader->sqlite, list, &err)) {
        if (found == room) {
            struct client *more = arena_alloc(arena, 2 * room * sizeof *more);
            memcpy(more, clients, found * sizeof *more);
            clients = more;
            room *= 2;
        }
        store_sqlite_read_client(arena, list, &clients[found++]);
    }
    TRY(err);
    *out = clients;
    *count = found;
    return OK;
}

static void store_sqlite_bind_client(sqlite3_stmt *statement, const struct client *client)
{
    sqlite_bind_str(statement, 1, client->id);
    sqlite_bind_str(statement, 2, client->name);
    sqlite_bind_str(statement, 3, client->is_public ? STR("public") : STR("confidential"));
    sqlite_bind_bytes(statement, 4, client->secret_hash, sizeof client->secret_hash);
    sqlite_bind_str(statement, 5, client->scopes);
    sqlite3_bind_int64(statement, 6, client->access_ttl_s);
    sqlite3_bind_int64(statement, 7, client->refresh_ttl_s);
    sqlite3_bind_int64(statement, 8, client->id_ttl_s);
    sqlite3_bind_int(statement, 9, client->is_active);
    sqlite3_bind_int64(statement, 10, client->created_at);
    sqlite_bind_str(statement, 11, client->metadata.len > 0 ? client->metadata : STR("{}"));
    sqlite_bind_bytes(statement, 12, client->old_secret_hash, sizeof client->old_secret_hash);
    sqlite3_bind_int64(statement, 13, client->old_secret_until);
}

/* A key that signs for a client with a lifetime of its own must outlive those tokens too. */
static struct err store_sqlite_raise_lifetime_for(struct connection *writer, const struct client *client)
{
    int64_t longest_s = client->access_ttl_s > client->refresh_ttl_s ? client->access_ttl_s : client->refresh_ttl_s;
    return sqlite_raise_key_lifetime(writer, longest_s > client->id_ttl_s ? longest_s : client->id_ttl_s);
}

static struct err store_sqlite_insert_client(struct connection *writer, const struct client *client)
{
    sqlite3_stmt *add = statement_of(writer, ADD_CLIENT);
    store_sqlite_bind_client(add, client);
    TRY(sqlite_do(&writer->sqlite, add));
    if (!sqlite3_changes(writer->sqlite.db))
        return failed(ERR_CONFLICT, "there is already such a client");
    return store_sqlite_raise_lifetime_for(writer, client);
}

static struct err store_sqlite_add_client(struct store *store, const struct client *client)
{
    struct connection *writer = &sqlite_of(store)->writer;
    HOLD(writer);
    TRY(transaction_begin(writer));
    return transaction_end(writer, store_sqlite_insert_client(writer, client));
}

/* In the transaction of a change that met no row: why. */
static struct err store_sqlite_explain_no_change(struct connection *writer, struct str id)
{
    sqlite3_stmt *find = statement_of(writer, FIND_CLIENT);
    struct err err;
    sqlite_bind_str(find, 1, id);
    if (!sqlite_next(&writer->sqlite, find, &err))
        return err.code ? err : failed(ERR_NOT_FOUND, "there is no such client");
    sqlite3_reset(find);
    return failed(ERR_CONFLICT, "the client was changed meanwhile");
}

static struct err store_sqlite_swap_client(struct connection *writer, const struct client *client, int64_t version)
{
    sqlite3_stmt *change = statement_of(writer, CHANGE_CLIENT);
    store_sqlite_bind_client(change, client);
    sqlite3_bind_int64(change, 14, version);
    TRY(sqlite_do(&writer->sqlite, change));
    return sqlite3_changes(writer->sqlite.db) ? store_sqlite_raise_lifetime_for(writer, client)
                                              : store_sqlite_explain_no_change(writer, client->id);
}

static struct err store_sqlite_change_client(struct store *store, const struct client *client, int64_t version)
{
    struct connection *writer = &sqlite_of(store)->writer;
    HOLD(writer);
    TRY(transaction_begin(writer));
    return transaction_end(writer, store_sqlite_swap_client(writer, client, version));
}

static struct err store_sqlite_delete_client(struct store *store, struct str id)
{
    struct connection *writer = &sqlite_of(store)->writer;
    sqlite3_stmt *delete = statement_of(writer, DELETE_CLIENT);
    HOLD(writer);
    sqlite_bind_str(delete, 1, id);
    TRY(sqlite_do(&writer->sqlite, delete));
    return sqlite3_changes(writer->sqlite.db) ? OK : failed(ERR_NOT_FOUND, "there is no such client");
}

/* --- records ----------------------------------------------------------------------------------------------------- */

static void store_sqlite_bind_token(sqlite3_stmt *add, const struct record *record)
{
    sqlite_bind_bytes(add, 1, record->token_hash, sizeof record->token_hash);
    sqlite_bind_str(add, 2, record->jti);
    sqlite_bind_str(add, 3, record->subject);
    sqlite_bind_str(add, 4, record->client_id);
    sqlite_bind_str(add, 5, record->scope);
    sqlite_bind_str(add, 6, record->audience);
    sqlite3_bind_int64(add, 7, record->issued_at);
    sqlite3_bind_int64(add, 8, record->expires_at);
}

static struct err store_sqlite_add_refresh(struct connection *writer, const struct record *record)
{
    sqlite3_stmt *add = statement_of(writer, ADD_REFRESH);
    store_sqlite_bind_token(add, record);
    return sqlite_do(&writer->sqlite, add);
}

/* Its place among those that expire in the same second may be taken, by a command that issues beside the server. */
static struct err store_sqlite_add_access(struct store_sqlite *sqlite, const struct record *record)
{
    struct connection *writer = &sqlite->writer;
    for (int i = 0; i < PLACES_TRIED; i++) {
        sqlite3_stmt *add = statement_of(writer, ADD_ACCESS);
        store_sqlite_bind_token(add, record);
        sqlite3_bind_int64(add, 9, sqlite->next_id++ & 0xffffff);
        TRY(sqlite_do(&writer->sqlite, add));
        if (sqlite3_changes(writer->sqlite.db))
            return OK;
    }
    return failed(ERR_UNAVAILABLE, "too many tokens expire in the same second");
}

static struct err store_sqlite_mark_token(struct connection *writer, const struct record *record)
{
    if (record->token_kind == TOKEN_ID || record->revokes != REVOKED_TOKEN)
        return OK; /* no row is kept of it */
    bool is_access = record->token_kind == TOKEN_ACCESS;
    sqlite3_stmt *mark = statement_of(writer, is_access ? REVOKE_ACCESS : REVOKE_REFRESH);
    sqlite3_bind_int64(mark, 1, record->issued_at);
    sqlite_bind_str(mark, 2, record->revoked_by);
    sqlite_bind_str(mark, 3, record->reason);
    sqlite_bind_bytes(mark, 4, record->token_hash, sizeof record->token_hash);
    if (is_access)
        sqlite3_bind_int64(mark, 5, record->token_expires_at);
    return sqlite_do(&writer->sqlite, mark);
}

static struct err store_sqlite_add_revocation(struct connection *writer, const struct record *record)
{
    sqlite3_stmt *add = statement_of(writer, ADD_REVOCATION);
    sqlite_bind_bytes(add, 1, record->token_hash, sizeof record->token_hash);
    sqlite3_bind_int64(add, 2, record->expires_at);
    sqlite_bind_str(add, 3, record->reason);
    sqlite_bind_str(add, 4, record->revoked_by);
    sqlite3_bind_int64(add, 5, record->issued_at);
    sqlite3_bind_int(add, 6, (int)record->revokes);
    sqlite3_bind_int64(add, 7, record->before);
    sqlite_bind_str(add, 8, record->target);
    TRY(sqlite_do(&writer->sqlite, add));
    return store_sqlite_mark_token(writer, record);
}

static struct err store_sqlite_add_one(struct store_sqlite *sqlite, const struct record *record)
{
    if (record->kind == RECORD_REVOCATION)
        return store_sqlite_add_revocation(&sqlite->writer, record);
    if (record->kind == RECORD_ITEM)
        return sqlite_put_item(&sqlite->writer, record);
    if (record->kind == RECORD_EVENT)
        return sqlite_add_event(&sqlite->writer, record->event);
    return record->token_kind == TOKEN_REFRESH ? store_sqlite_add_refresh(&sqlite->writer, record)
                                               : store_sqlite_add_access(sqlite, record);
}

/* Items are looked at before anything of their list is added: so a list in conflict leaves nothing to undo. */
static struct err store_sqlite_add_list(struct store_sqlite *sqlite, const struct record *list, struct err *verdict)
{
    if (item_is_among(list))
        TRY(sqlite_judge_items(&sqlite->writer, list, verdict));
    for (const struct record *record = verdict->code ? NULL : list; record; record = record->next)
        TRY(store_sqlite_add_one(sqlite, record));
    return OK;
}

static struct err store_sqlite_add_lists(struct store_sqlite *sqlite, const struct record *const *lists, size_t count,
                                         struct err *verdicts)
{
    for (size_t i = 0; i < count; i++)
        TRY(store_sqlite_add_list(sqlite, lists[i], &verdicts[i]));
    return OK;
}

/* SQLITE_OK: it has said nothing, the failure is one of ours. */
static bool store_sqlite_is_of_a_row(sqlite3 *db)
{
    const int code = sqlite3_errcode(db) & 0xff;
    return code == SQLITE_CONSTRAINT || code == SQLITE_MISMATCH || code == SQLITE_TOOBIG || code == SQLITE_OK;
}

static struct err store_sqlite_keep_lists(struct store *store, const struct record *const *lists, size_t count,
                                          struct err *verdicts, bool *is_of_records)
{
    struct connection *writer = &sqlite_of(store)->writer;
    HOLD(writer);
    TRY(transaction_begin(writer));
    struct err err = store_sqlite_add_lists(sqlite_of(store), lists, count, verdicts);
    *is_of_records = err.code && store_sqlite_is_of_a_row(writer->sqlite.db);
    return transaction_end(writer, err);
}

static void store_sqlite_record_all(struct store *store, const struct record *const *lists, size_t count,
                                    struct err *verdicts)
{
    batch_record(store, store_sqlite_keep_lists, lists, count, verdicts);
}

static struct err store_sqlite_revocations_since(struct store *store, struct arena *arena, int64_t after, int64_t now_s,
                                                 size_t max, struct revocation **out, size_t *count,
                                                 struct sequence *sequence)
{
    struct connection *reader = &sqlite_of(store)->reader;
    sqlite3_stmt *since = statement_of(reader, REVOCATIONS_SINCE);
    struct err err;
    HOLD(reader);
    struct revocation *found = arena_alloc(arena, max * sizeof *found);
    size_t got = 0;
    sqlite3_bind_int64(since, 1, after);
    sqlite3_bind_int64(since, 2, now_s);
    sqlite3_bind_int64(since, 3, (int64_t)max);
    while (sqlite_next(&reader->sqlite, since, &err)) {
        found[got].position = sqlite3_column_int64(since, 0);
        sqlite_column_bytes(since, 1, found[got].hash, sizeof found[got].hash);
        found[got].reason = sqlite_column_str(arena, since, 3);
        found[got].kind = (enum revocation_kind)sqlite3_column_int(since, 4);
        found[got].before = store_seconds(sqlite3_column_int64(since, 5));
        found[got++].expires_at = store_seconds(sqlite3_column_int64(since, 2));
    }
    TRY(err);
    *out = found;
    *count = got;
    *sequence = (struct sequence){ sqlite_of(store)->epoch, INT64_MAX };
    return OK;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

/* Read on the connection that writes, the version counts only the commits of other processes. */
static bool store_sqlite_has_changed(struct store *store)
{
    struct store_sqlite *sqlite = sqlite_of(store);
    sqlite3_stmt *read = statement_of(&sqlite->writer, DATA_VERSION);
    struct err err;
    HOLD(&sqlite->writer);
    if (!sqlite_next(&sqlite->writer.sqlite, read, &err))
        return false;
    int64_t before = sqlite->data_version;
    sqlite->data_version = sqlite3_column_int64(read, 0);
    sqlite3_reset(read);
    return sqlite->data_version != before;
}

/* One process serves from a data directory (app.c), and keys are made nowhere else but in commands beside it. */
static struct err store_sqlite_take_lease(struct store *store, struct str name, int64_t ttl_s)
{
    (void)store;
    (void)name;
    (void)ttl_s;
    return OK;
}

static struct err store_sqlite_drop_lease(struct store *store, struct str name)
{
    (void)store;
    (void)name;
    return OK;
}

static struct err store_sqlite_check(struct store *store)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct client nobody;
    struct err err = store_sqlite_find_client(store, &arena, STR(""), &nobody);
    if (err.code && err.code != ERR_NOT_FOUND)
        return err;
    struct connection *writer = &sqlite_of(store)->writer;
    HOLD(writer);
    return sqlite_do(&writer->sqlite, statement_of(writer, CHECK));
}

static void store_sqlite_connection_close(struct connection *connection)
{
    sqlite_close(&connection->sqlite);
    pthread_mutex_destroy(&connection->lock);
}

static void store_sqlite_close_sqlite(struct store *store)
{
    struct store_sqlite *sqlite = sqlite_of(store);
    store_sqlite_connection_close(&sqlite->reader);
    store_sqlite_connection_close(&sqlite->writer); /* last: it leaves no write-ahead log behind */
    free(sqlite);
}

static const struct store_ops sqlite_ops = {
    .name = "sqlite",
    .find_client = store_sqlite_find_client,
    .list_clients = store_sqlite_list_clients,
    .add_client = store_sqlite_add_client,
    .change_client = store_sqlite_change_client,
    .delete_client = store_sqlite_delete_client,
    .list_keys = sqlite_list_keys,
    .list_past_keys = sqlite_list_past_keys,
    .find_key = sqlite_find_key,
    .add_first_key = sqlite_add_first_key,
    .add_pending_key = sqlite_add_pending_key,
    .activate_key = sqlite_activate_key,
    .retire_key = sqlite_retire_key,
    .revoke_key = sqlite_revoke_key,
    .request_rotation = sqlite_request_rotation,
    .raise_key_lifetime = sqlite_raise_lifetime,
    .mark_key_disposed = sqlite_mark_key_disposed,
    .find_item = sqlite_find_item,
    .list_items = sqlite_list_items,
    .list_events = sqlite_list_events,
    .drop_events = sqlite_drop_events,
    .count_events = sqlite_count_events,
    .record = store_sqlite_record_all,
    .revocations_since = store_sqlite_revocations_since,
    .purge = sqlite_purge,
    .has_changed = store_sqlite_has_changed,
    .take_lease = store_sqlite_take_lease,
    .drop_lease = store_sqlite_drop_lease,
    .check = store_sqlite_check,
    .close = store_sqlite_close_sqlite,
};

static struct err store_sqlite_open_both(struct store_sqlite *sqlite, const char *path)
{
    TRY(sqlite_open(path, &sqlite->writer.sqlite));
    TRY(sqlite_migrate(&sqlite->writer.sqlite, store_sqlite_migrations, STORE_SQLITE_VERSION));
    TRY(sqlite_prepare(&sqlite->writer.sqlite, store_sqlite_texts, STATEMENTS));
    TRY(sqlite_open(path, &sqlite->reader.sqlite));
    return sqlite_prepare(&sqlite->reader.sqlite, store_sqlite_texts, STATEMENTS);
}

/* As it is; or in memory, where each connection has an empty database of its own. */
static struct err store_sqlite_look_into(struct connection *connection, const char *path)
{
    const bool is_empty = strcmp(path, NOWHERE) == 0;
    TRY(sqlite_open_as_it_is(path, &connection->sqlite));
    TRY(is_empty ? sqlite_migrate(&connection->sqlite, store_sqlite_migrations, STORE_SQLITE_VERSION)
                 : sqlite_check_version(&connection->sqlite, STORE_SQLITE_VERSION));
    return sqlite_prepare(&connection->sqlite, store_sqlite_texts, STATEMENTS);
}

static struct err store_sqlite_look_into_both(struct store_sqlite *sqlite, const char *path)
{
    TRY(store_sqlite_look_into(&sqlite->writer, path));
    return store_sqlite_look_into(&sqlite->reader, path);
}

/* It is there before any key: keys without it are of a directory of before, or of a database that was lost. */
static struct err store_sqlite_check_identity(struct store_sqlite *sqlite, const char *dir)
{
    AUTO(arena_release) struct arena arena = { 0 };
    sqlite3_stmt *read = statement_of(&sqlite->writer, READ_IDENTITY);
    struct str id = STR("");
    struct err err;
    if (sqlite_next(&sqlite->writer.sqlite, read, &err))
        id = sqlite_column_str(&arena, read, 0);
    sqlite3_reset(read);
    TRY(err);
    if (id.len != IDENTITY_LEN)
        return failed(ERR_UNAVAILABLE, "the database in TOKEN_DATA_DIR has lost its id");
    return identity_check(dir, id);
}

struct place {
    char dir[PATH_MAX], path[PATH_MAX];
    bool is_there; /* the database */
};

/* SQLite does not follow symbolic links, so that nobody can put one in the file's place; links on the way are the
 * operator's. ERR_NOT_FOUND: there is no such directory. */
static struct err store_sqlite_find_place(const struct settings *settings, struct place *out)
{
    if (!realpath(settings->data_dir, out->dir))
        return failed(errno == ENOENT ? ERR_NOT_FOUND : ERR_INVALID_REQUEST, "TOKEN_DATA_DIR can't be reached");
    int len = snprintf(out->path, sizeof out->path, "%s/token-service.db", out->dir);
    if (len < 0 || (size_t)len >= sizeof out->path)
        return failed(ERR_INVALID_REQUEST, "TOKEN_DATA_DIR is too long");
    out->is_there = access(out->path, F_OK) == 0 || errno != ENOENT;
    return out->is_there ? OK : identity_may_begin(out->dir);
}

static struct store_sqlite *store_sqlite_new_sqlite(void)
{
    struct store_sqlite *sqlite = mem_alloc(sizeof *sqlite);
    *sqlite = (struct store_sqlite){ .store.ops = &sqlite_ops };
    random_bytes(&sqlite->next_id, sizeof sqlite->next_id); /* elsewhere than other processes */
    random_bytes(&sqlite->epoch, sizeof sqlite->epoch);
    sqlite->epoch |= 1; /* never 0 */
    pthread_mutex_init(&sqlite->writer.lock, NULL);
    pthread_mutex_init(&sqlite->reader.lock, NULL);
    return sqlite;
}

struct err store_sqlite_open(const struct settings *settings, struct store **out)
{
    struct place place;
    TRY(store_make_dir(settings));
    struct err err = store_sqlite_find_place(settings, &place);
    if (err.code)
        return failed(ERR_INVALID_REQUEST, err.why);
    struct store_sqlite *sqlite = store_sqlite_new_sqlite();
    err = store_sqlite_open_both(sqlite, place.path);
    if (!err.code)
        err = store_sqlite_check_identity(sqlite, place.dir);
    if (err.code) {
        store_sqlite_close_sqlite(&sqlite->store);
        return err;
    }
    *out = &sqlite->store;
    return OK;
}

/* Whether the directory could be made: else it is a wrong one, and not one that is empty. */
static bool store_sqlite_has_parent(const char *path)
{
    char text[PATH_MAX];
    return snprintf(text, sizeof text, "%s", path) < PATH_MAX && access(dirname(text), F_OK) == 0;
}

struct err store_sqlite_look(const struct settings *settings, struct store **out)
{
    struct place place = { .is_there = false };
    struct err err = store_sqlite_find_place(settings, &place);
    if (err.code == ERR_NOT_FOUND && !store_sqlite_has_parent(settings->data_dir))
        return failed(ERR_INVALID_REQUEST, "neither TOKEN_DATA_DIR nor its parent directory exists");
    if (err.code && err.code != ERR_NOT_FOUND)
        return err;
    struct store_sqlite *sqlite = store_sqlite_new_sqlite();
    err = store_sqlite_look_into_both(sqlite, place.is_there ? place.path : NOWHERE);
    if (err.code) {
        store_sqlite_close_sqlite(&sqlite->store);
        return err;
    }
    *out = &sqlite->store;
    return OK;
}

bool store_sqlite_exists(const struct settings *settings)
{
    struct place place = { .is_there = false };
    return !store_sqlite_find_place(settings, &place).code && place.is_there;
}
