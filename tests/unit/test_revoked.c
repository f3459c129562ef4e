/* test_revoked.c: the set of revoked tokens: nothing that was added is ever missed before its time. */
#include "revocation/revoked.h"
#include "hashes.h"
#include "unit.h"
#include <pthread.h>

static bool has(struct revoked *set, uint64_t number)
{
    unsigned char hash[32];
    hash_of(number, hash);
    return revoked_has(set, hash);
}

static void add(struct revoked *set, uint64_t number, int64_t expires_at)
{
    unsigned char hash[32];
    hash_of(number, hash);
    revoked_add(set, hash, expires_at);
}

static void an_empty_set_has_nothing(void **state)
{
    struct revoked *set = revoked_new(false);
    (void)state;
    assert_false(has(set, 1));
    assert_int_equal(revoked_count(set), 0);
    assert_int_equal(revoked_purge(set, INT64_MAX), 0);
    assert_true(revoked_bytes(set) > 0);
    revoked_free(set);
    revoked_free(NULL);
}

static void what_was_added_is_there_and_nothing_else(void **state)
{
    enum { MANY = 100000 };
    struct revoked *set = revoked_new(false);
    (void)state;
    for (uint64_t i = 0; i < MANY; i++) {
        add(set, i, 2000);
        if (i % 4096 == 0)
            for (uint64_t j = 0; j <= i; j += 97)
                assert_true(has(set, j)); /* also while it grows */
    }
    assert_int_equal(revoked_count(set), MANY);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_true(has(set, i));
        assert_false(has(set, i + MANY));
    }
    size_t bytes = revoked_bytes(set);
    assert_in_range(bytes, 20 * MANY, 54 * MANY + 100000); /* what revoked.h promises */
    revoked_free(set);
}

/* What is promised to operators: 64 bytes an entry at most, whatever their number, and a million below 64 MB. */
static void a_million_entries_take_less_than_64_megabytes(void **state)
{
    enum { MILLION = 1000000 };
    struct revoked *set = revoked_new(false);
    size_t fixed = revoked_bytes(set);
    (void)state;
    for (uint64_t i = 0; i < MILLION; i++) {
        add(set, i, 2000);
        if (i >= 1000 && i % 1000 == 0)
            assert_true(revoked_bytes(set) - fixed <= 64 * (i + 1) + (size_t)64 * 1024);
    }
    assert_int_equal(revoked_count(set), MILLION);
    assert_true(revoked_bytes(set) <= (size_t)64 * 1000 * 1000);
    assert_true(revoked_bytes(set) / MILLION <= 64);
    revoked_free(set);
}

static void hashes_that_differ_in_one_of_their_first_16_bytes_are_two(void **state)
{
    unsigned char hash[32] = { 0 };
    struct revoked *set = revoked_new(false);
    (void)state;
    revoked_add(set, hash, 2000);
    assert_true(revoked_has(set, hash));
    for (size_t i = 0; i < 16; i++)
        for (int bit = 0; bit < 8; bit++) {
            hash[i] = (unsigned char)(hash[i] ^ 1 << bit);
            assert_false(revoked_has(set, hash));
            hash[i] = (unsigned char)(hash[i] ^ 1 << bit);
        }
    assert_true(revoked_has(set, hash));
    revoked_free(set);
}

/* All in one shard, all wanting one place: the longest chain there can be. */
static void hashes_that_want_the_same_place_are_all_kept(void **state)
{
    enum { MANY = 300 };
    struct revoked *set = revoked_new(false);
    unsigned char hash[32] = { 0 };
    (void)state;
    for (int i = 0; i < MANY; i++) {
        hash[9] = (unsigned char)i;
        hash[10] = (unsigned char)(i >> 8);
        revoked_add(set, hash, i < MANY / 2 ? 1000 : 2000);
    }
    assert_int_equal(revoked_count(set), MANY);
    assert_int_equal(revoked_purge(set, 1500), MANY / 2);
    for (int i = 0; i < MANY; i++) {
        hash[9] = (unsigned char)i;
        hash[10] = (unsigned char)(i >> 8);
        assert_int_equal(revoked_has(set, hash), i >= MANY / 2);
    }
    revoked_free(set);
}

static void the_later_expiry_stays(void **state)
{
    struct revoked *set = revoked_new(false);
    (void)state;
    add(set, 1, 2000);
    add(set, 1, 1000); /* earlier: changes nothing */
    assert_int_equal(revoked_count(set), 1);
    assert_int_equal(revoked_purge(set, 1500), 0);
    assert_true(has(set, 1));
    add(set, 1, 3000);
    assert_int_equal(revoked_count(set), 1);
    assert_int_equal(revoked_purge(set, 2500), 0);
    assert_true(has(set, 1));
    assert_int_equal(revoked_purge(set, 3001), 1);
    assert_false(has(set, 1));
    revoked_free(set);
}

static void a_purge_drops_what_expired_before_and_nothing_that_did_not(void **state)
{
    struct revoked *set = revoked_new(false);
    (void)state;
    for (uint64_t i = 0; i < 10000; i++)
        add(set, i, (int64_t)(1000 + i));
    size_t before = revoked_bytes(set);
    assert_int_equal(revoked_purge(set, 1000), 0);
    assert_int_equal(revoked_purge(set, 10000), 9000);
    for (uint64_t i = 0; i < 10000; i++)
        assert_int_equal(has(set, i), i >= 9000);
    assert_int_equal(revoked_count(set), 1000);
    assert_true(revoked_bytes(set) < before / 2); /* memory comes back */
    assert_int_equal(revoked_purge(set, 11000), 1000);
    assert_int_equal(revoked_count(set), 0);
    add(set, 5, 99999); /* and the set goes on */
    assert_true(has(set, 5));
    revoked_free(set);
}

