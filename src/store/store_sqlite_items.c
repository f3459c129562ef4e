/* store/store_sqlite_items.c: items in the embedded store. There is one writer, within a transaction: so what it has
 * judged stays true until it has changed it. */
#include "store/store_sqlite.h"

static void store_sqlite_items_read(struct arena *arena, sqlite3_stmt *row, struct item *out)
{
    *out = (struct item){ .kind = (enum item_kind)sqlite3_column_int(row, 0),
                          .version = sqlite3_column_int64(row, 2),
                          .expires_at = store_seconds(sqlite3_column_int64(row, 3)),
                          .client_id = sqlite_column_str(arena, row, 4),
                          .subject = sqlite_column_str(arena, row, 5),
                          .sid = sqlite_column_str(arena, row, 6),
                          .body = sqlite_column_str(arena, row, 7) };
    sqlite_column_bytes(row, 1, out->id, sizeof out->id);
}

struct err sqlite_find_item(struct store *store, struct arena *arena, enum item_kind kind, const unsigned char id[32],
                            struct item *out)
{
    struct connection *reader = &sqlite_of(store)->reader;
    sqlite3_stmt *find = statement_of(reader, FIND_ITEM);
    struct err err;
    HOLD(reader);
    sqlite3_bind_int(find, 1, (int)kind);
    sqlite_bind_bytes(find, 2, id, 32);
    if (!sqlite_next(&reader->sqlite, find, &err))
        return err.code ? err : failed(ERR_NOT_FOUND, "there is no such item");
    store_sqlite_items_read(arena, find, out);
    sqlite3_reset(find);
    return OK;
}

/* Sessions by an index, of the text that names fewer of them; of other kinds all are looked at. */
static enum statement store_sqlite_items_list_for(const struct item_query *query)
{
    if (query->kind == ITEM_SESSION && query->sid.len > 0)
        return LIST_SESSIONS_OF_SID;
    return query->kind == ITEM_SESSION && query->subject.len > 0 ? LIST_SESSIONS_OF_SUBJECT : LIST_ITEMS;
}

struct err sqlite_list_items(struct store *store, struct arena *arena, const struct item_query *query,
                             struct item **out, size_t *count)
{
    struct connection *reader = &sqlite_of(store)->reader;
    sqlite3_stmt *list = statement_of(reader, store_sqlite_items_list_for(query));
    const size_t max = query->max < ITEMS_LISTED_MAX ? query->max : ITEMS_LISTED_MAX;
    struct item *items = arena_alloc(arena, (max + 1) * sizeof *items); /* one more: max may be 0 */
    struct err err;
    size_t found = 0;
    HOLD(reader);
    sqlite3_bind_int(list, 1, (int)query->kind);
    sqlite_bind_bytes(list, 2, query->after, sizeof query->after);
    sqlite_bind_str(list, 3, query->client_id);
    sqlite_bind_str(list, 4, query->subject);
    sqlite_bind_str(list, 5, query->sid);
    sqlite3_bind_int64(list, 6, (int64_t)max);
    while (sqlite_next(&reader->sqlite, list, &err))
        store_sqlite_items_read(arena, list, &items[found++]);
    TRY(err);
    *out = items;
    *count = found;
    return OK;
}

/* What is there now: *version is 0 when nothing is, or what is there was deleted. */
static struct err store_sqlite_items_look(struct connection *writer, const struct item *item, int64_t *version,
                                          bool *is_changed_so, uint64_t change)
{
    sqlite3_stmt *read = statement_of(writer, READ_ITEM_CHANGE);
    struct err err;
    *version = 0;
    *is_changed_so = false;
    sqlite3_bind_int(read, 1, (int)item->kind);
    sqlite_bind_bytes(read, 2, item->id, sizeof item->id);
    if (!sqlite_next(&writer->sqlite, read, &err))
        return err;
    *is_changed_so = (uint64_t)sqlite3_column_int64(read, 1) == change;
    if (sqlite3_column_int(read, 2))
        *version = sqlite3_column_int64(read, 0);
    sqlite3_reset(read);
    return OK;
}

struct err sqlite_judge_items(struct connection *writer, const struct record *list, struct err *verdict)
{
    *verdict = item_check_list(list);
    for (const struct record *record = list; record && !verdict->code; record = record->next) {
        int64_t version = 0;
        bool is_changed_so = false;
        if (record->kind != RECORD_ITEM)
            continue;
        TRY(store_sqlite_items_look(writer, record->item, &version, &is_changed_so, record->item_change));
        if (!is_changed_so && version != record->item_version)
            *verdict = failed(ERR_CONFLICT, "another request was faster; try again");
    }
    return OK;
}

static struct err store_sqlite_items_put(struct connection *writer, const struct record *record,
                                         enum statement statement)
{
    const struct item *item = record->item;
    sqlite3_stmt *put = statement_of(writer, statement);
    sqlite3_bind_int(put, 1, (int)item->kind);
    sqlite_bind_bytes(put, 2, item->id, sizeof item->id);
    sqlite3_bind_int64(put, 3, record->item_version + 1);
    sqlite3_bind_int64(put, 4, (int64_t)record->item_change);
    sqlite3_bind_int64(put, 5, item->expires_at);
    sqlite_bind_str(put, 6, item->client_id);
    sqlite_bind_str(put, 7, item->subject);
    sqlite_bind_str(put, 8, item->sid);
    sqlite_bind_str(put, 9, item->body);
    return sqlite_do(&writer->sqlite, put);
}

/* Again, it changes nothing. An upsert takes an item out of each index and puts it back, whether that changes anything
 * or not; most changes are of the body alone, and then no index is touched. */
struct err sqlite_put_item(struct connection *writer, const struct record *record)
{
    if (record->item_version > 0 && record->item->body.len > 0) {
        TRY(store_sqlite_items_put(writer, record, CHANGE_ITEM));
        if (sqlite3_changes(writer->sqlite.db) > 0)
            return OK;
    }
    return store_sqlite_items_put(writer, record, PUT_ITEM);
}
