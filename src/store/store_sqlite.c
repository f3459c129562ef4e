/* store/store_sqlite.c: the embedded store: one SQLite file in the data directory.
 *
 * Two connections: one writes, one reads, so that looking a client up never waits for a commit. Access tokens lie in
 * the order in which they were issued, with an index on their expiry and none on their hash: a new one goes to the end
 * of both trees, where its neighbours are, and dirties no page of its own, as a random hash would. A revocation finds
 * its row among those that expire in the same second. */
#include "store/sqlite.h"
#include "store/store.h"
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { KEYS_MAX = 64 };

static const char *const migrations[] = {
    "CREATE TABLE oauth_clients("
    " client_id TEXT PRIMARY KEY, client_name TEXT NOT NULL,"
    " client_type TEXT NOT NULL CHECK (client_type IN ('confidential', 'public')),"
    " client_secret_hash BLOB NOT NULL, allowed_scopes TEXT NOT NULL,"
    " access_token_ttl INTEGER NOT NULL, refresh_token_ttl INTEGER NOT NULL, id_token_ttl INTEGER NOT NULL,"
    " is_active INTEGER NOT NULL, created_at INTEGER NOT NULL) STRICT;"

    "CREATE TABLE oauth_jwks("
    " kid TEXT PRIMARY KEY, alg TEXT NOT NULL, public_key TEXT NOT NULL, private_key_ref TEXT NOT NULL,"
    " state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5), created_at INTEGER NOT NULL, activated_at INTEGER NOT NULL,"
    " retired_at INTEGER NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX oauth_jwks_one_active ON oauth_jwks(state) WHERE state = 2;"

    "CREATE TABLE oauth_access_tokens("
    " expires_at INTEGER NOT NULL, token_hash BLOB NOT NULL, jti TEXT NOT NULL, subject TEXT NOT NULL,"
    " client_id TEXT NOT NULL, scope TEXT NOT NULL, audience TEXT NOT NULL, issued_at INTEGER NOT NULL,"
    " revoked_at INTEGER, revoked_by TEXT, revocation_reason TEXT,"
    " id INTEGER PRIMARY KEY) STRICT;"
    "CREATE INDEX oauth_access_tokens_expiry ON oauth_access_tokens(expires_at);"

    "CREATE TABLE oauth_refresh_tokens("
    " id INTEGER PRIMARY KEY, token_hash BLOB NOT NULL UNIQUE, expires_at INTEGER NOT NULL, jti TEXT NOT NULL,"
    " subject TEXT NOT NULL, client_id TEXT NOT NULL, scope TEXT NOT NULL, audience TEXT NOT NULL,"
    " issued_at INTEGER NOT NULL, revoked_at INTEGER, revoked_by TEXT, revocation_reason TEXT) STRICT;"
    "CREATE INDEX oauth_refresh_tokens_expiry ON oauth_refresh_tokens(expires_at);"

    /* AUTOINCREMENT: a position is never given twice, or those who follow would miss a revocation */
    "CREATE TABLE revocations("
    " position INTEGER PRIMARY KEY AUTOINCREMENT, token_hash BLOB NOT NULL UNIQUE, expires_at INTEGER NOT NULL,"
    " reason TEXT NOT NULL, revoked_by TEXT NOT NULL, revoked_at INTEGER NOT NULL) STRICT;"
    "CREATE INDEX revocations_expiry ON revocations(expires_at);"

    "CREATE TABLE checks(id INTEGER PRIMARY KEY, count INTEGER NOT NULL) STRICT;"
    "INSERT INTO checks VALUES (1, 0);",
};

#define CLIENT_COLUMNS                                                                                                 \
    "client_id, client_name, client_type, client_secret_hash, allowed_scopes, access_token_ttl, refresh_token_ttl, "   \
    "id_token_ttl, is_active, created_at"
#define REVOKE_ROW " SET revoked_at = ?1, revoked_by = ?2, revocation_reason = ?3 "

