/* test_hash_set.c: sets of hashes: nothing that was added is ever missed before its time, whatever goes on meanwhile,
 * and nothing else is found. */
#include "revocation/hash_set.h"
#include "base/clock.h"
#include "hashes.h"
#include "unit.h"
#include <pthread.h>
#include <stdatomic.h>

static const enum hash_set_shape every_shape[] = { HASH_SET_TOKENS, HASH_SET_WHOLE_TOKENS, HASH_SET_RULES,
                                                   HASH_SET_TALLY };

static bool has(struct hash_set *set, uint64_t number)
{
    unsigned char hash[32];
    hash_of(number, hash);
    return hash_set_has(set, hash);
}

static bool holds(struct hash_set *set, uint64_t number, int64_t expires_at, int64_t before)
{
    unsigned char hash[1][32];
    hash_of(number, hash[0]);
    return hash_set_holds(set, (const unsigned char(*)[32])hash, 1, expires_at, before);
}

static void add_rule(struct hash_set *set, uint64_t number, int64_t before, int64_t expires_at)
{
    unsigned char hash[32];
    hash_of(number, hash);
    hash_set_add(set, hash, (struct hash_value){ .expires_at = expires_at, .before = before });
}

static void add(struct hash_set *set, uint64_t number, int64_t expires_at)
{
    add_rule(set, number, 0, expires_at);
}

static void an_empty_set_has_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(every_shape); i++) {
        struct hash_set *set = hash_set_new(every_shape[i]);
        assert_false(has(set, 1));
        assert_false(holds(set, 1, INT64_MIN, INT64_MIN));
        assert_int_equal(hash_set_count(set), 0);
        assert_int_equal(hash_set_purge(set, INT64_MAX), 0);
        assert_in_range(hash_set_bytes(set), 1, 16384);
        hash_set_free(set);
    }
    hash_set_free(NULL);
}

/* What hash_set.h promises of each shape. */
static void what_was_added_is_there_in_the_memory_that_is_promised_and_nothing_else(void **state)
{
    enum { MANY = 100000 };
    static const size_t least[] = { 20, 36, 44, 12 }, most[] = { 54, 96, 118, 32 };
    (void)state;
    for (size_t k = 0; k < COUNT(every_shape); k++) {
        struct hash_set *set = hash_set_new(every_shape[k]);
        for (uint64_t i = 0; i < MANY; i++) {
            add(set, i, 2000);
            if (i % 4096 == 0)
                for (uint64_t j = 0; j <= i; j += 97)
                    assert_true(has(set, j)); /* also while it grows */
        }
        assert_int_equal(hash_set_count(set), MANY);
        for (uint64_t i = 0; i < MANY; i++)
            assert_true(has(set, i) && !has(set, i + MANY));
        assert_in_range(hash_set_bytes(set), least[k] * MANY, most[k] * MANY + 16384);
        hash_set_free(set);
    }
}

/* What is promised to operators: 64 bytes a token at most, whatever their number, and a million below 64 MB. */
static void a_million_tokens_take_less_than_64_megabytes(void **state)
{
    enum { MILLION = 1000000 };
    struct hash_set *set = hash_set_new(HASH_SET_TOKENS);
    size_t fixed = hash_set_bytes(set);
    (void)state;
    for (uint64_t i = 0; i < MILLION; i++) {
        add(set, i, 2000);
        if (i >= 1000 && i % 1000 == 0)
            assert_true(hash_set_bytes(set) - fixed <= 64 * (i + 1) + (size_t)64 * 1024);
    }
    assert_int_equal(hash_set_count(set), MILLION);
    assert_true(hash_set_bytes(set) <= (size_t)64 * 1000 * 1000);
    hash_set_free(set);
}

