/* store/item.c: which items may be kept, and the records that change them. */
#include "store/item.h"
#include "base/json.h"
#include "base/random.h"
#include "store/store.h"

struct str item_kind_name(enum item_kind kind)
{
    static const struct str names[] = {
        [ITEM_CODE] = STR_INIT("code"),    [ITEM_GRANT] = STR_INIT("grant"),     [ITEM_SESSION] = STR_INIT("session"),
        [ITEM_LOGIN] = STR_INIT("login"),  [ITEM_CONSENT] = STR_INIT("consent"), [ITEM_ONCE] = STR_INIT("once"),
        [ITEM_NOTICE] = STR_INIT("notice")
    };
    return names[kind];
}

bool item_is_among(const struct record *list)
{
    while (list && list->kind != RECORD_ITEM)
        list = list->next;
    return list != NULL;
}

static bool item_is_text(struct str text, size_t max)
{
    return text.len <= max && !str_has(text, '\0') && utf8_valid(text);
}

static bool item_is_body(struct str body)
{
    return body.len == 0 || (body.at[0] == '{' && body.at[body.len - 1] == '}' && item_is_text(body, ITEM_BODY_MAX));
}

static struct err item_check(const struct record *record)
{
    const struct item *item = record->item;
    if (item->kind < ITEM_CODE || item->kind > ITEM_NOTICE || record->item_version < 0 ||
        record->item_version == INT64_MAX)
        return failed(ERR_INVALID_REQUEST, "there is no item of that kind or version");
    if (item->expires_at < 0 || item->expires_at > CLAIMS_TIME_MAX)
        return failed(ERR_INVALID_REQUEST, "an item can't expire at that time");
    if (!item_is_text(item->client_id, ITEM_TEXT_MAX) || !item_is_text(item->subject, ITEM_TEXT_MAX) ||
        !item_is_text(item->sid, ITEM_TEXT_MAX))
        return failed(ERR_INVALID_REQUEST, "the texts of an item must be short, and UTF-8 without NUL");
    if (!item_is_body(item->body))
        return failed(ERR_INVALID_REQUEST, "the body of an item must be a JSON object of at most 16 KB");
    return OK;
}

/* Among the records of the list up to `end`. */
static bool item_is_named_before(const struct record *list, const struct record *end)
{
    for (const struct record *record = list; record != end; record = record->next)
        if (record->kind == RECORD_ITEM && record->item->kind == end->item->kind &&
            memcmp(record->item->id, end->item->id, sizeof end->item->id) == 0)
            return true;
    return false;
}

struct err item_check_list(const struct record *list)
{
    size_t count = 0;
    for (const struct record *record = list; record; record = record->next) {
        if (record->kind != RECORD_ITEM)
            continue;
        if (count++ == ITEMS_TOGETHER_MAX)
            return failed(ERR_INVALID_REQUEST, "too many items would change together");
        TRY(item_check(record));
        if (item_is_named_before(list, record))
            return failed(ERR_INVALID_REQUEST, "an item can't change twice at once");
    }
    return OK;
}

struct record *item_put(struct arena *arena, const struct item *item, int64_t version, struct record *next)
{
    struct record *record = arena_zalloc(arena, sizeof *record);
    struct item *copy = arena_alloc(arena, sizeof *copy);
    *copy = *item;
    *record = (struct record){
        .kind = RECORD_ITEM, .item = copy, .item_version = version, .item_change = random_number(), .next = next
    };
    return record;
}

struct record *item_delete(struct arena *arena, const struct item *item, struct record *next)
{
    struct item empty = *item;
    empty.body = STR("");
    return item_put(arena, &empty, item->version, next);
}
