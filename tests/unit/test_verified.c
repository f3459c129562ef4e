/* test_verified.c: the cache of verified tokens: bounded, and an entry lives as long as somebody holds it. */
#include "cache/verified.h"
#include "unit.h"
#include <pthread.h>

static void hash_of(uint64_t number, unsigned char hash[32])
{
    memset(hash, 0, 32);
    uint64_t spread = number * UINT64_C(0x9e3779b97f4a7c15);
    spread ^= spread >> 29;
    memcpy(hash, &number, sizeof number);
    memcpy(hash + 16, &spread, sizeof spread);
}

static struct verified *put(struct verified_cache *cache, uint64_t number, int64_t exp)
{
    struct verified *entry = verified_new(64);
    hash_of(number, entry->hash);
    entry->claims.exp = exp;
    entry->claims.sub = arena_copy(&entry->arena, STR("somebody"));
    verified_put(cache, entry);
    return entry;
}

static struct verified *get(struct verified_cache *cache, uint64_t number)
{
    unsigned char hash[32];
    hash_of(number, hash);
    return verified_get(cache, hash);
}

static void an_entry_is_found_by_its_whole_hash(void **state)
{
    struct verified_cache *cache = verified_cache_new(1000);
    unsigned char hash[32];
    (void)state;
    verified_release(put(cache, 7, 2000));
    struct verified *entry = get(cache, 7);
    assert_non_null(entry);
    assert_int_equal(entry->claims.exp, 2000);
    assert_str(entry->claims.sub, "somebody");
    verified_release(entry);
    assert_null(get(cache, 8));
    hash_of(7, hash);
    for (size_t i = 0; i < 32; i++) {
        hash[i] ^= 1;
        assert_null(verified_get(cache, hash));
        hash[i] ^= 1;
    }
    verified_cache_free(cache);
}

static void the_last_of_two_under_one_hash_is_found(void **state)
{
    struct verified_cache *cache = verified_cache_new(1000);
    (void)state;
    verified_release(put(cache, 7, 1000));
    verified_release(put(cache, 7, 2000));
    AUTO(verified_releasep) struct verified *entry = get(cache, 7);
    assert_int_equal(entry->claims.exp, 2000);
    verified_cache_free(cache);
}

static void an_entry_that_is_held_outlives_the_cache(void **state)
{
    struct verified_cache *cache = verified_cache_new(8);
    (void)state;
    AUTO(verified_releasep) struct verified *held = put(cache, 0, 1234);
    for (uint64_t i = 1; i < 1000; i++)
        verified_release(put(cache, i, 1));
    assert_null(get(cache, 0));
    verified_cache_free(cache);
    assert_int_equal(held->claims.exp, 1234);
    assert_str(held->claims.sub, "somebody");
}

static void no_more_entries_are_kept_than_were_asked_for_but_for_a_sets_rest(void **state)
{
    enum { ENTRIES = 64, TRIED = 10000 };
    struct verified_cache *cache = verified_cache_new(ENTRIES);
    size_t kept = 0;
    (void)state;
    for (uint64_t i = 0; i < TRIED; i++)
        verified_release(put(cache, i, 1));
    for (uint64_t i = 0; i < TRIED; i++) {
        struct verified *entry = get(cache, i);
        kept += entry != NULL;
        verified_releasep(&entry);
    }
    assert_in_range(kept, ENTRIES / 2, ENTRIES);
    verified_cache_free(cache);
}

static void what_is_used_stays_and_what_is_not_goes(void **state)
{
    struct verified_cache *cache = verified_cache_new(8); /* one set */
    (void)state;
    for (uint64_t i = 0; i < 8; i++)
        verified_release(put(cache, i, 1));
    for (uint64_t i = 100; i < 200; i++) {
        struct verified *used = get(cache, 3);
        assert_non_null(used);
        verified_release(used);
        verified_release(put(cache, i, 1));
    }
    assert_null(get(cache, 0));
    struct verified *used = get(cache, 3);
    assert_non_null(used);
    verified_release(used);
    verified_cache_free(cache);
}

static void a_cache_of_nothing_keeps_nothing(void **state)
{
    struct verified_cache *cache = verified_cache_new(0);
    (void)state;
    struct verified *entry = put(cache, 7, 1);
    assert_null(get(cache, 7));
    verified_release(entry);
    verified_cache_free(cache);
    verified_cache_free(NULL);
}

static void a_large_entry_is_handed_out_but_not_kept(void **state)
{
    struct verified_cache *cache = verified_cache_new(100);
    (void)state;
    struct verified *large = verified_new(2 * VERIFIED_ENTRY_MAX);
    hash_of(1, large->hash);
    verified_put(cache, large);
    assert_null(get(cache, 1));
    verified_release(large);
    struct verified *grown = verified_new(64); /* small at first, but its arena grew */
    hash_of(2, grown->hash);
    memset(arena_alloc(&grown->arena, 4 * VERIFIED_ENTRY_MAX), 1, 4 * VERIFIED_ENTRY_MAX);
    verified_put(cache, grown);
    assert_null(get(cache, 2));
    verified_release(grown);
    verified_cache_free(cache);
}

struct worker {
    struct verified_cache *cache;
    uint64_t seed;
    size_t wrong;
};

static void *put_and_get(void *arg)
{
    struct worker *worker = arg;
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t number = (i * 7 + worker->seed) % 60;
        AUTO(verified_releasep) struct verified *entry = get(worker->cache, number);
        if (!entry)
            entry = put(worker->cache, number, (int64_t)number);
        worker->wrong += entry->claims.exp != (int64_t)number || !str_eq(entry->claims.sub, STR("somebody"));
    }
    return NULL;
}

static void threads_share_entries_while_they_push_each_other_out(void **state)
{
    struct verified_cache *cache = verified_cache_new(32);
    struct worker workers[4];
    pthread_t threads[COUNT(workers)];
    (void)state;
    for (size_t i = 0; i < COUNT(workers); i++) {
        workers[i] = (struct worker){ .cache = cache, .seed = i };
        assert_int_equal(pthread_create(&threads[i], NULL, put_and_get, &workers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(workers); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].wrong, 0);
    }
    verified_cache_free(cache);
}

RUN(TEST(an_entry_is_found_by_its_whole_hash), TEST(the_last_of_two_under_one_hash_is_found),
    TEST(an_entry_that_is_held_outlives_the_cache),
    TEST(no_more_entries_are_kept_than_were_asked_for_but_for_a_sets_rest),
    TEST(what_is_used_stays_and_what_is_not_goes), TEST(a_cache_of_nothing_keeps_nothing),
    TEST(a_large_entry_is_handed_out_but_not_kept), TEST(threads_share_entries_while_they_push_each_other_out))
