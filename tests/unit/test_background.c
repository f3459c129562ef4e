/* test_background.c: a thread that waits for nothing but what it is told ends when it is stopped, and hears all that
 * was raised. A wait that misses it never ends, and so fails. */
#include "base/background.h"
#include "base/clock.h"
#include "unit.h"
#include <string.h>

struct work {
    struct background background;
    bool wanted, is_done; /* under its lock */
    char name[16];
    int rounds; /* the thread's */
};

static void work_on(void *context)
{
    struct work *work = context;
    pthread_getname_np(pthread_self(), work->name, sizeof work->name);
    while (background_wait(&work->background, INT64_MAX, &work->wanted)) {
        assert_true(background_take(&work->background, &work->wanted));
        work->rounds++;
        background_raise(&work->background, &work->is_done);
    }
}

static void a_thread_works_when_it_is_woken_and_ends_when_it_is_stopped(void **state)
{
    struct work work = { .rounds = 0 };
    (void)state;
    background_init(&work.background);
    assert_ok(background_start(&work.background, "a name", 256 * 1024, work_on, &work));
    for (int i = 0; i < 100; i++) {
        background_raise(&work.background, &work.wanted);
        assert_true(background_wait(&work.background, INT64_MAX, &work.is_done));
        assert_true(background_take(&work.background, &work.is_done));
    }
    background_stop(&work.background);
    assert_int_equal(work.rounds, 100);
    assert_string_equal(work.name, "a name");
    assert_false(work.wanted);
}

static void what_was_raised_before_the_wait_ends_it(void **state)
{
    struct work work = { .wanted = false };
    (void)state;
    background_init(&work.background);
    background_raise(&work.background, &work.wanted);
    assert_true(background_wait(&work.background, INT64_MAX, &work.wanted));
    assert_true(background_take(&work.background, &work.wanted));
    assert_false(background_take(&work.background, &work.wanted));
    background_stop(&work.background);
}

static void a_time_that_is_over_ends_the_wait_and_not_the_work(void **state)
{
    struct work work = { .wanted = false };
    (void)state;
    background_init(&work.background);
    assert_true(background_wait(&work.background, clock_ns(), NULL));
    assert_true(background_wait(&work.background, 0, &work.wanted));
    background_stop(&work.background);
}

static void wait_once(void *context)
{
    struct work *work = context;
    work->is_done = !background_wait(&work->background, INT64_MAX, NULL);
}

static void what_is_stopped_does_not_go_on(void **state)
{
    struct work work = { .wanted = true };
    (void)state;
    background_init(&work.background);
    assert_ok(background_start(&work.background, "waits", 0, wait_once, &work));
    background_stop(&work.background);
    assert_true(work.is_done);
}

RUN(cmocka_unit_test(a_thread_works_when_it_is_woken_and_ends_when_it_is_stopped),
    cmocka_unit_test(what_was_raised_before_the_wait_ends_it),
    cmocka_unit_test(a_time_that_is_over_ends_the_wait_and_not_the_work),
    cmocka_unit_test(what_is_stopped_does_not_go_on))
