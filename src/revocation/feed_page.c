/* revocation/feed_page.c: what a page is asked with, and what it says. */
#include "revocation/feed_page.h"
#include "base/hex.h"
#include "base/json.h"
#include "jose/b64.h"

enum { BATCH = 3 * 64 }; /* entries encoded at once: a multiple of three, so that no group of base64 is cut */

struct err feed_read_query(struct str query, int64_t *since)
{
    static const struct str name = STR_INIT("since=");
    int64_t value = 0;
    *since = 0;
    if (query.len == 0)
        return OK;
    bool good = str_has_prefix(query, name) && query.len > name.len && query.len <= name.len + 16 &&
                (query.at[name.len] != '0' || query.len == name.len + 1);
    if (!good || !str_number((struct str){ query.at + name.len, query.len - name.len }, FEED_SINCE_MAX, &value))
        return failed(ERR_INVALID_REQUEST, "the query may only be since= with a whole number up to 2^53");
    *since = value;
    return OK;
}

static void feed_page_pack(const struct revocation *entry, unsigned char to[FEED_ENTRY_BYTES])
{
    uint32_t expiry = entry->expires_at > UINT32_MAX ? UINT32_MAX : (uint32_t)entry->expires_at;
    memcpy(to, entry->hash, FEED_HASH_BYTES);
    for (int i = 0; i < 4; i++)
        to[FEED_HASH_BYTES + i] = (unsigned char)(expiry >> (24 - 8 * i));
}

static void feed_page_write_tokens(struct buf *out, const struct feed_page *page)
{
    unsigned char packed[BATCH][FEED_ENTRY_BYTES];
    size_t count = 0;
    for (size_t i = 0; i < page->count; i++) {
        if (page->entries[i].kind != REVOKED_TOKEN)
            continue;
        feed_page_pack(&page->entries[i], packed[count++]);
        if (count == BATCH) {
            b64url_add(out, (struct str){ (const char *)packed, sizeof packed });
            count = 0;
        }
    }
    b64url_add(out, (struct str){ (const char *)packed, count * FEED_ENTRY_BYTES });
}

/* An opaque text to readers: no reader of JSON holds 64 bits of a number. */
static void feed_page_write_epoch(struct buf *out, uint64_t epoch)
{
    unsigned char bytes[sizeof epoch];
    char hex[2 * sizeof bytes + 1];
    memcpy(bytes, &epoch, sizeof bytes);
    json_write_text(out, STR("epoch"), hex_write(bytes, sizeof bytes, hex));
}

/* A rule's value is named by the claim that it is about; to all it is about none. */
static void feed_page_write_rules(struct buf *out, const struct feed_page *page)
{
    static const struct str names[REVOCATION_KINDS] = { [REVOKED_SUBJECT] = STR_INIT("sub"),
                                                        [REVOKED_CLIENT] = STR_INIT("client_id"),
                                                        [REVOKED_SESSION] = STR_INIT("sid"),
                                                        [REVOKED_ALL] = STR_INIT("all") };
    for (size_t i = 0; i < page->count; i++) {
        const struct revocation *rule = &page->entries[i];
        if (rule->kind == REVOKED_TOKEN)
            continue;
        if (out->len > 0 && out->at[out->len - 1] == '}')
            buf_add_char(out, ',');
        buf_add_char(out, '{');
        json_write_name(out, names[rule->kind]);
        buf_add_char(out, '"');
        b64url_add(out, (struct str){ (const char *)rule->hash, sizeof rule->hash });
        buf_add_char(out, '"');
        json_write_int(out, STR("before"), rule->before);
        json_write_int(out, STR("exp"), rule->expires_at);
        buf_add_char(out, '}');
    }
}

void feed_page_write(struct buf *out, const struct feed_page *page)
{
    buf_add_char(out, '{');
    json_write_text(out, STR("iss"), page->issuer);
    json_write_int(out, STR("iat"), page->iat);
    json_write_int(out, STR("exp"), page->exp);
    feed_page_write_epoch(out, page->epoch);
    json_write_int(out, STR("since"), page->since);
    json_write_int(out, STR("next"), page->next);
    json_write_int(out, STR("position"), page->position);
    json_write_bool(out, STR("more"), page->next != page->since);
    json_write_name(out, STR("tokens"));
    buf_add_char(out, '"');
    feed_page_write_tokens(out, page);
    buf_add_char(out, '"');
    json_write_name(out, STR("rules"));
    buf_add_char(out, '[');
    feed_page_write_rules(out, page);
    buf_add(out, STR("]}"));
}
