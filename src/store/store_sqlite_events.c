/* store/store_sqlite_events.c: events in the embedded store. They are added at the end of the table and taken from its
 * beginning. */
#include "store/store_sqlite.h"

struct err sqlite_add_event(struct connection *writer, const struct event *event)
{
    sqlite3_stmt *add = statement_of(writer, ADD_EVENT);
    sqlite_bind_str(add, 1, event->type);
    sqlite_bind_str(add, 2, event->detail);
    sqlite3_bind_int64(add, 3, event->created_at);
    return sqlite_do(&writer->sqlite, add);
}

struct err sqlite_list_events(struct store *store, struct arena *arena, int64_t after, size_t max, struct event **out,
                              size_t *count)
{
    struct connection *reader = &sqlite_of(store)->reader;
    sqlite3_stmt *list = statement_of(reader, LIST_EVENTS);
    const size_t most = max < EVENTS_LISTED_MAX ? max : EVENTS_LISTED_MAX;
    struct event *events = arena_alloc(arena, (most + 1) * sizeof *events); /* one more: max may be 0 */
    struct err err;
    size_t found = 0;
    HOLD(reader);
    sqlite3_bind_int64(list, 1, after);
    sqlite3_bind_int64(list, 2, (int64_t)most);
    while (sqlite_next(&reader->sqlite, list, &err))
        events[found++] = (struct event){ .position = sqlite3_column_int64(list, 0),
                                          .type = sqlite_column_str(arena, list, 1),
                                          .detail = sqlite_column_str(arena, list, 2),
                                          .created_at = store_seconds(sqlite3_column_int64(list, 3)) };
    TRY(err);
    *out = events;
    *count = found;
    return OK;
}

static struct err store_sqlite_events_drop_all(struct connection *writer, const struct event *events, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sqlite3_stmt *drop = statement_of(writer, DROP_EVENT);
        sqlite3_bind_int64(drop, 1, events[i].position);
        TRY(sqlite_do(&writer->sqlite, drop));
    }
    return OK;
}

struct err sqlite_drop_events(struct store *store, const struct event *events, size_t count)
{
    struct connection *writer = &sqlite_of(store)->writer;
    HOLD(writer);
    TRY(transaction_begin(writer));
    return transaction_end(writer, store_sqlite_events_drop_all(writer, events, count));
}

struct err sqlite_count_events(struct store *store, size_t max, size_t *count, int64_t *oldest_at)
{
    struct connection *reader = &sqlite_of(store)->reader;
    sqlite3_stmt *read = statement_of(reader, COUNT_EVENTS);
    struct err err;
    HOLD(reader);
    sqlite3_bind_int64(read, 1, (int64_t)max);
    if (!sqlite_next(&reader->sqlite, read, &err))
        return err;
    *count = (size_t)sqlite3_column_int64(read, 0);
    *oldest_at = store_seconds(sqlite3_column_int64(read, 1));
    sqlite3_reset(read);
    return OK;
}