enum statement {
    FIND_CLIENT,
    LIST_CLIENTS,
    ADD_CLIENT,
    SET_CLIENT_ACTIVE,
    LIST_KEYS,
    ADD_KEY,
    ADD_ACCESS,
    ADD_REFRESH,
    FORGET_REVOCATION,
    ADD_REVOCATION,
    REVOKE_ACCESS,
    REVOKE_REFRESH,
    REVOCATIONS_SINCE,
    PURGE_ACCESS,
    PURGE_REFRESH,
    PURGE_REVOCATIONS,
    CHECK,
    DATA_VERSION,
    BEGIN,
    COMMIT,
    ROLLBACK,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [FIND_CLIENT] = "SELECT " CLIENT_COLUMNS " FROM oauth_clients WHERE client_id = ?1",
    [LIST_CLIENTS] = "SELECT " CLIENT_COLUMNS " FROM oauth_clients ORDER BY client_id LIMIT ?1",
    [ADD_CLIENT] = "INSERT INTO oauth_clients(" CLIENT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) "
                   "ON CONFLICT DO NOTHING",
    [SET_CLIENT_ACTIVE] = "UPDATE oauth_clients SET is_active = ?2 WHERE client_id = ?1",
    [LIST_KEYS] = "SELECT kid, alg, public_key, private_key_ref, state, created_at, activated_at, retired_at "
                  "FROM oauth_jwks WHERE state <> 4 ORDER BY created_at DESC, kid LIMIT ?1",
    [ADD_KEY] =
        "INSERT INTO oauth_jwks(kid, alg, public_key, private_key_ref, state, created_at, activated_at, retired_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
    [ADD_ACCESS] = "INSERT INTO oauth_access_tokens(token_hash, jti, subject, client_id, scope, audience, issued_at, "
                   "expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
    [ADD_REFRESH] = "INSERT INTO oauth_refresh_tokens(token_hash, jti, subject, client_id, scope, audience, issued_at, "
                    "expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) "
                    "ON CONFLICT (token_hash) DO UPDATE SET expires_at = max(expires_at, excluded.expires_at)",
    /* an entry that must be kept for longer gets a new position, so that those who follow hear of it */
    [FORGET_REVOCATION] = "DELETE FROM revocations WHERE token_hash = ?1 AND expires_at < ?2",
    [ADD_REVOCATION] = "INSERT INTO revocations(token_hash, expires_at, reason, revoked_by, revoked_at) "
                       "VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
    [REVOKE_ACCESS] = "UPDATE oauth_access_tokens" REVOKE_ROW
                      "WHERE expires_at = ?5 AND token_hash = ?4 AND revoked_at IS NULL",
    [REVOKE_REFRESH] = "UPDATE oauth_refresh_tokens" REVOKE_ROW "WHERE token_hash = ?4 AND revoked_at IS NULL",
    [REVOCATIONS_SINCE] = "SELECT position, token_hash, expires_at FROM revocations "
                          "WHERE position > ?1 AND expires_at > ?2 ORDER BY position LIMIT ?3",
    [PURGE_ACCESS] = "DELETE FROM oauth_access_tokens WHERE id IN "
                     "(SELECT id FROM oauth_access_tokens WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    [PURGE_REFRESH] = "DELETE FROM oauth_refresh_tokens WHERE id IN "
                      "(SELECT id FROM oauth_refresh_tokens WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    [PURGE_REVOCATIONS] = "DELETE FROM revocations WHERE position IN "
                          "(SELECT position FROM revocations WHERE expires_at < ?1 ORDER BY expires_at LIMIT ?2)",
    [CHECK] = "UPDATE checks SET count = count + 1 WHERE id = 1",
    [DATA_VERSION] = "PRAGMA data_version",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

struct connection {
    struct sqlite sqlite;
    pthread_mutex_t lock;
};

struct store_sqlite {
    struct store store;
    struct connection writer, reader;
    int64_t data_version; /* under the writer's lock */
};

static struct store_sqlite *sqlite_of(struct store *store)
{
    return (struct store_sqlite *)store;
}

static sqlite3_stmt *statement_of(const struct connection *connection, enum statement which)
{
    return connection->sqlite.statements[which];
}

static void unlockp(pthread_mutex_t **lock)
{
    pthread_mutex_unlock(*lock);
}

/* Holds a connection until the end of the scope. */
#define HOLD(connection)                                                                                               \
    AUTO(unlockp) pthread_mutex_t *held_ = &(connection)->lock;                                                        \
    pthread_mutex_lock(held_)

/* --- clients ----------------------------------------------------------------------------------------------------- */