static void hashes_that_differ_in_a_bit_that_is_compared_are_two(void **state)
{
    static const size_t compared[] = { 16, 16, 32, 8 };
    (void)state;
    for (size_t k = 0; k < COUNT(every_shape); k++) {
        unsigned char hash[32] = { 0 };
        struct hash_set *set = hash_set_new(every_shape[k]);
        hash_set_add(set, hash, (struct hash_value){ .expires_at = 2000 });
        assert_true(hash_set_has(set, hash));
        for (size_t bit = 0; bit < sizeof hash * 8; bit++) {
            hash[bit / 8] = (unsigned char)(hash[bit / 8] ^ 1U << bit % 8);
            assert_int_equal(hash_set_has(set, hash), bit >= 8 * compared[k]);
            hash[bit / 8] = (unsigned char)(hash[bit / 8] ^ 1U << bit % 8);
        }
        hash_set_free(set);
    }
}

/* All in one shard, all wanting one place: the longest chain there can be. */
static void hashes_that_want_the_same_place_are_all_kept(void **state)
{
    enum { MANY = 300 };
    (void)state;
    for (size_t k = 0; k < COUNT(every_shape) - 1; k++) { /* a tally compares no more than what makes the place */
        unsigned char hash[32] = { 0 };
        struct hash_set *set = hash_set_new(every_shape[k]);
        for (int i = 0; i < MANY; i++) {
            hash[9] = (unsigned char)i;
            hash[10] = (unsigned char)(i >> 8);
            hash_set_add(set, hash, (struct hash_value){ .expires_at = i < MANY / 2 ? 1000 : 2000 });
        }
        assert_int_equal(hash_set_count(set), MANY);
        assert_int_equal(hash_set_purge(set, 1500), MANY / 2);
        for (int i = 0; i < MANY; i++) {
            hash[9] = (unsigned char)i;
            hash[10] = (unsigned char)(i >> 8);
            assert_int_equal(hash_set_has(set, hash), i >= MANY / 2);
        }
        hash_set_free(set);
    }
}

static void the_later_times_stay_each_for_itself(void **state)
{
    struct hash_set *set = hash_set_new(HASH_SET_RULES);
    (void)state;
    add_rule(set, 1, 1500, 2000);
    add_rule(set, 1, 1400, 1900);
    assert_true(holds(set, 1, 2000, 1500) && !holds(set, 1, 2001, 0) && !holds(set, 1, 0, 1501));
    add_rule(set, 1, 1600, 1900);
    add_rule(set, 1, 1000, 3000);
    assert_true(holds(set, 1, 3000, 1600) && !holds(set, 1, 3001, 0) && !holds(set, 1, 0, 1601));
    assert_int_equal(hash_set_count(set), 1);
    assert_int_equal(hash_set_purge(set, 3000), 0);
    assert_true(has(set, 1));
    assert_int_equal(hash_set_purge(set, 3001), 1);
    assert_false(has(set, 1));
    hash_set_free(set);
}

static void any_of_the_hashes_will_do(void **state)
{
    struct hash_set *set = hash_set_new(HASH_SET_RULES);
    unsigned char hashes[4][32];
    const unsigned char(*all)[32] = (const unsigned char(*)[32])hashes;
    (void)state;
    for (uint64_t i = 0; i < 4; i++)
        hash_of(i, hashes[i]);
    add_rule(set, 9, 5000, 9000);
    assert_false(hash_set_holds(set, all, 4, 0, 100));
    add_rule(set, 1, 50, 9000); /* of these hashes, but with an earlier time */
    assert_false(hash_set_holds(set, all, 4, 0, 100));
    add_rule(set, 3, 100, 9000);
    assert_true(hash_set_holds(set, all, 4, 0, 100));
    assert_false(hash_set_holds(set, all, 3, 0, 100));
    assert_false(hash_set_holds(set, all, 0, 0, 100));
    hash_set_free(set);
}

