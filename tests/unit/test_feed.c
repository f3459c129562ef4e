/* test_feed.c: how a page of the revocation feed is asked for, what it says byte for byte, and which pages are kept. */
#include "unit.h"
#include "jose/b64.h"
#include "revocation/feed_cache.h"

static void a_query_has_one_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *query;
        int64_t since; /* -1: refused */
    } rows[] = {
        { "", 0 },
        { "since=0", 0 },
        { "since=1", 1 },
        { "since=4096", 4096 },
        { "since=9007199254740992", INT64_C(1) << 53 },
        { "since=9007199254740993", -1 },
        { "since=99999999999999999999", -1 },
        { "since=18446744073709551616", -1 },
        { "since=", -1 },
        { "since", -1 },
        { "since=00", -1 },
        { "since=01", -1 },
        { "since=-1", -1 },
        { "since=+1", -1 },
        { "since=1.0", -1 },
        { "since=1e3", -1 },
        { "since= 1", -1 },
        { "since=1 ", -1 },
        { "since=0x10", -1 },
        { "since=%31", -1 },
        { "since=1&since=1", -1 },
        { "since=1&x=1", -1 },
        { "Since=1", -1 },
        { "x=1", -1 },
        { "&since=1", -1 },
        { "since=1&", -1 },
        { "?since=1", -1 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t since = -2;
        char *query = exactly(str_of(rows[i].query));
        struct err err = feed_read_query((struct str){ query, strlen(rows[i].query) }, &since);
        assert_code(err, rows[i].since < 0 ? ERR_INVALID_REQUEST : ERR_OK, rows[i].query);
        assert_row(err.code || since == rows[i].since, rows[i].query);
        free(query);
    }
}

static void pages_begin_at_multiples(void **state)
{
    (void)state;
    static const struct {
        int64_t position, of, after;
    } rows[] = { { 1, 0, 0 },
                 { 4095, 0, 0 },
                 { 4096, 0, 4096 },
                 { 4097, 4096, 4096 },
                 { 8192, 4096, 8192 },
                 { 8193, 8192, 8192 },
                 { FEED_SINCE_MAX, FEED_SINCE_MAX - 4096, FEED_SINCE_MAX } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(feed_page_of(rows[i].position), rows[i].of);
        assert_int_equal(feed_page_after(rows[i].position), rows[i].after);
    }
    assert_int_equal(feed_page_after(0), 0);
}

static struct str written(const struct feed_page *page)
{
    struct buf out;
    buf_init(&out, &arena, 64, FEED_PAGE_MAX);
    feed_page_write(&out, page);
    assert_false(out.overflowed);
    return buf_str(&out);
}

static void an_empty_page_says_so(void **state)
{
    (void)state;
    const struct feed_page page = { .issuer = STR("https://a\"b"), .iat = 5, .exp = 65, .position = 7 };
    struct feed_page of_epoch = page;
    memcpy(&of_epoch.epoch, "\1\2\3\4\5\6\7\10", sizeof of_epoch.epoch);
    assert_str(written(&of_epoch), "{\"iss\":\"https://a\\\"b\",\"iat\":5,\"exp\":65,"
                                   "\"epoch\":\"0102030405060708\",\"since\":0,\"next\":0,\"position\":7,"
                                   "\"more\":false,\"tokens\":\"\",\"rules\":[]}");
}

static void an_entry_is_a_part_of_its_hash_and_its_expiry(void **state)
{
    (void)state;
    struct revocation entries[2] = { { .position = 4097, .expires_at = 0x01020304, .reason = STR("secret") },
                                     { .position = 4098, .expires_at = INT64_C(0x100000005) } };
    for (unsigned char i = 0; i < 32; i++)
        entries[0].hash[i] = i;
    memset(entries[1].hash, 0xff, 32);
    const struct feed_page page = {
        .issuer = STR("i"), .since = 4096, .next = 8192, .position = 8192, .entries = entries, .count = 2
    };
    /* 00 01 … 0f 01 02 03 04, then 16 ff and an expiry that is held at its maximum */
    assert_str(written(&page), "{\"iss\":\"i\",\"iat\":0,\"exp\":0,\"epoch\":\"0000000000000000\","
                               "\"since\":4096,\"next\":8192,\"position\":8192,"
                               "\"more\":true,\"tokens\":\"AAECAwQFBgcICQoLDA0ODwECAwT__________________________w\","
                               "\"rules\":[]}");
}

static void a_rule_says_which_claim_it_is_about(void **state)
{
    (void)state;
    static const enum revocation_kind kinds[] = { REVOKED_SUBJECT, REVOKED_TOKEN, REVOKED_CLIENT, REVOKED_SESSION,
                                                  REVOKED_ALL };
    struct revocation entries[COUNT(kinds)] = { 0 };
    for (size_t i = 0; i < COUNT(kinds); i++)
        entries[i] = (struct revocation){ .kind = kinds[i], .before = 7, .expires_at = 9 };
    const struct feed_page page = { .issuer = STR("i"), .entries = entries, .count = COUNT(kinds) };
#define HASH "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    assert_str(written(&page), "{\"iss\":\"i\",\"iat\":0,\"exp\":0,\"epoch\":\"0000000000000000\","
                               "\"since\":0,\"next\":0,\"position\":0,"
                               "\"more\":false,\"tokens\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAk\",\"rules\":["
                               "{\"sub\":\"" HASH "\",\"before\":7,\"exp\":9},"
                               "{\"client_id\":\"" HASH "\",\"before\":7,\"exp\":9},"
                               "{\"sid\":\"" HASH "\",\"before\":7,\"exp\":9},"
                               "{\"all\":\"" HASH "\",\"before\":7,\"exp\":9}]}");
}

