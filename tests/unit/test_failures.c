/* test_failures.c: how often an address and a client's id may fail, and how long they wait after that. */
#include "service/failures.h"
#include "jose/jws.h"
#include "unit.h"
#include <pthread.h>

enum { LIMIT = 10, MINUTE = 60000 };
static const int64_t start_ms = INT64_C(1800000000000);

/* So that only the address counts, each time in another's name. */
static void fail_times(struct failures *failures, const char *address, int times, int64_t now_ms)
{
    char id[32];
    for (int i = 0; i < times; i++) {
        snprintf(id, sizeof id, "somebody-%d", i % 1000);
        failures_count(failures, str_of(address), str_of(id), now_ms);
    }
}

/* How long a client waits that was named in vain a moment ago, elsewhere and once. */
static int64_t wait_of(struct failures *failures, const char *address, int64_t now_ms)
{
    char id[32];
    static int asked;
    snprintf(id, sizeof id, "asked-%d", asked++);
    failures_count(failures, STR("198.51.100.77"), str_of(id), now_ms);
    return failures_wait_s(failures, str_of(address), str_of(id), now_ms);
}

static void an_address_fails_up_to_the_limit_and_waits_then(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    (void)state;
    assert_int_equal(failures_wait_s(failures, STR("192.0.2.1"), STR("a"), start_ms), 0);
    fail_times(failures, "192.0.2.1", LIMIT - 1, start_ms);
    assert_int_equal(wait_of(failures, "192.0.2.1", start_ms), 0);
    fail_times(failures, "192.0.2.1", 1, start_ms);
    int64_t wait = wait_of(failures, "192.0.2.1", start_ms);
    assert_in_range(wait, 6, 7); /* one of ten a minute drains in 6 s */
    assert_int_not_equal(wait_of(failures, "192.0.2.1", start_ms + 5999), 0);
    assert_int_equal(wait_of(failures, "192.0.2.1", start_ms + wait * 1000), 0);
    assert_int_equal(wait_of(failures, "192.0.2.2", start_ms), 0); /* another's failures don't count */
    failures_free(failures);
}

static void a_client_fails_up_to_the_limit_from_wherever_it_is_named(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    char address[32];
    (void)state;
    for (int i = 0; i < LIMIT; i++) {
        snprintf(address, sizeof address, "192.0.2.%d", i);
        assert_int_equal(failures_wait_s(failures, str_of(address), STR("agent"), start_ms), 0);
        failures_count(failures, str_of(address), STR("agent"), start_ms);
    }
    assert_in_range(failures_wait_s(failures, STR("203.0.113.1"), STR("agent"), start_ms), 6, 7);
    assert_int_equal(failures_wait_s(failures, STR("203.0.113.1"), STR("agen"), start_ms), 0);
    assert_int_equal(failures_wait_s(failures, STR("203.0.113.1"), STR("agent\0"), start_ms), 0);
    assert_int_equal(failures_wait_s(failures, STR("192.0.2.1"), STR("other"), start_ms), 0);
    assert_int_equal(failures_wait_s(failures, STR("203.0.113.1"), STR("agent"), start_ms + 7000), 0);
    failures_free(failures);
}

static void an_address_over_its_limit_may_name_some_clients_for_the_first_time(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    char id[32];
    int named = 0;
    (void)state;
    fail_times(failures, "192.0.2.1", LIMIT, start_ms);
    for (; named < 1000; named++) {
        snprintf(id, sizeof id, "new-%d", named);
        if (failures_wait_s(failures, STR("192.0.2.1"), str_of(id), start_ms) > 0)
            break;
        failures_count(failures, STR("192.0.2.1"), str_of(id), start_ms);
        assert_row(failures_wait_s(failures, STR("192.0.2.1"), str_of(id), start_ms) > 0, id); /* once */
    }
    assert_int_equal(named, LIMIT);
    assert_in_range(failures_wait_s(failures, STR("192.0.2.1"), STR("last"), start_ms), 6, 7);
    assert_int_equal(failures_wait_s(failures, STR("192.0.2.2"), STR("last"), start_ms), 0);
    failures_free(failures);
}