static void a_purge_drops_what_expired_before_and_nothing_that_did_not(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT(every_shape); k++) {
        struct hash_set *set = hash_set_new(every_shape[k]);
        for (uint64_t i = 0; i < 10000; i++)
            add(set, i, (int64_t)(1000 + i));
        size_t before = hash_set_bytes(set);
        assert_int_equal(hash_set_purge(set, 1000), 0);
        assert_int_equal(hash_set_purge(set, 10000), 9000);
        for (uint64_t i = 0; i < 10000; i++)
            assert_int_equal(has(set, i), i >= 9000);
        assert_int_equal(hash_set_count(set), 1000);
        assert_true(hash_set_bytes(set) < before / 2); /* memory comes back */
        assert_int_equal(hash_set_purge(set, 11000), 1000);
        assert_int_equal(hash_set_count(set), 0);
        add(set, 5, 99999); /* and the set goes on */
        assert_true(has(set, 5));
        hash_set_free(set);
    }
}

static void times_beyond_any_clock_are_kept_and_not_wrapped_round(void **state)
{
    static const int64_t times[] = { INT64_C(4294967295), INT64_C(4294967296), INT64_C(4294967297),
                                     INT64_C(253402300799), INT64_MAX };
    (void)state;
    for (size_t k = 0; k < COUNT(every_shape); k++) {
        struct hash_set *set = hash_set_new(every_shape[k]);
        for (size_t i = 0; i < COUNT(times); i++)
            add_rule(set, i, times[i], times[i]);
        add_rule(set, 100, 0, 0);
        add_rule(set, 101, -1, -1);
        add_rule(set, 102, INT64_MIN, INT64_MIN);
        assert_true(has(set, 100) && has(set, 101) && has(set, 102));
        assert_int_equal(hash_set_purge(set, 1800000000), 3);
        for (size_t i = 0; i < COUNT(times); i++)
            assert_true(holds(set, i, times[i], every_shape[k] == HASH_SET_RULES ? times[i] : 0));
        hash_set_free(set);
    }
}

static void a_walk_shows_whole_hashes_that_have_not_ended(void **state)
{
    enum { MANY = 20000, PAGE = 70 };
    (void)state;
    for (size_t k = 0; k < COUNT(every_shape); k++) {
        const bool is_rule = every_shape[k] == HASH_SET_RULES, is_whole = is_rule || k == HASH_SET_WHOLE_TOKENS;
        struct hash_set *set = hash_set_new(every_shape[k]);
        struct hash_entry page[PAGE];
        struct hash_set_cursor cursor = { 0, 0 };
        bool seen[MANY] = { false };
        unsigned char hash[32];
        size_t shown = 0;
        assert_int_equal(hash_set_list(set, &cursor, 0, page, PAGE), 0);
        for (uint64_t i = 0; i < MANY; i++) {
            hash_of(i, hash);
            memcpy(hash + 24, &i, sizeof i);
            hash_set_add(set, hash, (struct hash_value){ i % 4 == 0 ? 1000 : 2000, (int64_t)i, (unsigned)(i % 5) });
        }
        cursor = (struct hash_set_cursor){ 0, 0 };
        for (size_t count; (count = hash_set_list(set, &cursor, 1000, page, PAGE)) > 0; shown += count)
            for (size_t i = 0; i < count; i++) {
                uint64_t number;
                memcpy(&number, page[i].hash + 24, sizeof number);
                assert_true(number < MANY && number % 4 != 0 && !seen[number]);
                hash_of(number, hash);
                assert_memory_equal(page[i].hash, hash, 24);
                assert_int_equal(page[i].value.expires_at, 2000);
                assert_int_equal(page[i].value.before, is_rule ? number : 0);
                assert_int_equal(page[i].value.kind, is_rule ? number % 5 : 0);
                seen[number] = true;
            }
        assert_int_equal(shown, is_whole ? MANY / 4 * 3 : 0);
        hash_set_free(set);
    }
}

