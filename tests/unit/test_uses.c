/* test_uses.c: noting how often tokens are used: nothing is counted twice, and nothing is lost but what is said to be.
 */
#include "cache/uses.h"
#include "unit.h"
#include <pthread.h>

static struct use *use_of(uint32_t number)
{
    unsigned char hash[32] = { 0 };
    memcpy(hash, &number, sizeof number);
    return use_new(hash, number % 2 ? TOKEN_ACCESS : TOKEN_REFRESH);
}

static uint32_t number_of(const struct use_count *count)
{
    uint32_t number;
    memcpy(&number, count->hash, sizeof number);
    return number;
}

static struct use_count taken[USES_BATCH];

/* All that was noted, by number; how many tokens were given. */
static size_t write_all(struct uses *uses, uint64_t *times, size_t numbers)
{
    size_t given = 0, count;
    uses_collect(uses);
    while ((count = uses_take(uses, taken)) > 0) {
        for (size_t i = 0; i < count; i++) {
            assert_true(number_of(&taken[i]) < numbers);
            assert_int_equal(taken[i].kind, number_of(&taken[i]) % 2 ? TOKEN_ACCESS : TOKEN_REFRESH);
            times[number_of(&taken[i])] += taken[i].times;
        }
        given += count;
        uses_settle(uses, taken, true);
    }
    return given;
}

static void many_uses_are_one_entry(void **state)
{
    struct uses *uses = uses_new();
    struct use *use[3] = { use_of(0), use_of(1), use_of(2) };
    uint64_t times[3] = { 0 };
    (void)state;
    assert_int_equal(write_all(uses, times, 3), 0);
    for (int i = 0; i < 1000; i++)
        uses_note(uses, use[1], 5000 + i % 10);
    uses_note(uses, use[2], 7000);
    uses_collect(uses);
    uses_note(uses, use[1], 6000);
    assert_int_equal(uses_take(uses, taken), 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(taken[i].last_used_at, number_of(&taken[i]) == 1 ? 6000 : 7000);
    uses_settle(uses, taken, true);
    assert_int_equal(write_all(uses, times, 3), 0); /* what came after the collection came with it */
    uses_note(uses, use[1], 6001);
    assert_int_equal(write_all(uses, times, 3), 1);
    assert_int_equal(times[1], 1);
    for (size_t i = 0; i < 3; i++)
        use_release(use[i]);
    use_release(NULL);
    uses_free(uses);
    uses_free(NULL);
}

static void what_was_not_written_is_given_again(void **state)
{
    struct uses *uses = uses_new();
    struct use *a = use_of(1), *b = use_of(2);
    uint64_t times[3] = { 0 };
    (void)state;
    uses_note(uses, a, 1);
    uses_note(uses, b, 1);
    uses_collect(uses);
    assert_int_equal(uses_take(uses, taken), 2);
    uses_note(uses, a, 2); /* while it is written */
    use_release(b);        /* the token has left the cache */
    uses_settle(uses, taken, false);
    uses_note(uses, a, 3);
    assert_true(write_all(uses, times, 3) >= 1);
    (void)write_all(uses, times, 3);
    assert_int_equal(times[1], 3);
    assert_int_equal(times[2], 1);
    assert_int_equal(write_all(uses, times, 3), 0);
    use_release(a);
    uses_free(uses);
}

static void there_is_room_for_so_many_and_no_more(void **state)
{
    enum { MORE = 10, ALL = USES_MAX + MORE };
    struct uses *uses = uses_new();
    struct use **all = arena_alloc(&arena, ALL * sizeof *all);
    uint64_t *times = arena_zalloc(&arena, ALL * sizeof *times);
    size_t lost = 0;
    (void)state;
    for (uint32_t i = 0; i < ALL; i++) {
        all[i] = use_of(i);
        uses_note(uses, all[i], 1);
    }
    uses_note(uses, all[0], 2); /* one that is on the list has its place */
    assert_int_equal(write_all(uses, times, ALL), USES_MAX);
    assert_int_equal(times[0], 2);
    for (uint32_t i = 0; i < ALL; i++)
        lost += times[i] == 0;
    assert_int_equal(lost, MORE);
    uses_note(uses, all[ALL - 1], 3); /* and there is room again */
    assert_int_equal(write_all(uses, times, ALL), 1);
    for (uint32_t i = 0; i < ALL; i++)
        use_release(all[i]);
    uses_free(uses); /* with something on the list */
}

enum { THREADS = 4, SHARED = 50, ROUNDS = 20000 };
struct noting {
    struct uses *uses;
    struct use **shared;
};

static void *note_many(void *arg)
{
    const struct noting *noting = arg;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uses_note(noting->uses, noting->shared[i % SHARED], 1 + i);
        struct use *own = use_of(SHARED); /* a token that leaves at once */
        uses_note(noting->uses, own, 1);
        use_release(own);
    }
    return NULL;
}

static void threads_lose_nothing(void **state)
{
    struct uses *uses = uses_new();
    struct use *shared[SHARED];
    uint64_t times[SHARED + 1] = { 0 }, all = 0;
    pthread_t threads[THREADS];
    (void)state;
    for (uint32_t i = 0; i < SHARED; i++)
        shared[i] = use_of(i);
    struct noting noting = { uses, shared };
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, note_many, &noting), 0);
    for (int i = 0; i < 100; i++) { /* every other batch fails */
        size_t count;
        uses_collect(uses);
        for (bool fails = i % 2; (count = uses_take(uses, taken)) > 0; fails = !fails) {
            for (size_t j = 0; j < count && !fails; j++)
                times[number_of(&taken[j])] += taken[j].times;
            uses_settle(uses, taken, !fails);
        }
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    (void)write_all(uses, times, SHARED + 1);
    (void)write_all(uses, times, SHARED + 1);
    for (size_t i = 0; i < SHARED; i++) {
        assert_int_equal(times[i], THREADS * ROUNDS / SHARED);
        all += times[i];
        use_release(shared[i]);
    }
    assert_true(times[SHARED] <= THREADS * ROUNDS); /* of the others some may have found no room */
    assert_int_equal(all, THREADS * ROUNDS);
    uses_free(uses);
}

RUN(TEST(many_uses_are_one_entry), TEST(what_was_not_written_is_given_again),
    TEST(there_is_room_for_so_many_and_no_more), TEST(threads_lose_nothing))
