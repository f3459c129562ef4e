/* test_rules.c: the set of rules: none is ever missed before its time, and none refuses more than it says. */
#include "revocation/rules.h"
#include "hashes.h"
#include "unit.h"
#include <pthread.h>
#include <stdatomic.h>

static bool covers(struct rules *set, uint64_t number, int64_t issued_at)
{
    unsigned char hash[1][32];
    hash_of(number, hash[0]);
    return rules_cover(set, (const unsigned char(*)[32])hash, 1, issued_at, 0);
}

static void add(struct rules *set, uint64_t number, int64_t before, int64_t expires_at)
{
    unsigned char hash[32];
    hash_of(number, hash);
    rules_add(set, hash, 0, before, expires_at);
}

static void an_empty_set_refuses_nothing(void **state)
{
    struct rules *set = rules_new();
    unsigned char hash[32] = { 0 };
    int64_t before = -7, expires_at = -8;
    (void)state;
    assert_false(covers(set, 1, 0));
    assert_false(covers(set, 1, INT64_MIN));
    assert_false(rules_find(set, hash, &before, &expires_at));
    assert_true(before == -7 && expires_at == -8);
    assert_int_equal(rules_count(set), 0);
    assert_int_equal(rules_purge(set, INT64_MAX), 0);
    assert_true(rules_bytes(set) > 0);
    rules_free(set);
    rules_free(NULL);
}

static void a_rule_refuses_what_was_issued_by_then_and_not_a_second_later(void **state)
{
    struct rules *set = rules_new();
    (void)state;
    add(set, 1, 1500, 2000);
    assert_true(covers(set, 1, 0));
    assert_true(covers(set, 1, 1499));
    assert_true(covers(set, 1, 1500));
    assert_false(covers(set, 1, 1501));
    assert_false(covers(set, 2, 1499));
    rules_free(set);
}

/* Also one that was issued at the same time, as a clock that was set back has it. */
static void a_rule_spares_what_came_after_it(void **state)
{
    struct rules *set = rules_new();
    unsigned char hash[1][32];
    const unsigned char(*hashes)[32] = (const unsigned char(*)[32])hash;
    (void)state;
    hash_of(1, hash[0]);
    assert_int_equal(rules_last_expiry(set), 0);
    assert_int_equal(rules_make(set, hash[0], 0, 1500, 2000), 2000);
    assert_true(rules_cover(set, hashes, 1, 1500, 2000));
    assert_false(rules_cover(set, hashes, 1, 1500, 2001));
    add(set, 2, 9, 7000);
    assert_int_equal(rules_last_expiry(set), 7000);
    assert_int_equal(rules_make(set, hash[0], 0, 1400, 3000), 7001); /* later than what came after any other */
    assert_true(rules_cover(set, hashes, 1, 1500, 7001));
    assert_false(rules_cover(set, hashes, 1, 1501, 7001));
    assert_false(rules_cover(set, hashes, 1, 1500, 7002));
    assert_int_equal(rules_make(set, hash[0], 0, 1400, 9000), 9000);
    assert_int_equal(rules_latest(set), 1500);
    rules_free(set);
}

static void any_of_the_hashes_will_do(void **state)
{
    struct rules *set = rules_new();
    unsigned char hashes[4][32];
    (void)state;
    for (uint64_t i = 0; i < 4; i++)
        hash_of(i, hashes[i]);
    add(set, 9, 5000, 9000);
    assert_false(rules_cover(set, (const unsigned char(*)[32])hashes, 4, 100, 0));
    add(set, 1, 50, 9000); /* of these hashes, but issued later */
    assert_false(rules_cover(set, (const unsigned char(*)[32])hashes, 4, 100, 0));
    add(set, 3, 100, 9000);
    assert_true(rules_cover(set, (const unsigned char(*)[32])hashes, 4, 100, 0));
    assert_false(rules_cover(set, (const unsigned char(*)[32])hashes, 3, 100, 0));
    assert_false(rules_cover(set, (const unsigned char(*)[32])hashes, 0, 100, 0));
    rules_free(set);
}

static void the_later_times_stay_each_for_itself(void **state)
{
    struct rules *set = rules_new();
    unsigned char hash[32];
    int64_t before = 0, expires_at = 0;
    (void)state;
    hash_of(1, hash);
    add(set, 1, 1500, 2000);
    add(set, 1, 1400, 1900);
    assert_true(rules_find(set, hash, &before, &expires_at));
    assert_true(before == 1500 && expires_at == 2000);
    add(set, 1, 1600, 1900);
    add(set, 1, 1000, 3000);
    assert_true(rules_find(set, hash, &before, &expires_at));
    assert_true(before == 1600 && expires_at == 3000);
    assert_int_equal(rules_count(set), 1);
    assert_int_equal(rules_purge(set, 3000), 0);
    assert_true(covers(set, 1, 1600));
    assert_int_equal(rules_purge(set, 3001), 1);
    assert_false(covers(set, 1, 1600));
    assert_int_equal(rules_count(set), 0);
    rules_free(set);
}

static void hashes_that_differ_in_one_bit_are_two(void **state)
{
    unsigned char hash[1][32] = { { 0 } };
    struct rules *set = rules_new();
    (void)state;
    rules_add(set, hash[0], 0, 1000, 2000);
    assert_true(rules_cover(set, (const unsigned char(*)[32])hash, 1, 1, 0));
    for (size_t bit = 0; bit < 256; bit++) {
        hash[0][bit / 8] = (unsigned char)(hash[0][bit / 8] ^ 1U << bit % 8);
        assert_false(rules_cover(set, (const unsigned char(*)[32])hash, 1, 1, 0));
        hash[0][bit / 8] = (unsigned char)(hash[0][bit / 8] ^ 1U << bit % 8);
    }
    rules_free(set);
}