/* Threads add and look, in a set that one purges of what is long past: a look never misses what its thread added. */
struct worker {
    struct hash_set *set;
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

static void threads_never_miss_what_they_added(void **state)
{
    struct worker workers[3];
    pthread_t threads[COUNT(workers)];
    struct hash_set *set = hash_set_new(HASH_SET_TOKENS);
    (void)state;
    for (size_t i = 0; i < COUNT(workers); i++) {
        workers[i] = (struct worker){ .set = set, .first = i * 1000000 };
        assert_int_equal(pthread_create(&threads[i], NULL, add_and_look, &workers[i]), 0);
    }
    for (int i = 0; i < 200; i++)
        (void)hash_set_purge(set, 1000);
    for (size_t i = 0; i < COUNT(workers); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(workers[i].missed, 0);
    }
    (void)hash_set_purge(set, 1000);
    assert_int_equal(hash_set_count(set), COUNT(workers) * 20000);
    hash_set_free(set);
}

/* Readers look, and one walks, while entries are added, raised and dropped: what was there when they began is never
 * missed, and no number is ever higher than it was made. */
struct reader {
    pthread_t thread;
    struct hash_set *set;
    const atomic_bool *stopping;
    const atomic_int *reached; /* 0 … reached - 1 are there */
    size_t missed, wrong;
};

static void *look(void *arg)
{
    struct reader *reader = arg;
    for (uint64_t i = 0; !atomic_load(reader->stopping); i++) {
        uint64_t reached = (uint64_t)atomic_load(reader->reached);
        if (reached > 0)
            reader->missed += !holds(reader->set, i % reached, 5000, 1000);
        reader->wrong += holds(reader->set, i % 5000, 0, 1500) || holds(reader->set, i % 5000, 5001, 0);
        reader->wrong += has(reader->set, 1000000 + i);
    }
    return NULL;
}

static void *walk(void *arg)
{
    struct reader *reader = arg;
    struct hash_entry page[50];
    while (!atomic_load(reader->stopping)) {
        struct hash_set_cursor cursor = { 0, 0 };
        for (size_t count; (count = hash_set_list(reader->set, &cursor, 1000, page, COUNT(page))) > 0;)
            for (size_t i = 0; i < count; i++)
                reader->wrong += page[i].value.before != 900 && page[i].value.before != 1000;
        reader->wrong += hash_set_bytes(reader->set) == 0;
        clock_sleep_ms(1); /* a mutex is not fair: who adds must come by it, too */
    }
    return NULL;
}

static void readers_never_miss_what_is_there(void **state)
{
    enum { MANY = 5000 };
    struct reader readers[4];
    struct hash_set *set = hash_set_new(HASH_SET_RULES);
    atomic_bool stopping = false;
    atomic_int reached = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(readers); i++) {
        readers[i] = (struct reader){ .set = set, .stopping = &stopping, .reached = &reached };
        assert_int_equal(pthread_create(&readers[i].thread, NULL, i == 0 ? walk : look, &readers[i]), 0);
    }
    for (uint64_t i = 0; i < MANY; i++) {
        add_rule(set, i, 900, 5000);
        add_rule(set, i, 1000, 4000); /* raised */
        atomic_store(&reached, (int)i + 1);
        add_rule(set, 500000 + i, 1000, 10);
        if (i % 64 == 0)
            assert_int_equal(hash_set_purge(set, 1000), i == 0 ? 1 : 64);
    }
    atomic_store(&stopping, true);
    for (size_t i = 0; i < COUNT(readers); i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].missed, 0);
        assert_int_equal(readers[i].wrong, 0);
    }
    (void)hash_set_purge(set, 1000);
    assert_int_equal(hash_set_count(set), MANY);
    hash_set_free(set);
}

RUN(TEST(an_empty_set_has_nothing), TEST(what_was_added_is_there_in_the_memory_that_is_promised_and_nothing_else),
    TEST(a_million_tokens_take_less_than_64_megabytes), TEST(hashes_that_differ_in_a_bit_that_is_compared_are_two),
    TEST(hashes_that_want_the_same_place_are_all_kept), TEST(the_later_times_stay_each_for_itself),
    TEST(any_of_the_hashes_will_do), TEST(a_purge_drops_what_expired_before_and_nothing_that_did_not),
    TEST(times_beyond_any_clock_are_kept_and_not_wrapped_round), TEST(a_walk_shows_whole_hashes_that_have_not_ended),
    TEST(threads_never_miss_what_they_added), TEST(readers_never_miss_what_is_there))
