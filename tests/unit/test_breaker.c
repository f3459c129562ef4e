/* test_breaker.c: the circuit breaker, with a clock of the test's own. */
#include "aws/breaker.h"
#include "unit.h"

static struct breaker breaker;

static int begin(void **state)
{
    (void)state;
    breaker_init(&breaker);
    return 0;
}

static int finish(void **state)
{
    (void)state;
    breaker_release(&breaker);
    return 0;
}

static bool is_open(void)
{
    return breaker.pause_ms > 0;
}

/* That many tries that fail, a step apart. */
static void fail_tries(unsigned count, int64_t *now_ms, int64_t step_ms)
{
    for (unsigned i = 0; i < count; i++, *now_ms += step_ms) {
        assert_true(breaker_enter(&breaker, *now_ms));
        assert_false(breaker_report(&breaker, *now_ms, false));
    }
}

static void open_it(int64_t *now_ms)
{
    fail_tries(BREAKER_FAILURES - 1, now_ms, 200);
    assert_true(breaker_report(&breaker, *now_ms, false));
    assert_true(is_open());
}

static void it_opens_after_failures_in_a_row_and_not_before(void **state)
{
    int64_t now_ms = 5000;
    fail_tries(BREAKER_FAILURES - 1, &now_ms, 200);
    assert_false(is_open());
    assert_int_equal(breaker_wait_ms(&breaker, now_ms), 0);
    assert_false(breaker_report(&breaker, now_ms, true)); /* an answer, and the row begins anew */
    fail_tries(BREAKER_FAILURES - 1, &now_ms, 200);
    assert_true(breaker_enter(&breaker, now_ms));
    assert_true(breaker_report(&breaker, now_ms, false));
    assert_true(is_open());
    assert_false(breaker_enter(&breaker, now_ms));
    assert_int_equal(breaker_wait_ms(&breaker, now_ms), BREAKER_PAUSE_MS);
    assert_int_equal(breaker_wait_ms(&breaker, now_ms + BREAKER_PAUSE_MS - 1), 1);
    assert_int_equal(breaker_wait_ms(&breaker, now_ms + BREAKER_PAUSE_MS), 0);
    (void)state;
}

static void many_failures_of_one_moment_are_no_outage(void **state)
{
    int64_t now_ms = 0;
    fail_tries(200, &now_ms, 0);
    now_ms += BREAKER_LEAST_MS - 1;
    fail_tries(1, &now_ms, 1);
    assert_false(is_open());
    assert_true(breaker_report(&breaker, now_ms, false));
    (void)state;
}

static void one_probe_goes_after_the_pause_and_its_answer_closes_it(void **state)
{
    int64_t now_ms = 0;
    open_it(&now_ms);
    assert_false(breaker_enter(&breaker, now_ms + BREAKER_PAUSE_MS - 1));
    now_ms += BREAKER_PAUSE_MS;
    assert_true(breaker_enter(&breaker, now_ms));
    assert_false(breaker_enter(&breaker, now_ms)); /* one at a time */
    assert_true(breaker_report(&breaker, now_ms + 5, true));
    assert_false(is_open());
    assert_true(breaker_enter(&breaker, now_ms + 5));
    (void)state;
}

static void each_failed_probe_doubles_the_pause_up_to_its_maximum(void **state)
{
    int64_t now_ms = 0, pause_ms = BREAKER_PAUSE_MS;
    open_it(&now_ms);
    for (int i = 0; i < 8; i++) {
        assert_false(breaker_enter(&breaker, now_ms + pause_ms - 1));
        now_ms += pause_ms;
        assert_true(breaker_enter(&breaker, now_ms));
        assert_false(breaker_report(&breaker, now_ms, false));
        pause_ms = pause_ms * 2 < BREAKER_PAUSE_MAX_MS ? pause_ms * 2 : BREAKER_PAUSE_MAX_MS;
    }
    assert_int_equal(pause_ms, BREAKER_PAUSE_MAX_MS);
    (void)state;
}

static void late_failures_of_the_time_before_change_nothing(void **state)
{
    int64_t now_ms = 0;
    open_it(&now_ms);
    for (int i = 0; i < 100; i++)
        assert_false(breaker_report(&breaker, now_ms + 10, false));
    assert_true(breaker_enter(&breaker, now_ms + BREAKER_PAUSE_MS));
    (void)state;
}

static void a_probe_that_never_reports_is_given_up(void **state)
{
    int64_t now_ms = 0;
    open_it(&now_ms);
    now_ms += BREAKER_PAUSE_MS;
    assert_true(breaker_enter(&breaker, now_ms));
    assert_false(breaker_enter(&breaker, now_ms + BREAKER_PROBE_MS - 1));
    assert_true(breaker_enter(&breaker, now_ms + BREAKER_PROBE_MS));
    (void)state;
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, finish)

RUN(CASE(it_opens_after_failures_in_a_row_and_not_before), CASE(many_failures_of_one_moment_are_no_outage),
    CASE(one_probe_goes_after_the_pause_and_its_answer_closes_it),
    CASE(each_failed_probe_doubles_the_pause_up_to_its_maximum), CASE(late_failures_of_the_time_before_change_nothing),
    CASE(a_probe_that_never_reports_is_given_up))
