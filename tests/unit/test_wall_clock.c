/* test_wall_clock.c: what a clock that steps, or starts wrong, may decide. */
#include "base/wall_clock.h"
#include "unit.h"

enum { SECOND = 1000, HOUR = 3600 * SECOND };
static const int64_t day_ms = INT64_C(1800000000000), boot_ms = 5000;

static void a_clock_that_runs_is_believed(void **state)
{
    struct wall_clock clock = wall_clock_begin(day_ms, boot_ms);
    (void)state;
    for (int64_t at = 0; at <= 3 * (int64_t)HOUR; at += 997) {
        assert_int_equal(wall_clock_look(&clock, day_ms + at + at / 100000, boot_ms + at), 0); /* and may be slewed */
        assert_int_equal(wall_clock_settled_s(&clock), (day_ms + at + at / 100000) / 1000);
    }
    assert_false(wall_clock_is_ahead(&clock));
}

static void sleeping_is_no_step(void **state)
{
    struct wall_clock clock = wall_clock_begin(day_ms, boot_ms);
    (void)state;
    assert_int_equal(wall_clock_look(&clock, day_ms + 9 * (int64_t)HOUR, boot_ms + 9 * (int64_t)HOUR), 0);
    assert_int_equal(wall_clock_settled_s(&clock), (day_ms + 9 * (int64_t)HOUR) / 1000);
}

static void a_step_ahead_is_seen_and_not_believed(void **state)
{
    struct wall_clock clock = wall_clock_begin(day_ms, boot_ms);
    (void)state;
    assert_int_equal(wall_clock_look(&clock, day_ms + 2 * HOUR + SECOND, boot_ms + SECOND), 2 * HOUR);
    assert_true(wall_clock_is_ahead(&clock));
    assert_int_equal(wall_clock_settled_s(&clock), (day_ms + SECOND) / 1000);
    assert_int_equal(wall_clock_look(&clock, day_ms + 2 * HOUR + 2 * SECOND, boot_ms + 2 * SECOND), 0);
    assert_int_equal(wall_clock_settled_s(&clock), (day_ms + 2 * SECOND) / 1000); /* it goes on from where it was */
}

static void a_step_back_is_believed_at_once(void **state)
{
    struct wall_clock clock = wall_clock_begin(day_ms, boot_ms);
    (void)state;
    assert_int_equal(wall_clock_look(&clock, day_ms - 2 * HOUR, boot_ms), -2 * HOUR);
    assert_false(wall_clock_is_ahead(&clock));
    assert_int_equal(wall_clock_settled_s(&clock), (day_ms - 2 * HOUR) / 1000);
}

static void there_and_back_leaves_nothing(void **state)
{
    struct wall_clock clock = wall_clock_begin(day_ms, boot_ms);
    (void)state;
    (void)wall_clock_look(&clock, day_ms + 2 * HOUR, boot_ms);
    assert_int_equal(wall_clock_look(&clock, day_ms + SECOND, boot_ms + SECOND), -2 * HOUR);
    assert_false(wall_clock_is_ahead(&clock));
    assert_int_equal(wall_clock_settled_s(&clock), (day_ms + SECOND) / 1000);
}

static void steps_add_up(void **state)
{
    struct wall_clock clock = wall_clock_begin(day_ms, boot_ms);
    (void)state;
    (void)wall_clock_look(&clock, day_ms + 3 * HOUR, boot_ms);
    (void)wall_clock_look(&clock, day_ms + 5 * HOUR, boot_ms);
    (void)wall_clock_look(&clock, day_ms + 4 * HOUR, boot_ms);
    assert_int_equal(wall_clock_settled_s(&clock), day_ms / 1000);
}

static void what_nothing_contradicts_for_a_day_is_believed(void **state)
{
    const int64_t day = (int64_t)WALL_CLOCK_BELIEVED_AFTER_S * SECOND;
    struct wall_clock clock = wall_clock_begin(day_ms, boot_ms);
    (void)state;
    (void)wall_clock_look(&clock, day_ms + 2 * HOUR, boot_ms);
    (void)wall_clock_look(&clock, day_ms + 2 * HOUR + day - 1, boot_ms + day - 1);
    assert_true(wall_clock_is_ahead(&clock));
    (void)wall_clock_look(&clock, day_ms + 2 * HOUR + day, boot_ms + day);
    assert_false(wall_clock_is_ahead(&clock));
    assert_int_equal(wall_clock_settled_s(&clock), (day_ms + 2 * HOUR + day) / 1000);
}

static void the_clock_of_all_is_believed_before_ones_own(void **state)
{
    struct wall_clock clock = wall_clock_begin(day_ms, boot_ms);
    (void)state;
    wall_clock_compare(&clock, day_ms - 2 * HOUR, 30 * SECOND); /* it was wrong from the start */
    assert_int_equal(wall_clock_settled_s(&clock), (day_ms - 2 * HOUR) / 1000);
    wall_clock_compare(&clock, day_ms - 29 * SECOND, 30 * SECOND);
    assert_int_equal(wall_clock_settled_s(&clock), day_ms / 1000);
    (void)wall_clock_look(&clock, day_ms + 2 * HOUR, boot_ms); /* it was wrong before, and is set right */
    assert_true(wall_clock_is_ahead(&clock));
    wall_clock_compare(&clock, day_ms + 2 * HOUR, 30 * SECOND);
    assert_false(wall_clock_is_ahead(&clock));
}

static void times_that_no_clock_shows_overflow_nothing(void **state)
{
    struct wall_clock clock = wall_clock_begin(0, 0);
    (void)state;
    assert_int_equal(wall_clock_look(&clock, INT64_MAX / 4, 1), INT64_MAX / 4 - 1);
    assert_int_equal(wall_clock_look(&clock, 0, 2), -(INT64_MAX / 4) - 1);
    assert_int_equal(wall_clock_settled_s(&clock), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = { TEST(a_clock_that_runs_is_believed),
                                        TEST(sleeping_is_no_step),
                                        TEST(a_step_ahead_is_seen_and_not_believed),
                                        TEST(a_step_back_is_believed_at_once),
                                        TEST(there_and_back_leaves_nothing),
                                        TEST(steps_add_up),
                                        TEST(what_nothing_contradicts_for_a_day_is_believed),
                                        TEST(the_clock_of_all_is_believed_before_ones_own),
                                        TEST(times_that_no_clock_shows_overflow_nothing) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