static void read_client(struct arena *arena, sqlite3_stmt *row, struct client *out)
{
    *out = (struct client){ .id = sqlite_column_str(arena, row, 0),
                            .name = sqlite_column_str(arena, row, 1),
                            .is_public = str_eq(sqlite_column_str(arena, row, 2), STR("public")),
                            .scopes = sqlite_column_str(arena, row, 4),
                            .access_ttl_s = sqlite3_column_int64(row, 5),
                            .refresh_ttl_s = sqlite3_column_int64(row, 6),
                            .id_ttl_s = sqlite3_column_int64(row, 7),
                            .is_active = sqlite3_column_int(row, 8) != 0,
                            .created_at = sqlite3_column_int64(row, 9) };
    sqlite_column_bytes(row, 3, out->secret_hash, sizeof out->secret_hash);
}

static struct err find_client(struct store *store, struct arena *arena, struct str id, struct client *out)
{
    struct connection *reader = &sqlite_of(store)->reader;
    sqlite3_stmt *find = statement_of(reader, FIND_CLIENT);
    struct err err;
    HOLD(reader);
    sqlite_bind_str(find, 1, id);
    if (!sqlite_next(&reader->sqlite, find, &err))
        return err.code ? err : failed(ERR_NOT_FOUND, "there is no such client");
    read_client(arena, find, out);
    sqlite3_reset(find);
    return OK;
}

static struct err list_clients(struct store *store, struct arena *arena, size_t max, struct client **out, size_t *count)
{
    struct connection *reader = &sqlite_of(store)->reader;
    sqlite3_stmt *list = statement_of(reader, LIST_CLIENTS);
    struct err err;
    HOLD(reader);
    size_t room = 16, found = 0;
    struct client *clients = arena_alloc(arena, room * sizeof *clients);
    sqlite3_bind_int64(list, 1, (int64_t)max);
    while (sqlite_next(&reader->sqlite, list, &err)) {
        if (found == room) {
            struct client *more = arena_alloc(arena, 2 * room * sizeof *more);
            memcpy(more, clients, found * sizeof *more);
            clients = more;
            room *= 2;
        }
        read_client(arena, list, &clients[found++]);
    }
    TRY(err);
    *out = clients;
    *count = found;
    return OK;
}

static struct err add_client(struct store *store, const struct client *client)
{
    struct connection *writer = &sqlite_of(store)->writer;
    sqlite3_stmt *add = statement_of(writer, ADD_CLIENT);
    HOLD(writer);
    sqlite_bind_str(add, 1, client->id);
    sqlite_bind_str(add, 2, client->name);
    sqlite_bind_str(add, 3, client->is_public ? STR("public") : STR("confidential"));
    sqlite_bind_bytes(add, 4, client->secret_hash, sizeof client->secret_hash);
    sqlite_bind_str(add, 5, client->scopes);
    sqlite3_bind_int64(add, 6, client->access_ttl_s);
    sqlite3_bind_int64(add, 7, client->refresh_ttl_s);
    sqlite3_bind_int64(add, 8, client->id_ttl_s);
    sqlite3_bind_int(add, 9, client->is_active);
    sqlite3_bind_int64(add, 10, client->created_at);
    TRY(sqlite_do(&writer->sqlite, add));
    return sqlite3_changes(writer->sqlite.db) ? OK : failed(ERR_CONFLICT, "there is such a client already");
}

