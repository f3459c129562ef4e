/* test_thaw.c: what is known before an answer, over the real store, keys and signer, and another instance's writes. */
#include "service/thaw.h"
#include "base/clock.h"
#include "keys.h"
#include "keys/rotation.h"
#include "revocation/inside.h"
#include "revocation/revocations.h"
#include "service/clients.h"
#include "service/housekeeping.h"
#include "service/service.h"
#include <pthread.h>
#include <time.h>

static struct service service;
static struct housekeeping *housekeeping;
static struct store_ops ops; /* the store's, as if instances shared it */
static const struct store_ops *real;
static atomic_size_t readings;

static struct err revocations_since(struct store *self, struct arena *into, int64_t after, int64_t now_s, size_t max,
                                    struct revocation **out, size_t *count, struct sequence *sequence)
{
    atomic_fetch_add(&readings, 1);
    return real->revocations_since(self, into, after, now_s, max, out, count, sequence);
}

static int begin(void **state)
{
    if (keys_begin(state))
        return -1;
    real = store->ops;
    ops = *real;
    ops.is_shared = true;
    ops.revocations_since = revocations_since;
    store->ops = &ops;
    settings.purge_interval_s = settings.usage_interval_s = 3600;
    settings.client_cache_s = 60;
    settings.revocation_policy = POLICY_BOUNDED;
    settings.revocation_staleness_s = 3600;
    settings.store_timeout_s = 5;
    service = (struct service){ .settings = &settings,
                                .store = store,
                                .signer = signer,
                                .keyring = ring,
                                .rotation = rotation_new(store, signer, &settings),
                                .revocations = revocations_new(&settings, store, NULL, ring),
                                .clients = clients_new(store, 60, 60) };
    assert_ok(revocations_follow(service.revocations, FOLLOW_BY_ROUNDS));
    assert_ok(housekeeping_open(&service, &housekeeping));
    service.housekeeping = housekeeping;
    atomic_store(&readings, 0);
    return 0;
}

static int finish(void **state)
{
    housekeeping_close(housekeeping);
    clients_free(service.clients);
    revocations_close(service.revocations);
    rotation_free(service.rotation);
    return keys_finish(state);
}

static size_t readings_of(struct thaw *thaw, bool needs_revocations)
{
    const size_t before = atomic_load(&readings);
    thaw_catch_up(thaw, needs_revocations);
    return atomic_load(&readings) - before;
}

static void under_strict_each_answer_has_a_reading_of_its_own(void **state)
{
    (void)state;
    settings.revocation_policy = POLICY_STRICT;
    struct thaw *thaw = thaw_new(&service);
    for (int i = 0; i < 3; i++)
        assert_true(readings_of(thaw, true) > 0);
    assert_int_equal(readings_of(thaw, false), 0);
    thaw_free(thaw);
}

static void under_bounded_half_of_the_time_is_enough(void **state)
{
    (void)state;
    struct thaw *thaw = thaw_new(&service);
    assert_int_equal(readings_of(thaw, true), 0);
    atomic_store(&service.revocations->known_ms, clock_ms() - 1799000);
    assert_int_equal(readings_of(thaw, true), 0);
    atomic_store(&service.revocations->known_ms, clock_ms() - 1801000);
    assert_true(readings_of(thaw, true) > 0);
    assert_int_equal(readings_of(thaw, true), 0);
    atomic_store(&service.revocations->known_until_ms, 1); /* the lease is over */
    assert_true(readings_of(thaw, true) > 0);
    thaw_free(thaw);
}

static void a_clock_stands_still_only_when_the_day_goes_on_without_it(void **state)
{
    (void)state;
    assert_int_equal(thaw_stopped_ms(5000, 5000), 0);
    assert_int_equal(thaw_stopped_ms(5000 + THAW_STOP_MS - 1, 5000), 0);
    assert_int_equal(thaw_stopped_ms(5000 + THAW_STOP_MS, 5000), THAW_STOP_MS);
    assert_int_equal(thaw_stopped_ms(7200000, 1), 7199999);
    assert_int_equal(thaw_stopped_ms(-7200000, 1), 0);
}

static void doubt_ends_every_lease(void **state)
{
    (void)state;
    assert_true(revocations_state(service.revocations).is_known);
    revocations_doubt(service.revocations);
    assert_false(revocations_state(service.revocations).is_known);
    assert_ok(revocations_catch_up(service.revocations));
    assert_true(revocations_state(service.revocations).is_known);
}

static struct thaw *shared;

static void *catch_up(void *arg)
{
    for (int i = 0; i < 200; i++)
        thaw_catch_up(shared, true);
    return arg;
}

static void many_at_once_share_readings(void **state)
{
    pthread_t threads[8];
    (void)state;
    settings.revocation_policy = POLICY_STRICT;
    shared = thaw_new(&service);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, catch_up, NULL), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&readings) <= COUNT(threads) * 200);
    thaw_free(shared);
}

#define OF_ITS_OWN(function) cmocka_unit_test_setup_teardown(function, begin, finish)
RUN(OF_ITS_OWN(under_strict_each_answer_has_a_reading_of_its_own), OF_ITS_OWN(under_bounded_half_of_the_time_is_enough),
    OF_ITS_OWN(a_clock_stands_still_only_when_the_day_goes_on_without_it), OF_ITS_OWN(doubt_ends_every_lease),
    OF_ITS_OWN(many_at_once_share_readings))
