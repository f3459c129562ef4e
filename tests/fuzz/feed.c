/* fuzz/feed.c: the query of GET /revocations has one spelling a page; and whatever entries a store gives, a page is
 * JSON that gives them back. */
#include "base/json.h"
#include "fuzz.h"
#include "jose/b64.h"
#include "revocation/feed_page.h"

static void check_query(struct arena *arena, struct str query)
{
    int64_t since = -1;
    struct err err = feed_read_query(query, &since);
    PROMISE(!err.code || err.code == ERR_INVALID_REQUEST);
    if (err.code)
        return;
    PROMISE(since >= 0 && since <= FEED_SINCE_MAX);
    PROMISE(query.len == 0 || str_eq(query, arena_printf(arena, "since=%lld", (long long)since)));
    PROMISE(feed_page_after(since) % FEED_BLOCK == 0 && feed_page_after(since) <= since &&
            since - feed_page_after(since) < FEED_BLOCK);
}

static void check_page(struct arena *arena, struct str in)
{
    enum { TAKEN = 40 }; /* 32 bytes of a hash, 8 of an expiry */
    size_t count = in.len / TAKEN, len = 0;
    struct revocation *entries = arena_zalloc(arena, (count + 1) * sizeof *entries);
    struct buf out;
    const struct json *json;
    for (size_t i = 0; i < count; i++) {
        uint64_t expiry;
        memcpy(entries[i].hash, in.at + i * TAKEN, 32);
        memcpy(&expiry, in.at + i * TAKEN + 32, 8);
        entries[i].expires_at = (int64_t)(expiry >> 24);
    }
    const struct feed_page page = { .issuer = STR("i"), .next = 4096, .entries = entries, .count = count };
    buf_init(&out, arena, 64, 1 << 24);
    feed_page_write(&out, &page);
    PROMISE(!out.overflowed && !json_parse(arena, buf_str(&out), &json).code);
    PROMISE(json_member(json, STR("more"))->kind == JSON_TRUE);
    struct str text = json_member(json, STR("tokens"))->text;
    unsigned char *bytes = arena_alloc(arena, text.len + 3);
    PROMISE(b64url_decode(text, (char *)bytes, &len) && len == count * FEED_ENTRY_BYTES);
    for (size_t i = 0; i < count; i++) {
        const unsigned char *entry = bytes + i * FEED_ENTRY_BYTES;
        int64_t expiry = (int64_t)entry[16] << 24 | entry[17] << 16 | entry[18] << 8 | entry[19];
        PROMISE(memcmp(entry, entries[i].hash, FEED_HASH_BYTES) == 0);
        PROMISE(expiry == (entries[i].expires_at > UINT32_MAX ? UINT32_MAX : entries[i].expires_at));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str in = input_of(data, size);
    struct arena arena;
    arena_init(&arena, NULL, 0);
    check_query(&arena, in);
    check_page(&arena, in);
    arena_release(&arena);
    return 0;
}