static struct err set_client_active(struct store *store, struct str id, bool active)
{
    struct connection *writer = &sqlite_of(store)->writer;
    sqlite3_stmt *set = statement_of(writer, SET_CLIENT_ACTIVE);
    HOLD(writer);
    sqlite_bind_str(set, 1, id);
    sqlite3_bind_int(set, 2, active);
    TRY(sqlite_do(&writer->sqlite, set));
    return sqlite3_changes(writer->sqlite.db) ? OK : failed(ERR_NOT_FOUND, "there is no such client");
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static struct err list_keys(struct store *store, struct arena *arena, struct key **out, size_t *count)
{
    struct connection *reader = &sqlite_of(store)->reader;
    sqlite3_stmt *list = statement_of(reader, LIST_KEYS);
    struct err err;
    HOLD(reader);
    struct key *keys = arena_alloc(arena, KEYS_MAX * sizeof *keys);
    size_t found = 0;
    sqlite3_bind_int64(list, 1, KEYS_MAX);
    while (sqlite_next(&reader->sqlite, list, &err))
        keys[found++] = (struct key){ .kid = sqlite_column_str(arena, list, 0),
                                      .alg = sqlite_column_str(arena, list, 1),
                                      .public_jwk = sqlite_column_str(arena, list, 2),
                                      .private_ref = sqlite_column_str(arena, list, 3),
                                      .state = (enum key_state)sqlite3_column_int(list, 4),
                                      .created_at = sqlite3_column_int64(list, 5),
                                      .activated_at = sqlite3_column_int64(list, 6),
                                      .retired_at = sqlite3_column_int64(list, 7) };
    TRY(err);
    *out = keys;
    *count = found;
    return OK;
}

static struct err add_first_key(struct store *store, const struct key *key)
{
    struct connection *writer = &sqlite_of(store)->writer;
    sqlite3_stmt *add = statement_of(writer, ADD_KEY);
    HOLD(writer);
    sqlite_bind_str(add, 1, key->kid);
    sqlite_bind_str(add, 2, key->alg);
    sqlite_bind_str(add, 3, key->public_jwk);
    sqlite_bind_str(add, 4, key->private_ref);
    sqlite3_bind_int(add, 5, KEY_ACTIVE);
    sqlite3_bind_int64(add, 6, key->created_at);
    sqlite3_bind_int64(add, 7, key->activated_at);
    sqlite3_bind_int64(add, 8, 0);
    TRY(sqlite_do(&writer->sqlite, add));
    return sqlite3_changes(writer->sqlite.db) ? OK : failed(ERR_CONFLICT, "there is an active key already");
}

/* --- records ----------------------------------------------------------------------------------------------------- */

static struct err add_token(struct connection *writer, const struct record *record)
{
    sqlite3_stmt *add = statement_of(writer, record->token_kind == TOKEN_REFRESH ? ADD_REFRESH : ADD_ACCESS);
    sqlite_bind_bytes(add, 1, record->token_hash, sizeof record->token_hash);
    sqlite_bind_str(add, 2, record->jti);
    sqlite_bind_str(add, 3, record->subject);
    sqlite_bind_str(add, 4, record->client_id);
    sqlite_bind_str(add, 5, record->scope);
    sqlite_bind_str(add, 6, record->audience);
    sqlite3_bind_int64(add, 7, record->issued_at);
    sqlite3_bind_int64(add, 8, record->expires_at);
    return sqlite_do(&writer->sqlite, add);
}

static struct err mark_token(struct connection *writer, const struct record *record)
{
    if (record->token_kind == TOKEN_ID)
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

static struct err add_revocation(struct connection *writer, const struct record *record)
{
    sqlite3_stmt *forget = statement_of(writer, FORGET_REVOCATION), *add = statement_of(writer, ADD_REVOCATION);
    sqlite_bind_bytes(forget, 1, record->token_hash, sizeof record->token_hash);
    sqlite3_bind_int64(forget, 2, record->expires_at);
    TRY(sqlite_do(&writer->sqlite, forget));
    sqlite_bind_bytes(add, 1, record->token_hash, sizeof record->token_hash);
    sqlite3_bind_int64(add, 2, record->expires_at);
    sqlite_bind_str(add, 3, record->reason);
    sqlite_bind_str(add, 4, record->revoked_by);
    sqlite3_bind_int64(add, 5, record->issued_at);
    TRY(sqlite_do(&writer->sqlite, add));
    return mark_token(writer, record);
}

static struct err add_all(struct connection *writer, const struct record *const *lists, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (const struct record *record = lists[i]; record; record = record->next)
            TRY(record->kind == RECORD_REVOCATION ? add_revocation(writer, record) : add_token(writer, record));
    return OK;
}

static struct err record_all(struct store *store, const struct record *const *lists, size_t count)
{
    struct connection *writer = &sqlite_of(store)->writer;
    HOLD(writer);
    TRY(sqlite_do(&writer->sqlite, statement_of(writer, BEGIN)));
    struct err err = add_all(writer, lists, count);
    if (!err.code)
        err = sqlite_do(&writer->sqlite, statement_of(writer, COMMIT));
    if (err.code && !sqlite3_get_autocommit(writer->sqlite.db)) { /* some failures have rolled back by themselves */
        struct err undone = sqlite_do(&writer->sqlite, statement_of(writer, ROLLBACK));
        (void)undone; /* it is logged, and the first failure is what counts */
    }
    return err;
}

static struct err revocations_since(struct store *store, struct arena *arena, int64_t after, int64_t now_s, size_t max,
                                    struct revocation **out, size_t *count)
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
        sqlite_column_bytes(since, 1, found[got].token_hash, sizeof found[got].token_hash);
        found[got++].expires_at = sqlite3_column_int64(since, 2);
    }
    TRY(err);
    *out = found;
    *count = got;
    return OK;
}

