/* test_failures.c: how many failed authentications an address has, and how long it waits after that. */
#include "service/failures.h"
#include "unit.h"
#include <pthread.h>

enum { LIMIT = 10, MINUTE = 60000 };
static const int64_t start_ms = INT64_C(1800000000000);

static void fail_times(struct failures *failures, const char *address, int times, int64_t now_ms)
{
    for (int i = 0; i < times; i++)
        failures_count(failures, str_of(address), now_ms);
}

static void an_address_fails_up_to_the_limit_and_waits_then(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    const struct str address = STR("192.0.2.1");
    (void)state;
    assert_int_equal(failures_wait_s(failures, address, start_ms), 0);
    for (int i = 1; i < LIMIT; i++) {
        failures_count(failures, address, start_ms);
        assert_int_equal(failures_wait_s(failures, address, start_ms), 0);
    }
    failures_count(failures, address, start_ms);
    int64_t wait = failures_wait_s(failures, address, start_ms);
    assert_in_range(wait, 6, 7); /* one of ten a minute drains in 6 s */
    assert_int_not_equal(failures_wait_s(failures, address, start_ms + 5999), 0);
    assert_int_equal(failures_wait_s(failures, address, start_ms + wait * 1000), 0);
    assert_int_equal(failures_wait_s(failures, STR("192.0.2.2"), start_ms), 0); /* another's failures don't count */
    failures_free(failures);
}

static void over_time_an_address_fails_no_more_often_than_the_limit(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    int tried = 0;
    (void)state;
    for (int64_t now = 0; now < 10 * MINUTE; now += 100)
        if (failures_wait_s(failures, STR("192.0.2.1"), start_ms + now) == 0) {
            failures_count(failures, STR("192.0.2.1"), start_ms + now);
            tried++;
        }
    assert_in_range(tried, 10 * LIMIT, 11 * LIMIT + 1);
    failures_free(failures);
}

static void parallel_failures_lock_nobody_out_for_longer(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    (void)state;
    fail_times(failures, "192.0.2.1", 100000, start_ms);
    assert_in_range(failures_wait_s(failures, STR("192.0.2.1"), start_ms), 1, 7);
    assert_int_equal(failures_wait_s(failures, STR("192.0.2.1"), start_ms + MINUTE + 1), 0);
    fail_times(failures, "192.0.2.1", LIMIT - 1, start_ms + 2 * MINUTE); /* and after a minute all is forgotten */
    assert_int_equal(failures_wait_s(failures, STR("192.0.2.1"), start_ms + 2 * MINUTE), 0);
    failures_free(failures);
}

static void addresses_count_by_what_one_caller_holds(void **state)
{
    static const struct {
        const char *failed, *asked;
        bool same;
    } rows[] = {
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.2", false },
        { "192.0.2.1", "192.0.3.1", false },
        { "192.0.2.1", "1.2.0.192", false },
        { "2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true }, /* one /64 is one caller's */
        { "2001:db8:1:2::1", "2001:DB8:1:2:0:0:0:1", true },
        { "2001:db8:1:2::1", "2001:db8:1:3::1", false },
        { "2001:db8:1:2::1", "2001:db8:2:2::1", false },
        { "::1", "127.0.0.1", false },
        { "::1", "::1", true },
        { "", "", true },
        { "", "192.0.2.1", false },
        { "0.0.0.0", "192.0.2.1", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct failures *failures = failures_new(LIMIT);
        fail_times(failures, rows[i].failed, LIMIT, start_ms);
        bool waits = failures_wait_s(failures, str_of(rows[i].asked), start_ms) > 0;
        assert_row(waits == rows[i].same, rows[i].asked);
        failures_free(failures);
    }
}

static void a_limit_of_zero_never_limits(void **state)
{
    struct failures *failures = failures_new(0);
    (void)state;
    fail_times(failures, "192.0.2.1", 100000, start_ms);
    assert_int_equal(failures_wait_s(failures, STR("192.0.2.1"), start_ms), 0);
    failures_free(failures);
    failures_free(NULL);
}

static void a_clock_set_back_locks_nobody_out(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    (void)state;
    fail_times(failures, "192.0.2.1", LIMIT, start_ms);
    assert_in_range(failures_wait_s(failures, STR("192.0.2.1"), start_ms - INT64_C(86400000)), 1, 7);
    failures_count(failures, STR("192.0.2.1"),
                   start_ms - INT64_C(86400000)); /* from here on it drains by the new clock */
    assert_int_equal(failures_wait_s(failures, STR("192.0.2.1"), start_ms - INT64_C(86400000) + MINUTE + 1), 0);
    failures_free(failures);
}

/* A flood of other addresses, each with a failure or two, may not wash out one that is over its limit. */
static void a_flood_of_single_failures_does_not_free_an_address(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    (void)state;
    fail_times(failures, "192.0.2.1", LIMIT, start_ms);
    for (int i = 0; i < 200000; i++) {
        char address[32];
        snprintf(address, sizeof address, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        failures_count(failures, str_of(address), start_ms + 10);
    }
    assert_int_not_equal(failures_wait_s(failures, STR("192.0.2.1"), start_ms + 20), 0);
    failures_free(failures);
}

static void long_and_foreign_texts_are_no_addresses_but_do_no_harm(void **state)
{
    static const struct str texts[] = {
        ROW("unix:/run/x"),  ROW("192.0.2.1:80"),
        ROW("192.0.2.1\0x"), ROW("\xff\xff"),
        ROW("fe80::1%eth0"), ROW("1234567890123456789012345678901234567890123456789012345678901234567890")
    };
    struct failures *failures = failures_new(1);
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        char *copy = exactly(texts[i]);
        failures_count(failures, (struct str){ copy, texts[i].len }, start_ms);
        assert_int_not_equal(failures_wait_s(failures, (struct str){ copy, texts[i].len }, start_ms), 0);
        free(copy);
    }
    assert_int_equal(failures_wait_s(failures, STR("192.0.2.9"), start_ms), 0);
    failures_free(failures);
}

static void *count_many(void *arg)
{
    for (int i = 0; i < 5000; i++) {
        failures_count(arg, STR("192.0.2.1"), start_ms);
        (void)failures_wait_s(arg, STR("192.0.2.1"), start_ms);
    }
    return NULL;
}

static void threads_share_the_table(void **state)
{
    struct failures *failures = failures_new(20000);
    pthread_t threads[4];
    (void)state;
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_many, failures), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_int_not_equal(failures_wait_s(failures, STR("192.0.2.1"), start_ms), 0); /* none of the 20,000 was lost */
    failures_free(failures);
}

RUN(TEST(an_address_fails_up_to_the_limit_and_waits_then),
    TEST(over_time_an_address_fails_no_more_often_than_the_limit), TEST(parallel_failures_lock_nobody_out_for_longer),
    TEST(addresses_count_by_what_one_caller_holds), TEST(a_limit_of_zero_never_limits),
    TEST(a_clock_set_back_locks_nobody_out), TEST(a_flood_of_single_failures_does_not_free_an_address),
    TEST(long_and_foreign_texts_are_no_addresses_but_do_no_harm), TEST(threads_share_the_table))
