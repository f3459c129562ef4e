/* store/store_sqlite_purge.c: rows that have expired go. The pages that they leave are used again by what comes, so the
 * file stays as large as it once had to be.
 *
 * Access tokens, of which there are the most, lie in the order in which they expire: those at the beginning go, page
 * after page, by one sweep. The others are found by an index.
 *
 * It need not be durable at once: rows that come back after a crash are purged again. So these transactions are not
 * flushed by themselves, but with the next one that is, which comes after them in the same log. */
#include "base/clock.h"
#include "store/store_sqlite.h"

enum { EVENT_KEPT_S = 30 * 24 * 3600 + STORE_TOKEN_KEPT_S };

/* Those with a lower id are at most `max`. */
static struct err store_sqlite_purge_find_end(struct connection *writer, int64_t before_s, size_t max, int64_t *end)
{
    sqlite3_stmt *find = statement_of(writer, FIND_PURGE_END);
    struct err err;
    sqlite3_bind_int64(find, 1, before_s);
    sqlite3_bind_int64(find, 2, (int64_t)max);
    if (sqlite_next(&writer->sqlite, find, &err))
        *end = sqlite3_column_int64(find, 0);
    sqlite3_reset(find);
    return err;
}

/* Adds to *total, which stays at or below `max`. */
static struct err store_sqlite_purge_all(struct connection *writer, int64_t now_s, size_t max, size_t *total)
{
    static const struct {
        enum statement statement;
        int64_t kept_s;
    } purges[] = { { PURGE_REFRESH, STORE_TOKEN_KEPT_S },
                   { PURGE_REVOCATIONS, STORE_REVOCATION_KEPT_S },
                   { PURGE_EVENTS, EVENT_KEPT_S },
                   { PURGE_ITEMS, STORE_TOKEN_KEPT_S } };
    int64_t end = 0;
    sqlite3_stmt *sweep = statement_of(writer, PURGE_ACCESS);
    TRY(store_sqlite_purge_find_end(writer, now_s - STORE_TOKEN_KEPT_S, max, &end));
    sqlite3_bind_int64(sweep, 1, end);
    TRY(sqlite_do(&writer->sqlite, sweep));
    *total = (size_t)sqlite3_changes(writer->sqlite.db);
    for (size_t i = 0; i < sizeof purges / sizeof *purges && *total < max; i++) {
        sqlite3_stmt *statement = statement_of(writer, purges[i].statement);
        sqlite3_bind_int64(statement, 1, now_s - purges[i].kept_s);
        sqlite3_bind_int64(statement, 2, (int64_t)(max - *total));
        TRY(sqlite_do(&writer->sqlite, statement));
        *total += (size_t)sqlite3_changes(writer->sqlite.db);
    }
    return OK;
}

static struct err store_sqlite_purge_unflushed(struct connection *writer, int64_t now_s, size_t max, size_t *total)
{
    struct err err = sqlite_flush(&writer->sqlite, false);
    if (!err.code)
        err = transaction_begin(writer);
    if (!err.code)
        err = transaction_end(writer, store_sqlite_purge_all(writer, now_s, max, total));
    const struct err flushes = sqlite_flush(&writer->sqlite, true);
    return err.code ? err : flushes;
}

struct err sqlite_purge(struct store *store, int64_t now_s, size_t max, size_t *deleted, int64_t *held_ns)
{
    struct connection *writer = &sqlite_of(store)->writer;
    size_t total = 0;
    HOLD(writer);
    const int64_t began_ns = clock_ns();
    TRY(store_sqlite_purge_unflushed(writer, now_s, max, &total));
    *deleted = total;
    if (held_ns)
        *held_ns = clock_ns() - began_ns;
    return OK;
}
