/* test_budget.c: the quota: the bucket with a clock of the test's own (aws/rate.h), the delays between tries
 * (aws/retry.h), and the line before the bucket with real threads. */
#include "aws/budget.h"
#include "aws/rate.h"
#include "aws/retry.h"
#include "unit.h"
#include <pthread.h>
#include <time.h>

static const int64_t second_ns = 1000000000;

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * second_ns + now.tv_nsec;
}

/* How many are taken in a second of steps of a tenth of a millisecond. */
static unsigned taken_in_a_second(struct rate *rate, int64_t *at_ns)
{
    unsigned taken = 0;
    for (int i = 0; i < 10000; i++, *at_ns += 100000)
        taken += rate_take(rate, *at_ns);
    return taken;
}

static void no_second_sees_more_than_the_rate_and_a_tenth(void **state)
{
    static const unsigned rates[] = { 1, 7, 900, 5000 };
    for (size_t i = 0; i < COUNT(rates); i++) {
        struct rate rate;
        int64_t at_ns = 12345;
        rate_init(&rate, rates[i], at_ns);
        unsigned first = taken_in_a_second(&rate, &at_ns);
        assert_in_range(first, rates[i], rates[i] + rates[i] / 10 + 1);
        at_ns += 3600 * second_ns; /* an idle hour saves up no more than that */
        assert_in_range(taken_in_a_second(&rate, &at_ns), rates[i], rates[i] + rates[i] / 10 + 2);
    }
    (void)state;
}

static void the_wait_is_that_of_those_ahead(void **state)
{
    struct rate rate;
    rate_init(&rate, 100, 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(rate_wait_ns(&rate, 0), 0);
        assert_true(rate_take(&rate, 0));
    }
    assert_false(rate_take(&rate, 0));
    assert_in_range(rate_wait_ns(&rate, 0), second_ns / 100, second_ns / 100 + 1000);
    assert_in_range(rate_wait_ns(&rate, 49), second_ns / 2, second_ns / 2 + 1000);
    assert_true(rate_take(&rate, rate_wait_ns(&rate, 0)));
    (void)state;
}

static void throttling_slows_down_once_for_all_answers_of_a_moment(void **state)
{
    struct rate rate;
    int64_t at_ns = 0;
    rate_init(&rate, 1000, at_ns);
    rate_throttled(&rate, at_ns);
    assert_true(rate_wait_ns(&rate, 0) > 0); /* what was saved up is gone */
    for (int i = 0; i < 200; i++)
        rate_throttled(&rate, at_ns + i * 1000000);
    assert_true(rate.now > 690 && rate.now < 710);
    rate_throttled(&rate, at_ns + second_ns);
    assert_true(rate.now > 480 && rate.now < 520);
    (void)state;
}

static void the_rate_comes_back_slowly_and_wholly(void **state)
{
    struct rate rate;
    int64_t at_ns = 0;
    rate_init(&rate, 1000, at_ns);
    for (int i = 0; i < 100; i++, at_ns += second_ns / 4)
        rate_throttled(&rate, at_ns);
    assert_true(rate.now >= 10 && rate.now < 30); /* it never stops altogether */
    at_ns += 10 * second_ns;
    (void)rate_take(&rate, at_ns);
    assert_true(rate.now > 200 && rate.now < 240);
    at_ns += 60 * second_ns;
    (void)rate_take(&rate, at_ns);
    assert_true(rate.now >= 1000 && rate.now <= 1000);
    (void)state;
}

static void a_clock_that_stands_or_goes_back_gives_nothing(void **state)
{
    struct rate rate;
    rate_init(&rate, 10, second_ns);
    assert_true(rate_take(&rate, second_ns));
    assert_false(rate_take(&rate, second_ns));
    assert_false(rate_take(&rate, 0));
    assert_true(rate_take(&rate, second_ns + second_ns / 10 + 1));
    (void)state;
}

