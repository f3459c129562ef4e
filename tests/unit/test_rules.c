/* test_rules.c: rules: none refuses more than it says, and a new one outlives all before it. */
#include "revocation/rules.h"
#include "hashes.h"
#include "store/store.h"
#include "unit.h"
#include <time.h>

static bool covers(struct rules *rules, uint64_t number, int64_t issued_at, int64_t issued_after)
{
    unsigned char hash[1][32];
    hash_of(number, hash[0]);
    return rules_cover(rules, (const unsigned char(*)[32])hash, 1, issued_at, issued_after);
}

static void add(struct rules *rules, uint64_t number, int64_t before, int64_t expires_at)
{
    unsigned char hash[32];
    hash_of(number, hash);
    rules_add(rules, hash, (struct hash_value){ .expires_at = expires_at, .before = before });
}

static int64_t make(struct rules *rules, uint64_t number, int64_t before, int64_t expires_at)
{
    unsigned char hash[32];
    hash_of(number, hash);
    return rules_make(rules, hash, (struct hash_value){ .expires_at = expires_at, .before = before });
}

static void no_rules_refuse_nothing(void **state)
{
    struct rules *rules = rules_new();
    (void)state;
    assert_false(covers(rules, 1, 0, 0));
    assert_false(covers(rules, 1, INT64_MIN, 0));
    assert_int_equal(rules_latest(rules), 0);
    assert_int_equal(rules_last_expiry(rules), 0);
    rules_free(rules);
    rules_free(NULL);
}

static void a_rule_refuses_what_was_issued_by_then_and_not_a_second_later(void **state)
{
    struct rules *rules = rules_new();
    (void)state;
    add(rules, 1, 1500, 2000);
    assert_true(covers(rules, 1, 0, 0));
    assert_true(covers(rules, 1, 1499, 0));
    assert_true(covers(rules, 1, 1500, 0));
    assert_false(covers(rules, 1, 1501, 0));
    assert_false(covers(rules, 2, 1499, 0));
    rules_free(rules);
}

/* Also one that was issued at the same time, as a clock that was set back has it. */
static void a_rule_spares_what_came_after_it(void **state)
{
    struct rules *rules = rules_new();
    (void)state;
    assert_int_equal(make(rules, 1, 1500, 2000), 2000);
    assert_true(covers(rules, 1, 1500, 2000));
    assert_false(covers(rules, 1, 1500, 2001));
    add(rules, 2, 9, 7000);
    assert_int_equal(rules_last_expiry(rules), 7000);
    assert_int_equal(make(rules, 1, 1400, 3000), 7001); /* later than what came after any other */
    assert_true(covers(rules, 1, 1500, 7001));
    assert_false(covers(rules, 1, 1501, 7001));
    assert_false(covers(rules, 1, 1500, 7002));
    assert_int_equal(make(rules, 1, 1400, 9000), 9000);
    assert_int_equal(rules_latest(rules), 1500);
    rules_free(rules);
}

static void times_beyond_any_clock_refuse_more_and_not_less(void **state)
{
    struct rules *rules = rules_new();
    (void)state;
    add(rules, 1, INT64_MAX - 1, INT64_MAX - 1);
    assert_true(covers(rules, 1, INT64_MAX, INT64_MAX));
    assert_int_equal(rules_latest(rules), INT64_MAX - 1);
    assert_int_equal(rules_last_expiry(rules), INT64_MAX - 1);
    assert_true(make(rules, 2, 1500, 9000) == INT64_MAX); /* after all others still */
    assert_true(covers(rules, 2, 1500, INT64_MAX));
    assert_false(covers(rules, 2, 1501, 0));
    add(rules, 3, 0, 0);
    add(rules, 4, INT64_MIN, INT64_MIN);
    assert_true(covers(rules, 3, 0, 0));
    assert_false(covers(rules, 4, 1, 0));
    assert_int_equal(hash_set_purge(rules_set(rules), 1800000000), 2);
    rules_free(rules);
}

/* Nothing is issued to a session that is over; but what is issued to others must not be taken for issued by a clock
 * that is behind. */
static void the_end_of_a_session_lies_ahead_and_the_clock_is_not_behind(void **state)
{
    struct rules *rules = rules_new();
    const int64_t now_s = (int64_t)time(NULL);
    unsigned char hash[32];
    (void)state;
    hash_of(1, hash);
    rules_add(rules, hash,
              (struct hash_value){ .expires_at = now_s + 900, .before = now_s + 90, .kind = REVOKED_SESSION });
    assert_true(covers(rules, 1, now_s + 90, 0));
    assert_false(covers(rules, 1, now_s + 91, 0));
    assert_in_range(rules_latest(rules), now_s, (int64_t)time(NULL));
    hash_of(2, hash);
    rules_add(rules, hash,
              (struct hash_value){ .expires_at = now_s + 900, .before = now_s + 90, .kind = REVOKED_SUBJECT });
    assert_int_equal(rules_latest(rules), now_s + 90);
    rules_free(rules);
}

RUN(TEST(no_rules_refuse_nothing), TEST(a_rule_refuses_what_was_issued_by_then_and_not_a_second_later),
    TEST(a_rule_spares_what_came_after_it), TEST(times_beyond_any_clock_refuse_more_and_not_less),
    TEST(the_end_of_a_session_lies_ahead_and_the_clock_is_not_behind))