static void times_beyond_any_clock_are_kept_and_not_wrapped_round(void **state)
{
    static const int64_t times[] = { INT64_C(4294967295), INT64_C(4294967296), INT64_C(4294967297),
                                     INT64_C(253402300799), INT64_MAX };
    struct revoked *set = revoked_new(false);
    (void)state;
    for (size_t i = 0; i < COUNT(times); i++)
        add(set, i, times[i]);
    add(set, 100, 0);
    add(set, 101, -1);
    add(set, 102, INT64_MIN);
    assert_true(has(set, 100) && has(set, 101) && has(set, 102));
    assert_int_equal(revoked_purge(set, 1800000000), 3);
    for (size_t i = 0; i < COUNT(times); i++)
        assert_true(has(set, i));
    revoked_free(set);
}

/* One thread purges what is long past while others add and look: a look must never miss what its own thread added. */
struct worker {
    struct revoked *set;
    uint64_t first;
    size_t missed;
};

static void *add_and_look(void *arg)
{
    struct worker *worker = arg;
    for (uint64_t i = 0; i < 20000; i++) {
        add(worker->set, worker->first + i, 5000);
        add(worker->set, worker->first + 500000 + i, 10);
        worker->missed += !has(worker->set, worker->first + i / 2);
        worker->missed += has(worker->set, worker->first + 900000 + i);
    }
    return NULL;
}

static void threads_never_miss_what_is_there(void **state)
{
    struct worker workers[3];
    pthread_t threads[COUNT(workers)];
    struct revoked *set = revoked_new(false);
    (void)state;
    for (size_t i = 0; i < COUNT(workers); i++) {
        workers[i] = (struct worker){ .set = set, .first = i * 1000000 };
        assert_int_equal(pthread_create(&threads[i], NULL, add_and_look, &workers[i]), 0);
    }
    for (int i = 0; i < 200; i++)
        (void)revoked_purge(set, 1000);
    for (size_t i = 0; i < COUNT(workers); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].missed, 0);
    }
    (void)revoked_purge(set, 1000);
    assert_int_equal(revoked_count(set), COUNT(workers) * 20000);
    revoked_free(set);
}

static void a_walk_shows_whole_hashes_that_have_not_ended(void **state)
{
    enum { MANY = 20000, PAGE = 70 };
    struct revoked *set = revoked_new(true), *parts = revoked_new(false);
    struct revoked_token page[PAGE];
    struct revoked_cursor cursor = { 0, 0 };
    static bool seen[MANY];
    unsigned char hash[32];
    size_t shown = 0;
    (void)state;
    assert_int_equal(revoked_list(set, &cursor, 0, page, PAGE), 0);
    for (uint64_t i = 0; i < MANY; i++) {
        memset(hash, (int)(i % 251), sizeof hash);
        memcpy(hash, &i, sizeof i);
        memcpy(hash + 24, &i, sizeof i); /* of what nobody compares */
        revoked_add(set, hash, i % 4 == 0 ? 1000 : 2000);
        revoked_add(parts, hash, 2000);
    }
    cursor = (struct revoked_cursor){ 0, 0 };
    for (size_t count; (count = revoked_list(set, &cursor, 1000, page, PAGE)) > 0; shown += count)
        for (size_t i = 0; i < count; i++) {
            uint64_t number, end;
            memcpy(&number, page[i].hash, sizeof number);
            memcpy(&end, page[i].hash + 24, sizeof end);
            assert_true(number < MANY && number == end && number % 4 != 0 && !seen[number]);
            assert_int_equal(page[i].hash[20], number % 251);
            assert_int_equal(page[i].expires_at, 2000);
            seen[number] = true;
        }
    assert_int_equal(shown, MANY / 4 * 3);
    assert_int_equal(revoked_purge(set, 1500), MANY / 4); /* rebuilt, and whole still */
    cursor = (struct revoked_cursor){ 0, 0 };
    assert_int_equal(revoked_list(set, &cursor, 0, page, PAGE), PAGE);
    assert_memory_equal(page[0].hash, page[0].hash + 24, sizeof(uint64_t));
    cursor = (struct revoked_cursor){ 0, 0 };
    assert_int_equal(revoked_list(parts, &cursor, 0, page, PAGE), 0);
    revoked_free(parts);
    revoked_free(set);
}

RUN(TEST(a_walk_shows_whole_hashes_that_have_not_ended), TEST(an_empty_set_has_nothing),
    TEST(what_was_added_is_there_and_nothing_else), TEST(a_million_entries_take_less_than_64_megabytes),
    TEST(hashes_that_differ_in_one_of_their_first_16_bytes_are_two), TEST(hashes_that_want_the_same_place_are_all_kept),
    TEST(the_later_expiry_stays), TEST(a_purge_drops_what_expired_before_and_nothing_that_did_not),
    TEST(times_beyond_any_clock_are_kept_and_not_wrapped_round), TEST(threads_never_miss_what_is_there))