static void delays_have_full_jitter_and_a_maximum(void **state)
{
    static const struct {
        unsigned tries;
        int64_t most_ms;
    } rows[] = { { 1, 25 },  { 2, 50 },   { 3, 100 },  { 4, 200 },
                 { 6, 800 }, { 7, 1000 }, { 8, 1000 }, { 4000000000, 1000 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t least = INT64_MAX, most = -1;
        for (uint64_t random = 0; random < 2002; random++) {
            int64_t delay = retry_delay_ms(rows[i].tries, random);
            least = delay < least ? delay : least;
            most = delay > most ? delay : most;
        }
        assert_int_equal(least, 0);
        assert_int_equal(most, rows[i].most_ms);
        assert_in_range(retry_delay_ms(rows[i].tries, UINT64_MAX), 0, rows[i].most_ms);
    }
    (void)state;
}

/* --- the line ---------------------------------------------------------------------------------------------------- */

static struct budget *budget;
static pthread_mutex_t order_lock = PTHREAD_MUTEX_INITIALIZER;
static char order[64];

struct caller {
    unsigned priority;
    int64_t within_ns;
    struct err err;
    pthread_t thread;
};

static void *take_turn(void *arg)
{
    struct caller *caller = arg;
    caller->err = budget_take(budget, caller->priority, now_ns() + caller->within_ns);
    pthread_mutex_lock(&order_lock);
    if (!caller->err.code)
        order[strlen(order)] = (char)('0' + caller->priority);
    pthread_mutex_unlock(&order_lock);
    return NULL;
}

/* It stands in line when this returns: so they do in the order in which they were started. */
static void start(struct caller *caller, unsigned priority, int64_t within_ns)
{
    const struct timespec pause = { 0, 1000000 };
    const int64_t began = now_ns(), before = budget_wait_ns(budget, 0);
    *caller = (struct caller){ .priority = priority, .within_ns = within_ns };
    assert_int_equal(pthread_create(&caller->thread, NULL, take_turn, caller), 0);
    /* what is waited for shrinks with time, and grows by each who comes: by a tenth of a second at least */
    while (budget_wait_ns(budget, 0) + (now_ns() - began) < before + second_ns / 10 && now_ns() - began < second_ns / 2)
        nanosleep(&pause, NULL);
}

static void the_more_urgent_go_first_and_of_equal_ones_the_earlier(void **state)
{
    static const unsigned priorities[] = { 3, 2, 3, 1, 2, 1, 0, 0 };
    struct caller callers[COUNT(priorities)];
    memset(order, 0, sizeof order);
    budget = budget_new(5);
    assert_ok(budget_take(budget, 2, now_ns())); /* the one that was saved up */
    for (size_t i = 0; i < COUNT(callers); i++)
        start(&callers[i], priorities[i], 10 * second_ns);
    for (size_t i = 0; i < COUNT(callers); i++) {
        pthread_join(callers[i].thread, NULL);
        assert_ok(callers[i].err);
    }
    assert_string_equal(order, "00112233");
    budget_free(budget);
    (void)state;
}

static void who_can_have_no_turn_in_time_is_told_at_once(void **state)
{
    struct caller callers[3];
    memset(order, 0, sizeof order);
    budget = budget_new(2);
    const int64_t began = now_ns();
    assert_ok(budget_take(budget, 0, began));
    for (size_t i = 0; i < COUNT(callers); i++)
        start(&callers[i], 1, 10 * second_ns);
    const int64_t wait_ns = budget_wait_ns(budget, 0), long_wait_ns = budget_wait_ns(budget, 10);
    int64_t before = now_ns();
    assert_in_range(wait_ns, 2 * second_ns - (before - began) - 1000, 2 * second_ns + 1000); /* behind all three */
    assert_in_range(long_wait_ns, 7 * second_ns - (before - began) - 1000, 7 * second_ns + 1000);
    struct err err = budget_take(budget, 1, before + second_ns); /* the fourth in line waits for two seconds */
    assert_code(err, ERR_UNAVAILABLE, "the fourth");
    assert_non_null(strstr(err.why, "quota"));
    assert_true(now_ns() - before < second_ns * 3 / 4);
    assert_ok(budget_take(budget, 0, now_ns() + second_ns)); /* but a more urgent one is first in line */
    for (size_t i = 0; i < COUNT(callers); i++)
        pthread_join(callers[i].thread, NULL);
    assert_string_equal(order, "111");
    budget_free(budget);
    (void)state;
}

static void a_turn_that_comes_too_late_after_all_is_refused(void **state)
{
    struct caller caller;
    budget = budget_new(2);
    assert_ok(budget_take(budget, 0, now_ns()));
    start(&caller, 0, second_ns * 2 / 3);
    budget_throttled(budget); /* now a token takes longer than it may wait */
    pthread_join(caller.thread, NULL);
    assert_code(caller.err, ERR_UNAVAILABLE, "too late");
    budget_free(budget);
    (void)state;
}

static void the_line_moves_at_the_rate(void **state)
{
    struct caller callers[40];
    memset(order, 0, sizeof order);
    budget = budget_new(100);
    int64_t before = now_ns();
    for (size_t i = 0; i < COUNT(callers); i++) {
        callers[i] = (struct caller){ .priority = (unsigned)i % 3, .within_ns = 10 * second_ns };
        assert_int_equal(pthread_create(&callers[i].thread, NULL, take_turn, &callers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(callers); i++) {
        pthread_join(callers[i].thread, NULL);
        assert_ok(callers[i].err);
    }
    assert_true(now_ns() - before >= second_ns * 29 / 100); /* 10 were saved up */
    assert_true(now_ns() - before < second_ns * 2);
    budget_free(budget);
    (void)state;
}

RUN(TEST(no_second_sees_more_than_the_rate_and_a_tenth), TEST(the_wait_is_that_of_those_ahead),
    TEST(throttling_slows_down_once_for_all_answers_of_a_moment), TEST(the_rate_comes_back_slowly_and_wholly),
    TEST(a_clock_that_stands_or_goes_back_gives_nothing), TEST(delays_have_full_jitter_and_a_maximum),
    TEST(the_more_urgent_go_first_and_of_equal_ones_the_earlier), TEST(who_can_have_no_turn_in_time_is_told_at_once),
    TEST(a_turn_that_comes_too_late_after_all_is_refused), TEST(the_line_moves_at_the_rate))