static void over_time_an_address_fails_no_more_often_than_the_limit(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    int tried = 0;
    (void)state;
    for (int64_t now = 0; now < 10 * MINUTE; now += 100) {
        char id[32];
        snprintf(id, sizeof id, "guess-%lld", (long long)now);
        if (failures_wait_s(failures, STR("192.0.2.1"), str_of(id), start_ms + now) == 0) {
            failures_count(failures, STR("192.0.2.1"), str_of(id), start_ms + now);
            tried++;
        }
    }
    assert_in_range(tried, 20 * LIMIT, 22 * LIMIT + 2); /* its limit, and the reserve for who is new */
    failures_free(failures);
}

static void parallel_failures_lock_nobody_out_for_longer(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    (void)state;
    for (int i = 0; i < 100000; i++)
        failures_count(failures, STR("192.0.2.1"), STR("agent"), start_ms);
    assert_in_range(failures_wait_s(failures, STR("192.0.2.1"), STR("agent"), start_ms), 1, 7);
    assert_int_equal(failures_wait_s(failures, STR("192.0.2.1"), STR("agent"), start_ms + MINUTE + 1), 0);
    fail_times(failures, "192.0.2.1", LIMIT - 1, start_ms + 2 * MINUTE); /* and after a minute all is forgotten */
    assert_int_equal(wait_of(failures, "192.0.2.1", start_ms + 2 * MINUTE), 0);
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
        assert_row((wait_of(failures, rows[i].asked, start_ms) > 0) == rows[i].same, rows[i].asked);
        failures_free(failures);
    }
}

static void a_failure_that_was_none_is_taken_back(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    bool is_over = true;
    (void)state;
    for (int i = 0; i < 10 * LIMIT; i++) { /* each right in the end */
        assert_int_equal(failures_begin(failures, STR("192.0.2.1"), STR("ada"), start_ms, &is_over), 0);
        assert_false(is_over);
        failures_take_back(failures, STR("192.0.2.1"), STR("ada"), start_ms, is_over);
    }
    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(failures_begin(failures, STR("192.0.2.1"), STR("ada"), start_ms, &is_over), 0);
    assert_in_range(failures_begin(failures, STR("192.0.2.1"), STR("ada"), start_ms, &is_over), 6, 7);
    assert_in_range(failures_wait_s(failures, STR("203.0.113.1"), STR("ada"), start_ms), 6, 7); /* counted at once */
    failures_take_back(failures, STR("192.0.2.1"), STR("ada"), start_ms, false);
    assert_int_equal(failures_wait_s(failures, STR("192.0.2.1"), STR("ada"), start_ms), 0);
    failures_free(failures);
}

static void a_right_guess_from_an_address_over_its_limit_gives_it_no_more(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    bool is_over = false;
    (void)state;
    fail_times(failures, "192.0.2.1", LIMIT, start_ms);
    for (int i = 0; i < 3 * LIMIT; i++) {
        assert_int_equal(failures_begin(failures, STR("192.0.2.1"), STR("own"), start_ms, &is_over), 0);
        assert_true(is_over);
        failures_take_back(failures, STR("192.0.2.1"), STR("own"), start_ms, is_over);
        assert_int_not_equal(wait_of(failures, "192.0.2.1", start_ms), 0);
    }
    failures_take_back(failures, STR("198.51.100.9"), STR("never"), start_ms, false); /* of what isn't there: nothing */
    failures_free(failures);
}

static void a_limit_of_zero_never_limits(void **state)
{
    struct failures *failures = failures_new(0);
    (void)state;
    fail_times(failures, "192.0.2.1", 100000, start_ms);
    assert_int_equal(wait_of(failures, "192.0.2.1", start_ms), 0);
    failures_free(failures);
    failures_free(NULL);
}