static struct err purge(struct store *store, int64_t now_s, size_t max, size_t *deleted)
{
    static const enum statement purges[] = { PURGE_ACCESS, PURGE_REFRESH, PURGE_REVOCATIONS };
    struct connection *writer = &sqlite_of(store)->writer;
    size_t total = 0;
    for (size_t i = 0; i < sizeof purges / sizeof *purges && total < max; i++) {
        sqlite3_stmt *statement = statement_of(writer, purges[i]);
        HOLD(writer);
        sqlite3_bind_int64(statement, 1, now_s);
        sqlite3_bind_int64(statement, 2, (int64_t)(max - total));
        TRY(sqlite_do(&writer->sqlite, statement));
        total += (size_t)sqlite3_changes(writer->sqlite.db);
    }
    *deleted = total;
    return OK;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

/* Asked on the connection that writes, the version counts the commits of other processes alone. */
static bool has_changed(struct store *store)
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

static struct err check(struct store *store)
{
    struct arena arena;
    struct client nobody;
    arena_init(&arena, NULL, 0);
    struct err err = find_client(store, &arena, STR(""), &nobody);
    arena_release(&arena);
    if (err.code && err.code != ERR_NOT_FOUND)
        return err;
    struct connection *writer = &sqlite_of(store)->writer;
    HOLD(writer);
    return sqlite_do(&writer->sqlite, statement_of(writer, CHECK));
}

static void connection_close(struct connection *connection)
{
    sqlite_close(&connection->sqlite);
    pthread_mutex_destroy(&connection->lock);
}

static void close_sqlite(struct store *store)
{
    struct store_sqlite *sqlite = sqlite_of(store);
    connection_close(&sqlite->reader);
    connection_close(&sqlite->writer); /* last: it leaves no write-ahead log behind */
    free(sqlite);
}

static const struct store_ops sqlite_ops = {
    .name = "sqlite",
    .find_client = find_client,
    .list_clients = list_clients,
    .add_client = add_client,
    .set_client_active = set_client_active,
    .list_keys = list_keys,
    .add_first_key = add_first_key,
    .record = record_all,
    .revocations_since = revocations_since,
    .purge = purge,
    .has_changed = has_changed,
    .check = check,
    .close = close_sqlite,
};

static struct err make_dir(const char *path)
{
    struct stat about;
    if (mkdir(path, S_IRWXU) != 0 && errno != EEXIST)
        return failed(ERR_INVALID_REQUEST, "TOKEN_DATA_DIR can't be made: is its parent there, and writable?");
    if (stat(path, &about) != 0 || !S_ISDIR(about.st_mode))
        return failed(ERR_INVALID_REQUEST, "TOKEN_DATA_DIR is no directory");
    return OK;
}

static struct err open_both(struct store_sqlite *sqlite, const char *path)
{
    TRY(sqlite_open(path, &sqlite->writer.sqlite));
    TRY(sqlite_migrate(&sqlite->writer.sqlite, migrations, sizeof migrations / sizeof *migrations));
    TRY(sqlite_prepare(&sqlite->writer.sqlite, texts, STATEMENTS));
    TRY(sqlite_open(path, &sqlite->reader.sqlite));
    return sqlite_prepare(&sqlite->reader.sqlite, texts, STATEMENTS);
}

struct err store_sqlite_open(const struct settings *settings, struct store **out)
{
    char dir[PATH_MAX], path[PATH_MAX];
    TRY(make_dir(settings->data_dir));
    /* SQLite follows no symbolic link, so that nobody puts one in the file's place; links on the way are the operator's
     */
    if (!realpath(settings->data_dir, dir))
        return failed(ERR_INVALID_REQUEST, "TOKEN_DATA_DIR can't be reached");
    int len = snprintf(path, sizeof path, "%s/token-service.db", dir);
    if (len < 0 || (size_t)len >= sizeof path)
        return failed(ERR_INVALID_REQUEST, "TOKEN_DATA_DIR is too long");
    struct store_sqlite *sqlite = mem_alloc(sizeof *sqlite);
    *sqlite = (struct store_sqlite){ .store.ops = &sqlite_ops };
    pthread_mutex_init(&sqlite->writer.lock, NULL);
    pthread_mutex_init(&sqlite->reader.lock, NULL);
    struct err err = open_both(sqlite, path);
    if (err.code) {
        close_sqlite(&sqlite->store);
        return err;
    }
    *out = &sqlite->store;
    return OK;
}

void store_closep(struct store **store)
{
    if (!*store)
        return;
    (*store)->ops->close(*store);
    *store = NULL;
}