/* Entries are encoded in batches: no seam may show. */
static void no_seam_shows_between_entries(void **state)
{
    (void)state;
    static struct revocation entries[FEED_BLOCK];
    static const size_t counts[] = { 1, 2, 3, 191, 192, 193, 384, 4095, FEED_BLOCK };
    for (size_t i = 0; i < FEED_BLOCK; i++) {
        memset(entries[i].hash, (int)i, 32);
        entries[i].expires_at = (int64_t)i;
    }
    for (size_t i = 0; i < COUNT(counts); i++) {
        const struct feed_page page = { .issuer = STR("i"), .entries = entries, .count = counts[i] };
        struct str text = written(&page), rest;
        char *bytes = arena_alloc(&arena, text.len);
        size_t len = 0;
        rest.at = (char *)memmem(text.at, text.len, "\"tokens\":\"", 10) + 10;
        rest.len = b64url_encoded_len(counts[i] * FEED_ENTRY_BYTES);
        assert_true(b64url_decode(rest, bytes, &len));
        assert_int_equal(len, counts[i] * FEED_ENTRY_BYTES);
        for (size_t j = 0; j < counts[i]; j++) {
            assert_memory_equal(bytes + j * FEED_ENTRY_BYTES, entries[j].hash, FEED_HASH_BYTES);
            assert_int_equal((unsigned char)bytes[j * FEED_ENTRY_BYTES + 19], j & 255);
            assert_int_equal((unsigned char)bytes[j * FEED_ENTRY_BYTES + 18], j >> 8);
        }
    }
}

/* The longest rule there is, as often as a page can hold it. */
static void the_largest_page_fits(void **state)
{
    (void)state;
    static struct revocation entries[FEED_BLOCK];
    for (size_t i = 0; i < FEED_BLOCK; i++)
        entries[i] = (struct revocation){ .kind = REVOKED_CLIENT, .before = INT64_MAX, .expires_at = INT64_MAX };
    const struct feed_page page = { .issuer = STR("i"), .entries = entries, .count = FEED_BLOCK };
    struct str text = written(&page);
    assert_true(b64url_encoded_len(text.len) + 2048 < FEED_PAGE_MAX);
    assert_true(text.len > 4096 * 100);
}

/* --- pages that are kept ----------------------------------------------------------------------------------------- */

static void keep(struct feed_cache *cache, int64_t since, bool is_tail, size_t len)
{
    struct str jws = { arena_zalloc(&arena, len), len };
    const struct feed_page page = { .since = since, .position = since, .iat = 1, .exp = 2 };
    feed_cache_keep(cache, &page, is_tail, STR("kid"), jws);
}

static bool has(struct feed_cache *cache, int64_t since, bool is_tail)
{
    AUTO(feed_kept_releasep) struct feed_kept *page = feed_cache_find(cache, since, is_tail);
    assert_true(!page || (page->since == since && page->is_tail == is_tail));
    return page != NULL;
}

static void a_page_is_kept_until_the_next_one(void **state)
{
    (void)state;
    struct feed_cache *cache = feed_cache_new();
    assert_false(has(cache, 0, true) || has(cache, 0, false));
    keep(cache, 0, true, 10);
    assert_true(has(cache, 0, true));
    assert_false(has(cache, 0, false)); /* what was a tail is no closed page */
    struct feed_kept *held = feed_cache_find(cache, 0, true);
    assert_memory_equal(held->etag, "\"", 1);
    assert_memory_equal(held->etag + FEED_ETAG_LEN - 1, "\"", 1);
    keep(cache, 4096, true, 10);
    keep(cache, 0, false, 10);
    assert_true(has(cache, 4096, true) && has(cache, 0, false) && !has(cache, 0, true));
    size_t bytes = feed_cache_bytes(cache);
    keep(cache, 0, false, 10); /* takes the place of the one before */
    assert_int_equal(feed_cache_bytes(cache), bytes);
    assert_int_equal(held->since, 0); /* still there for its holder */
    feed_kept_release(held);
    feed_cache_free(cache);
}

static void what_was_asked_for_longest_ago_goes(void **state)
{
    (void)state;
    enum { LEN = 1024 * 1024, ROOM = FEED_CACHE_BYTES / LEN - 1 }; /* a page is a little more than its text */
    struct feed_cache *cache = feed_cache_new();
    for (int64_t i = 0; i < ROOM; i++)
        keep(cache, i * FEED_BLOCK, false, LEN);
    assert_true(has(cache, 0, false));
    keep(cache, ROOM * FEED_BLOCK, false, LEN);
    assert_true(has(cache, 0, false));
    assert_false(has(cache, FEED_BLOCK, false));
    assert_true(has(cache, 2 * FEED_BLOCK, false));
    assert_true(feed_cache_bytes(cache) <= FEED_CACHE_BYTES);
    for (int64_t i = 0; i < 3 * FEED_CACHE_PAGES; i++)
        keep(cache, i * FEED_BLOCK, false, 10);
    size_t kept = 0;
    for (int64_t i = 0; i < 3 * FEED_CACHE_PAGES; i++)
        kept += has(cache, i * FEED_BLOCK, false);
    assert_int_equal(kept, FEED_CACHE_PAGES);
    feed_cache_free(cache);
}

RUN(TEST(a_query_has_one_spelling), TEST(pages_begin_at_multiples), TEST(an_empty_page_says_so),
    TEST(an_entry_is_a_part_of_its_hash_and_its_expiry), TEST(a_rule_says_which_claim_it_is_about),
    TEST(no_seam_shows_between_entries), TEST(the_largest_page_fits), TEST(a_page_is_kept_until_the_next_one),
    TEST(what_was_asked_for_longest_ago_goes))
