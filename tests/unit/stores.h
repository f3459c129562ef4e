/* tests/unit/stores.h: the stores, for the suites that run over every one of them. A new store is added to `kinds` and
 * is done when it passes.
 *
 * The shared stores need servers: the integration tests (test_stores.py) start them and run these programs with
 * TOKEN_TEST_DATABASE_URL, a migrated database that may be emptied, and TOKEN_TEST_SUPABASE_URL with
 * TOKEN_TEST_SUPABASE_KEY, a PostgREST over it. Without them a suite runs over SQLite alone. */
#ifndef STORES_H
#define STORES_H

#include "folder.h"
#include "observe/log.h"
#include "store/store.h"
#include <libpq-fe.h>
#include <sqlite3.h>

static const struct {
    const char *name;
    struct err (*open)(const struct settings *, struct store **);
    const char *variable; /* that must be set */
} kinds[] = { { "sqlite", store_sqlite_open, NULL },
              { "postgres", store_postgres_open, "TOKEN_TEST_DATABASE_URL" },
              { "supabase", store_supabase_open, "TOKEN_TEST_SUPABASE_URL" } };

static size_t kind; /* that the suite runs over now */

static inline const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value ? value : "";
}

/* Whether the suite can run over this kind here; says which it is. */
static inline bool has_kind(void)
{
    if (kinds[kind].variable && !environment(kinds[kind].variable)[0])
        return false;
    print_message("--- %s\n", kinds[kind].name);
    return true;
}

/* Runs a suite over each kind that there is, and `shared` over those that instances share. How many tests failed. */
#define RUN_OVER_STORES(conformance, shared) run_over_stores((conformance), COUNT(conformance), (shared), COUNT(shared))
static inline int run_over_stores(const struct CMUnitTest *conformance, size_t count, const struct CMUnitTest *shared,
                                  size_t shared_count)
{
    int bad = 0;
    for (kind = 0; kind < COUNT(kinds); kind++) {
        if (!has_kind())
            continue;
        bad += _cmocka_run_group_tests("conformance", conformance, count, NULL, NULL);
        if (kind > 0)
            bad += _cmocka_run_group_tests("shared", shared, shared_count, NULL, NULL);
    }
    return bad;
}

static inline struct store *open_store(void)
{
    const struct settings settings = { .data_dir = folder,
                                       .database_url = environment("TOKEN_TEST_DATABASE_URL"),
                                       .database_connections = 4,
                                       .store_timeout_s = 20,
                                       .supabase_url = environment("TOKEN_TEST_SUPABASE_URL"),
                                       .supabase_service_key = environment("TOKEN_TEST_SUPABASE_KEY") };
    struct store *store = NULL;
    assert_ok(kinds[kind].open(&settings, &store));
    assert_string_equal(store->ops->name, kinds[kind].name);
    return store;
}

/* Runs a statement on the shared database, as the tests' own eye and hand; the first column of its first row. */
static inline int64_t pg(const char *text)
{
    PGconn *connection = PQconnectdb(environment("TOKEN_TEST_DATABASE_URL"));
    PGresult *result = PQexec(connection, text);
    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
        fail_msg("%s: %s", text, PQerrorMessage(connection));
    int64_t first = PQntuples(result) > 0 ? strtoll(PQgetvalue(result, 0, 0), NULL, 10) : -1;
    PQclear(result);
    PQfinish(connection);
    return first;
}

#define DATABASE "token-service.db"

/* The same on SQLite's file. */
static inline int64_t sql(const char *text)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    int64_t result = -1;
    assert_int_equal(sqlite3_open_v2(in_folder(DATABASE), &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    sqlite3_busy_timeout(db, 2000);
    if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) != SQLITE_OK)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        result = sqlite3_column_int64(statement, 0);
    else if (code != SQLITE_DONE)
        fail_msg("%s: %s", text, sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return result;
}

#define OPEN(handle) AUTO(store_closep) struct store *handle = open_store()

static inline void hash_of(uint64_t number, unsigned char hash[32])
{
    memset(hash, 0xab, 32);
    memcpy(hash, &number, sizeof number);
}

static inline struct record token_of(uint64_t number, enum token_kind token_kind, int64_t expires_at)
{
    struct record record = { .kind = RECORD_TOKEN,
                             .token_kind = token_kind,
                             .jti = STR("jti"),
                             .subject = STR("sub"),
                             .client_id = STR("client"),
                             .scope = STR("a b"),
                             .audience = STR("[\"client\"]"),
                             .issued_at = 1000,
                             .expires_at = expires_at };
    hash_of(number, record.token_hash);
    return record;
}

static inline struct record revocation_of(uint64_t number, enum token_kind token_kind, int64_t expires_at)
{
    struct record record = { .kind = RECORD_REVOCATION,
                             .token_kind = token_kind,
                             .reason = STR("lost"),
                             .revoked_by = STR("client"),
                             .issued_at = 1500,
                             .expires_at = expires_at,
                             .token_expires_at = expires_at };
    hash_of(number, record.token_hash);
    return record;
}

/* The first verdict that is not OK. */
static inline struct err record_many(struct store *store, const struct record *const *lists, size_t count)
{
    struct err verdicts[300];
    assert_true(count <= COUNT(verdicts));
    memset(verdicts, 0x5a, sizeof verdicts); /* each must be told */
    store->ops->record(store, lists, count, verdicts);
    for (size_t i = 0; i < count; i++)
        if (verdicts[i].code)
            return verdicts[i];
    return OK;
}

static inline struct err record_one(struct store *store, const struct record *record)
{
    return record_many(store, &record, 1);
}

static inline int begin(void **state)
{
    log_configure(LOG_ERROR, LOG_JSON); /* the failures here are wanted, but their lines may help */
    if (kind > 0)
        pg("DELETE FROM token_service_unlinked_tokens; DELETE FROM oauth_access_tokens; DELETE FROM "
           "oauth_refresh_tokens; DELETE FROM token_service_revocations; DELETE FROM token_service_events; DELETE FROM "
           "token_service_leases; DELETE FROM token_service_items; DELETE FROM oauth_jwks WHERE state IS NOT NULL; "
           "DELETE FROM oauth_clients; DELETE FROM auth.users");
    return folder_begin(state);
}
#define IN_EACH(function) cmocka_unit_test_setup_teardown(function, begin, folder_finish)

#endif
