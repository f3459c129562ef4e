/* test_give_back.c: when memory that is not used is given back. */
#include "service/give_back.h"
#include "unit.h"

enum { MIB = 1024 * 1024 };

/* How many looks in a row at so much it takes until it is due; 0: it isn't within 100. */
static int looks_until_due(struct give_back *memory, size_t unused)
{
    for (int looks = 1; looks <= 100; looks++)
        if (give_back_is_due(memory, unused))
            return looks;
    return 0;
}

static void much_that_stays_unused_is_given_back(void **state)
{
    (void)state;
    struct give_back memory = { 0 };
    assert_int_equal(looks_until_due(&memory, GIVE_BACK_BYTES - 1), 0);
    assert_in_range(looks_until_due(&memory, GIVE_BACK_BYTES), 1, 2 * GIVE_BACK_LOOKS);
}

static void what_is_needed_now_and_then_is_kept(void **state)
{
    (void)state;
    struct give_back memory = { 0 };
    for (int i = 0; i < 100; i++)
        assert_false(give_back_is_due(&memory, i % (GIVE_BACK_LOOKS - 1) == 0 ? MIB : 100 * (size_t)MIB));
}

/* Or it would be tried again and again. */
static void what_could_not_be_given_back_counts_no_more(void **state)
{
    (void)state;
    struct give_back memory = { 0 };
    assert_int_equal(looks_until_due(&memory, 50 * (size_t)MIB), GIVE_BACK_LOOKS);
    give_back_done(&memory, 30 * (size_t)MIB);
    assert_int_equal(looks_until_due(&memory, 30 * (size_t)MIB), 0);
    assert_int_equal(looks_until_due(&memory, 33 * (size_t)MIB), 0);
    assert_int_not_equal(looks_until_due(&memory, 34 * (size_t)MIB), 0);
}

/* What lay between has gone since: from there on it is counted. */
static void what_became_less_since_is_the_new_measure(void **state)
{
    (void)state;
    struct give_back memory = { 0 };
    give_back_done(&memory, 30 * (size_t)MIB);
    assert_int_equal(looks_until_due(&memory, 2 * (size_t)MIB), 0);
    assert_int_not_equal(looks_until_due(&memory, 6 * (size_t)MIB), 0);
}

RUN(TEST(much_that_stays_unused_is_given_back), TEST(what_is_needed_now_and_then_is_kept),
    TEST(what_could_not_be_given_back_counts_no_more), TEST(what_became_less_since_is_the_new_measure))
