/* store/platform_items.c: items in the platform's database. An id is hexadecimal there; a change, a number with a sign.
 */
#include "base/hex.h"
#include "store/platform.h"

static const char not_understood[] = "the database gave a response that is not understood";

static void platform_items_put_id(struct buf *args, const char *name, const unsigned char id[32])
{
    char text[65];
    platform_put_str(args, name, hex_write(id, 32, text));
}

/* Of the kind that was asked for. */
static bool platform_items_read(const struct json *row, enum item_kind kind, struct item *out)
{
    *out = (struct item){ .kind = kind,
                          .version = platform_int(row, "version"),
                          .expires_at = store_seconds(platform_int(row, "expires")),
                          .client_id = platform_str(row, "client"),
                          .subject = platform_str(row, "subject"),
                          .sid = platform_str(row, "sid"),
                          .body = platform_str(row, "body") };
    return hex_read(platform_str(row, "id"), out->id, sizeof out->id) && out->version > 0 && out->body.len > 0;
}

struct err platform_find_item(struct store *store, struct arena *arena, enum item_kind kind, const unsigned char id[32],
                              struct item *out)
{
    const struct json *answer = NULL;
    struct buf args;
    platform_begin(&args, arena);
    platform_put_str(&args, "kind", item_kind_name(kind));
    platform_items_put_id(&args, "id", id);
    TRY(platform_do(store, arena, "token_service_find_item", &args, PLATFORM_REPEATABLE, "there is no such item",
                    &answer));
    return platform_items_read(answer, kind, out) && memcmp(out->id, id, sizeof out->id) == 0
               ? OK
               : failed(ERR_UNAVAILABLE, not_understood);
}

/* No item has a text that can't be held there (item_check_list). */
static bool platform_items_may_exist(const struct item_query *query)
{
    return platform_can_hold(query->client_id) && platform_can_hold(query->subject) && platform_can_hold(query->sid);
}

static struct err platform_items_ask_list(struct store *store, struct arena *arena, const struct item_query *query,
                                          size_t max, const struct json **answer)
{
    struct buf args;
    platform_begin(&args, arena);
    platform_put_str(&args, "kind", item_kind_name(query->kind));
    platform_put_str(&args, "client", query->client_id);
    platform_put_str(&args, "subject", query->subject);
    platform_put_str(&args, "sid", query->sid);
    platform_items_put_id(&args, "after", query->after);
    platform_put_int(&args, "max", (int64_t)max);
    return platform_do(store, arena, "token_service_list_items", &args, PLATFORM_REPEATABLE, "", answer);
}

struct err platform_list_items(struct store *store, struct arena *arena, const struct item_query *query,
                               struct item **out, size_t *count)
{
    const size_t max = query->max < ITEMS_LISTED_MAX ? query->max : ITEMS_LISTED_MAX;
    struct item *items = arena_alloc(arena, (max + 1) * sizeof *items); /* one more: max may be 0 */
    const struct json *answer = NULL, *row = NULL;
    struct str rest = STR(""), line;
    size_t found = 0;
    if (platform_items_may_exist(query)) {
        TRY(platform_items_ask_list(store, arena, query, max, &answer));
        rest = platform_rows(answer);
    }
    for (; found < max && platform_next_row(&rest, &line); found++)
        if (json_parse(arena, line, &row).code || !platform_items_read(row, query->kind, &items[found]))
            return failed(ERR_UNAVAILABLE, not_understood);
    *out = items;
    *count = found;
    return OK;
}

/* --- records ----------------------------------------------------------------------------------------------------- */

bool platform_check_items(const struct record *const *lists, size_t count, struct err *verdicts)
{
    bool has_items = false;
    for (size_t i = 0; i < count; i++) {
        if (!item_is_among(lists[i]))
            continue;
        has_items = true;
        verdicts[i] = item_check_list(lists[i]);
    }
    return has_items;
}

static void platform_items_put_item(struct buf *args, const struct record *record, size_t list)
{
    const struct item *item = record->item;
    if (args->at[args->len - 1] != '[')
        buf_add_char(args, ',');
    buf_add_char(args, '{');
    platform_put_int(args, "list", (int64_t)list);
    platform_put_str(args, "kind", item_kind_name(item->kind));
    platform_items_put_id(args, "id", item->id);
    platform_put_int(args, "was", record->item_version);
    platform_put_int(args, "change", (int64_t)record->item_change);
    platform_put_int(args, "expires", item->expires_at);
    platform_put_str(args, "client", item->client_id);
    platform_put_str(args, "subject", item->subject);
    platform_put_str(args, "sid", item->sid);
    platform_put_str(args, "body", item->body);
    buf_add_char(args, '}');
}

void platform_put_items(struct buf *args, const struct record *const *lists, size_t count, const struct err *verdicts)
{
    json_write_name(args, STR("items"));
    buf_add_char(args, '[');
    for (size_t i = 0; i < count; i++)
        for (const struct record *record = verdicts[i].code ? NULL : lists[i]; record && !args->overflowed;
             record = record->next)
            if (record->kind == RECORD_ITEM)
                platform_items_put_item(args, record, i);
    buf_add_char(args, ']');
}

bool platform_read_conflicts(const struct json *answer, const struct record *const *lists, size_t count,
                             struct err *verdicts)
{
    const struct json *conflicts = json_member(answer, STR("conflicts"));
    if (!conflicts || conflicts->kind != JSON_ARRAY)
        return false;
    for (const struct json *each = conflicts->child; each; each = each->next) {
        int64_t number = 0;
        if (!json_int(each, 0, (int64_t)count - 1, &number) || !item_is_among(lists[number]))
            return false;
        verdicts[number] = failed(ERR_CONFLICT, "another request was faster; try again");
    }
    return true;
}

struct err platform_purge_items(struct store *store, int64_t now_s, size_t max, size_t *deleted)
{
    AUTO(arena_release) struct arena arena = { 0 };
    const struct json *answer = NULL;
    struct buf args;
    platform_begin(&args, &arena);
    platform_put_int(&args, "now_s", now_s);
    platform_put_int(&args, "max", (int64_t)max);
    TRY(platform_do(store, &arena, "token_service_purge_items", &args, PLATFORM_REPEATABLE, "", &answer));
    *deleted = (size_t)platform_int(answer, "deleted");
    return OK;
}