/* A flood of others, each with a failure or two, may not wash out one that is over its limit. */
static void a_flood_of_single_failures_does_not_free_an_address(void **state)
{
    struct failures *failures = failures_new(LIMIT);
    (void)state;
    for (int i = 0; i < LIMIT; i++)
        failures_count(failures, STR("192.0.2.1"), STR("agent"), start_ms);
    for (int i = 0; i < 200000; i++) {
        char address[32], id[32];
        snprintf(address, sizeof address, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
        snprintf(id, sizeof id, "flood-%d", i);
        failures_count(failures, str_of(address), str_of(id), start_ms + 10);
    }
    assert_int_not_equal(failures_wait_s(failures, STR("192.0.2.1"), STR("agent"), start_ms + 20), 0);
    assert_int_not_equal(failures_wait_s(failures, STR("203.0.113.1"), STR("agent"), start_ms + 20), 0);
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
        const struct str text = { copy, texts[i].len };
        failures_count(failures, text, text, start_ms);
        assert_int_not_equal(failures_wait_s(failures, text, text, start_ms), 0);
        free(copy);
    }
    assert_int_equal(wait_of(failures, "192.0.2.9", start_ms) > 0, true); /* of a limit of 1 the name alone is over */
    assert_int_equal(failures_wait_s(failures, STR("192.0.2.9"), STR("new"), start_ms), 0);
    failures_free(failures);
}

static void what_has_no_name_is_admitted_by_its_address_alone(void **state)
{
    struct failures *failures = failures_new(LIMIT), *none = failures_new(0);
    (void)state;
    for (int i = 0; i < LIMIT; i++)
        assert_int_equal(failures_admit(failures, STR("2001:db8:1:2::1"), start_ms), 0);
    assert_in_range(failures_admit(failures, STR("2001:db8:1:2::ffff"), start_ms), 6, 7); /* one /64 is one caller's */
    for (int i = 0; i < 1000; i++) /* who is refused is not counted, and waits no longer for it */
        (void)failures_admit(failures, STR("2001:db8:1:2::1"), start_ms);
    assert_int_equal(failures_admit(failures, STR("2001:db8:1:2::1"), start_ms + 7000), 0);
    assert_int_not_equal(failures_admit(failures, STR("2001:db8:1:2::1"), start_ms + 7000), 0);
    assert_int_equal(failures_admit(failures, STR("2001:db8:1:3::1"), start_ms), 0);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(failures_admit(none, STR("192.0.2.1"), start_ms), 0);
    failures_free(none);
    failures_free(failures);
}

static void *count_many(void *arg)
{
    for (int i = 0; i < 5000; i++) {
        failures_count(arg, STR("192.0.2.1"), STR("agent"), start_ms);
        (void)failures_wait_s(arg, STR("192.0.2.1"), STR("agent"), start_ms);
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
    assert_int_not_equal(failures_wait_s(failures, STR("192.0.2.1"), STR("agent"), start_ms),
                         0); /* none of the 20,000 was lost */
    failures_free(failures);
}

RUN(TEST(an_address_fails_up_to_the_limit_and_waits_then),
    TEST(a_client_fails_up_to_the_limit_from_wherever_it_is_named),
    TEST(an_address_over_its_limit_may_name_some_clients_for_the_first_time),
    TEST(over_time_an_address_fails_no_more_often_than_the_limit), TEST(parallel_failures_lock_nobody_out_for_longer),
    TEST(addresses_count_by_what_one_caller_holds), TEST(a_failure_that_was_none_is_taken_back),
    TEST(a_right_guess_from_an_address_over_its_limit_gives_it_no_more), TEST(a_limit_of_zero_never_limits),
    TEST(what_has_no_name_is_admitted_by_its_address_alone), TEST(a_flood_of_single_failures_does_not_free_an_address),
    TEST(long_and_foreign_texts_are_no_addresses_but_do_no_harm), TEST(threads_share_the_table))
