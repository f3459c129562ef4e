/* test_queue.c: jobs that wait, by a clock of the test's own: what is refused for its number and for its time, what
 * that time follows from, and what is late. */
#include "http/queue.h"
#include "unit.h"

enum { JOBS = 512 };
static const int64_t MS = 1000000, LATER = 3600 * INT64_C(1000000000);

static struct job jobs[JOBS];
static atomic_size_t waiting;
static struct queue queue;
static int64_t now;
static size_t next_in;

static void begin(size_t max, int64_t wait_max)
{
    atomic_store(&waiting, 0);
    queue_init(&queue, max, wait_max, &waiting);
    now = LATER;
    next_in = 0;
}

static enum queue_verdict put(void)
{
    return queue_put(&queue, &jobs[next_in++ % JOBS], now);
}

static void put_good(size_t count)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(put(), QUEUE_TAKEN);
}

/* As often, each so long after the one before. */
static void take(size_t times, int64_t each)
{
    for (size_t i = 0; i < times; i++) {
        now += each;
        assert_non_null(queue_take(&queue, now));
    }
}

/* So that it is known how long each takes. */
static void learn(int64_t each)
{
    put_good(2 * (size_t)QUEUE_LEAST);
    take(2 * (size_t)QUEUE_LEAST, each);
}

/* How many more are taken before one is refused for its time. */
static size_t room(void)
{
    size_t count = 0;
    enum queue_verdict verdict;
    while ((verdict = put()) == QUEUE_TAKEN)
        count++;
    assert_int_equal(verdict, QUEUE_SLOW);
    return count;
}

static void jobs_leave_in_the_order_in_which_they_came(void **state)
{
    begin(3, LATER);
    assert_null(queue_take(&queue, now));
    put_good(3);
    assert_int_equal(put(), QUEUE_FULL);
    assert_int_equal(atomic_load(&waiting), 3);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(queue_take(&queue, now), &jobs[i]);
    assert_null(queue_take(&queue, now));
    assert_int_equal(atomic_load(&waiting), 0);
    put_good(1);
    (void)state;
}

static void nobody_is_refused_before_anything_is_known(void **state)
{
    begin(JOBS, MS);
    put_good(JOBS);
    assert_int_equal(put(), QUEUE_FULL);
    (void)state;
}

static void as_many_wait_as_can_go_in_half_of_the_time(void **state)
{
    static const struct {
        int64_t each, wait_max;
        size_t expected;
    } rows[] = { { MS, 40 * MS, 21 }, { MS / 4, 40 * MS, 81 }, { 10 * MS, 50 * MS, QUEUE_LEAST }, { MS, 80 * MS, 41 } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        begin(JOBS, rows[i].wait_max);
        learn(rows[i].each);
        assert_int_equal(room(), rows[i].expected);
    }
    (void)state;
}

static void the_estimate_follows_what_is_seen(void **state)
{
    begin(JOBS, 200 * MS);
    learn(MS);
    assert_int_equal(room(), 101);
    take(40, 4 * MS);
    assert_int_equal(room(), 0); /* it has become slower */
    take(60, MS / 10);
    assert_true(room() > 60); /* and faster */
    (void)state;
}

/* The time between two requests is not what one takes. */
static void nothing_is_learnt_while_nobody_waits(void **state)
{
    begin(JOBS, 50 * MS);
    for (size_t i = 0; i < 20; i++) {
        put_good(1);
        take(1, 100 * MS);
    }
    put_good(JOBS);
    (void)state;
}

/* Not even when it is the first that is seen. */
static void a_stall_is_no_speed(void **state)
{
    begin(JOBS, 50 * MS);
    put_good(4);
    take(1, 0);
    take(1, 5000 * MS);
    put_good(2 * (size_t)QUEUE_LEAST);
    take(2 * (size_t)QUEUE_LEAST, MS / 4);
    assert_true(room() > 30);
    (void)state;
}

static void what_was_long_ago_says_nothing(void **state)
{
    begin(JOBS, 4000 * MS);
    learn(100 * MS);
    assert_int_equal(room(), 21);
    take(21, 0);
    now += 1001 * MS;
    put_good(JOBS);
    (void)state;
}

static void what_waited_too_long_is_late_and_says_nothing_of_the_time(void **state)
{
    begin(JOBS, 40 * MS);
    learn(MS);
    assert_int_equal(room(), 21);
    now += 40 * MS;
    assert_false(queue_take(&queue, now)->is_late);
    now++;
    for (size_t i = 1; i < 21 - QUEUE_LEAST; i++)
        assert_true(queue_take(&queue, now)->is_late); /* at once: they are only refused */
    now += MS;
    for (size_t i = 0; i < QUEUE_LEAST; i++)
        assert_false(queue_take(&queue, now += MS)->is_late); /* so few are no crowd */
    assert_true(room() <= 21);
    (void)state;
}

RUN(TEST(jobs_leave_in_the_order_in_which_they_came), TEST(nobody_is_refused_before_anything_is_known),
    TEST(as_many_wait_as_can_go_in_half_of_the_time), TEST(the_estimate_follows_what_is_seen),
    TEST(nothing_is_learnt_while_nobody_waits), TEST(a_stall_is_no_speed), TEST(what_was_long_ago_says_nothing),
    TEST(what_waited_too_long_is_late_and_says_nothing_of_the_time))
