/* oauth/consent.c: consents as items, under the hash of user and client. */
#include "oauth/consent.h"
#include "jose/claims.h"
#include "jose/jws.h"
#include "store/store.h"

enum { SCOPE_MAX = 2048 };

/* A subject has no line feed in it that could end it early: it is a JSON string of ours, and the client's id follows.
 */
static void consent_id(struct arena *arena, struct str subject, struct str client_id, unsigned char id[32])
{
    struct buf name;
    buf_init(&name, arena, 128, 1024);
    json_write_str(&name, subject);
    json_write_str(&name, client_id);
    sha256(buf_str(&name), id);
}

static bool consent_read(struct arena *arena, struct consent *out)
{
    const struct json *body = NULL, *list;
    struct buf words;
    if (json_parse(arena, out->item.body, &body).code || body->kind != JSON_OBJECT ||
        json_member(body, STR("revoked_at")))
        return false;
    list = json_member(body, STR("granted_scopes"));
    if (!list || list->kind != JSON_ARRAY ||
        !json_int(json_member(body, STR("expires_at")), 0, CLAIMS_TIME_MAX, &out->expires_at))
        return false;
    buf_init(&words, arena, 256, SCOPE_MAX);
    for (const struct json *each = list->child; each; each = each->next) {
        buf_add_word(&words, each->kind == JSON_STRING ? each->text : STR(""));
    }
    out->scope = buf_str(&words);
    return !words.overflowed;
}

struct err consent_find(struct store *store, struct arena *arena, struct str subject, struct str client_id,
                        int64_t now_s, struct consent *out)
{
    unsigned char id[32];
    consent_id(arena, subject, client_id, id);
    *out = (struct consent){ .scope = STR("") };
    const struct err err = store->ops->find_item(store, arena, ITEM_CONSENT, id, &out->item);
    if (err.code && err.code != ERR_NOT_FOUND)
        return err;
    if (!err.code && consent_read(arena, out) && out->expires_at > now_s)
        return OK;
    const int64_t version = err.code ? 0 : out->item.version;
    *out = (struct consent){
        .scope = STR(""),
        .item = { .kind = ITEM_CONSENT, .version = version, .client_id = client_id, .subject = subject, .sid = STR("") }
    };
    memcpy(out->item.id, id, sizeof id);
    return OK;
}

bool consent_covers(const struct consent *consent, struct str scope)
{
    struct str word;
    while (str_next_word(&scope, &word))
        if (!str_has_word(consent->scope, word))
            return false;
    return true;
}

/* Adds the words that are not there yet to a list that may have some already. */
static void consent_write_words(struct buf *body, struct str before, struct str scope)
{
    struct str lists[] = { before, scope }, word;
    bool is_first = true;
    buf_add_char(body, '[');
    for (size_t i = 0; i < 2; i++)
        while (str_next_word(&lists[i], &word)) {
            if (i == 1 && str_has_word(before, word))
                continue;
            if (!is_first)
                buf_add_char(body, ',');
            json_write_str(body, word);
            is_first = false;
        }
    buf_add_char(body, ']');
}

struct err consent_extend(struct arena *arena, const struct consent *consent, struct str scope, int64_t now_s,
                          int64_t lasts_s, struct record **records)
{
    struct item item = consent->item;
    struct buf body;
    buf_init(&body, arena, 256, ITEM_BODY_MAX);
    buf_add(&body, STR("{\"granted_scopes\":"));
    consent_write_words(&body, consent->scope, scope);
    buf_add(&body, STR(",\"expires_at\":"));
    buf_add_int(&body, now_s + lasts_s);
    buf_add_char(&body, '}');
    if (body.overflowed)
        return failed(ERR_TOO_LARGE, "the scopes that the user has allowed are too many to be kept");
    item.body = buf_str(&body);
    item.expires_at = now_s + lasts_s;
    *records = item_put(arena, &item, item.version, *records);
    return OK;
}