static void as_many_as_there_may_be_are_all_there_in_the_memory_that_is_promised(void **state)
{
    struct rules *set = rules_new();
    size_t fixed = rules_bytes(set);
    (void)state;
    for (uint64_t i = 0; i < RULES_MAX; i++)
        add(set, i, (int64_t)i, i % 2 ? 2000000 : 3000000);
    assert_int_equal(rules_count(set), RULES_MAX);
    assert_true(rules_bytes(set) - fixed <= (size_t)152 * RULES_MAX);
    add(set, RULES_MAX, 7, 3000000); /* whoever made it has asked; what is in force is kept */
    assert_int_equal(rules_count(set), RULES_MAX + 1);
    size_t full = rules_bytes(set);
    for (uint64_t i = 0; i < RULES_MAX; i++)
        assert_true(covers(set, i, (int64_t)i) && !covers(set, i, (int64_t)i + 1));
    assert_int_equal(rules_purge(set, 2000001), RULES_MAX / 2);
    for (uint64_t i = 0; i < RULES_MAX; i++)
        assert_int_equal(covers(set, i, 0), i % 2 == 0);
    assert_int_equal(rules_purge(set, 3000001), RULES_MAX / 2 + 1);
    assert_int_equal(rules_count(set), 0);
    assert_true(rules_bytes(set) < full / 100); /* memory comes back */
    rules_free(set);
}

/* All wanting one place: the longest chain there can be. */
static void hashes_that_want_the_same_place_are_all_kept(void **state)
{
    enum { MANY = 300 };
    unsigned char hash[1][32] = { { 0 } };
    struct rules *set = rules_new();
    (void)state;
    for (int i = 0; i < MANY; i++) {
        hash[0][30] = (unsigned char)i;
        hash[0][31] = (unsigned char)(i >> 8);
        rules_add(set, hash[0], 0, 1000, i < MANY / 2 ? 1000 : 2000);
    }
    assert_int_equal(rules_purge(set, 1500), MANY / 2);
    for (int i = 0; i < MANY; i++) {
        hash[0][30] = (unsigned char)i;
        hash[0][31] = (unsigned char)(i >> 8);
        assert_int_equal(rules_cover(set, (const unsigned char(*)[32])hash, 1, 1, 0), i >= MANY / 2);
    }
    rules_free(set);
}

static void times_beyond_any_clock_do_no_harm(void **state)
{
    struct rules *set = rules_new();
    (void)state;
    add(set, 1, INT64_MAX, INT64_MAX);
    add(set, 2, 0, 0);
    add(set, 3, INT64_MIN, INT64_MIN);
    assert_true(covers(set, 1, INT64_MAX));
    assert_true(covers(set, 2, 0));
    assert_false(covers(set, 3, 0));
    assert_int_equal(rules_purge(set, 1800000000), 2);
    assert_int_equal(rules_count(set), 1);
    rules_free(set);
}

/* Readers look while rules are added, raised, and dropped: what was there when they began is never missed, and what
 * nobody revoked is never refused. */
struct reader {
    pthread_t thread;
    struct rules *set;
    const atomic_bool *stopping;
    atomic_int *reached; /* rules 0 … reached - 1 are there */
    size_t missed, wrong;
};

static void *look(void *arg)
{
    struct reader *reader = arg;
    for (uint64_t i = 0; !atomic_load(reader->stopping); i++) {
        uint64_t reached = (uint64_t)atomic_load(reader->reached);
        if (reached > 0)
            reader->missed += !covers(reader->set, i % reached, 1000);
        reader->wrong += covers(reader->set, i % 5000, 1500);
        reader->wrong += covers(reader->set, 1000000 + i, 0);
    }
    return NULL;
}

static void readers_never_miss_what_is_there(void **state)
{
    enum { MANY = 5000 };
    struct reader readers[3];
    struct rules *set = rules_new();
    atomic_bool stopping = false;
    atomic_int reached = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(readers); i++) {
        readers[i] = (struct reader){ .set = set, .stopping = &stopping, .reached = &reached };
        assert_int_equal(pthread_create(&readers[i].thread, NULL, look, &readers[i]), 0);
    }
    for (uint64_t i = 0; i < MANY; i++) {
        add(set, i, 900, 5000);
        add(set, i, 1000, 4000); /* raised */
        atomic_store(&reached, (int)i + 1);
        add(set, 500000 + i, 1000, 10);
        if (i % 64 == 0)
            assert_int_equal(rules_purge(set, 1000), i == 0 ? 1 : 64);
    }
    atomic_store(&stopping, true);
    for (size_t i = 0; i < COUNT(readers); i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].missed, 0);
        assert_int_equal(readers[i].wrong, 0);
    }
    (void)rules_purge(set, 1000);
    assert_int_equal(rules_count(set), MANY);
    rules_free(set);
}

RUN(TEST(an_empty_set_refuses_nothing), TEST(a_rule_refuses_what_was_issued_by_then_and_not_a_second_later),
    TEST(a_rule_spares_what_came_after_it), TEST(any_of_the_hashes_will_do), TEST(the_later_times_stay_each_for_itself),
    TEST(hashes_that_differ_in_one_bit_are_two),
    TEST(as_many_as_there_may_be_are_all_there_in_the_memory_that_is_promised),
    TEST(hashes_that_want_the_same_place_are_all_kept), TEST(times_beyond_any_clock_do_no_harm),
    TEST(readers_never_miss_what_is_there))
