/* test_housekeeping.c: periodic work without the thread: what a process does that is frozen between calls. Over the
 * real store, keys and signer; rows to be deleted and uses to be written are counted in the store's place. */
#include "service/housekeeping.h"
#include "base/clock.h"
#include "cache/uses.h"
#include "keys.h"
#include "keys/rotation.h"
#include "revocation/revocations.h"
#include "revocation/inside.h"
#include "service/clients.h"
#include "service/service.h"
#include <pthread.h>
#include <time.h>

enum { BUDGET_OVER = 0 };

static struct service service;
static struct housekeeping *housekeeping;
static struct store_ops ops; /* the store's, but for what is counted */
static const struct store_ops *real;
static size_t rows, checks;
static int64_t uses_written;

static struct err purge_some(struct store *self, int64_t now_s, size_t max, size_t *deleted, int64_t *held_ns)
{
    (void)self;
    (void)now_s;
    *deleted = rows < max ? rows : max;
    rows -= *deleted;
    *held_ns = 0;
    return OK;
}

static struct err count_uses(struct store *self, const struct token_use *uses, size_t count)
{
    (void)self;
    for (size_t i = 0; i < count; i++)
        uses_written += uses[i].times;
    return OK;
}

static struct err check(struct store *self)
{
    checks++;
    return real->check(self);
}

static int begin(void **state)
{
    if (keys_begin(state))
        return -1;
    real = store->ops;
    ops = *real;
    ops.purge = purge_some;
    ops.count_uses = count_uses;
    ops.check = check;
    ops.is_shared = true;
    store->ops = &ops;
    rows = checks = 0;
    uses_written = 0;
    settings.purge_interval_s = settings.usage_interval_s = 3600;
    settings.client_cache_s = 60;
    settings.revocation_policy = POLICY_BOUNDED;
    settings.revocation_staleness_s = 3600;
    settings.access_ttl_s = settings.access_ttl_max_s = 60;
    service = (struct service){ .settings = &settings,
                                .store = store,
                                .signer = signer,
                                .keyring = ring,
                                .rotation = rotation_new(store, signer, &settings),
                                .revocations = revocations_new(&settings, store, NULL, ring),
                                .clients = clients_new(store, 60, 60),
                                .uses = uses_new(),
                                .moves_keys = true };
    assert_ok(revocations_follow(service.revocations, FOLLOW_BY_ROUNDS));
    assert_ok(housekeeping_open(&service, &housekeeping));
    service.housekeeping = housekeeping;
    return 0;
}

static void close_housekeeping(void)
{
    housekeeping_close(housekeeping);
    service.housekeeping = housekeeping = NULL;
}

static int finish(void **state)
{
    close_housekeeping();
    uses_free(service.uses);
    clients_free(service.clients);
    revocations_close(service.revocations);
    rotation_free(service.rotation);
    return keys_finish(state);
}

static size_t keys_in_force(void)
{
    const struct keyring_view *view = keyring_acquire(ring);
    size_t count = view->count;
    keyring_release(view);
    return count;
}

static void all_that_is_due_is_done_at_once(void **state)
{
    (void)state;
    rows = 123456;
    assert_int_equal(keys_in_force(), 1);
    assert_false(housekeeping_round_now(housekeeping, INT64_MAX));
    assert_int_equal(rows, 0);
    assert_int_equal(keys_in_force(), 2); /* the standby is made, and published here */
}

static void what_there_is_no_time_for_stays_due(void **state)
{
    (void)state;
    rows = 10;
    assert_true(housekeeping_round_now(housekeeping, BUDGET_OVER));
    assert_int_equal(rows, 10);
    assert_int_equal(keys_in_force(), 1);
    assert_false(housekeeping_round_now(housekeeping, clock_ns() + INT64_C(60000000000)));
    assert_int_equal(rows, 0);
    assert_int_equal(keys_in_force(), 2);
    rows = 10;
    assert_false(housekeeping_round_now(housekeeping, INT64_MAX));
    assert_int_equal(rows, 10); /* due again in an hour */
}

static void a_nudge_is_kept_until_there_is_time_for_it(void **state)
{
    (void)state;
    size_t before = checks;
    assert_false(housekeeping_round_now(housekeeping, INT64_MAX));
    assert_int_equal(checks, before);
    housekeeping_nudge(housekeeping);
    assert_true(housekeeping_round_now(housekeeping, BUDGET_OVER));
    assert_int_equal(checks, before);
    assert_false(housekeeping_round_now(housekeeping, INT64_MAX));
    assert_int_equal(checks, before + 1);
}

static void note_a_use(void)
{
    static const unsigned char hash[32] = { 1 };
    struct use *use = use_new(hash, TOKEN_ACCESS);
    uses_note(service.uses, use, 1000);
    use_release(use);
}

static void uses_are_written_when_due_and_at_the_end(void **state)
{
    (void)state;
    note_a_use();
    assert_false(housekeeping_round_now(housekeeping, INT64_MAX));
    assert_int_equal(uses_written, 1);
    note_a_use();
    assert_false(housekeeping_round_now(housekeeping, INT64_MAX));
    assert_int_equal(uses_written, 1);
    close_housekeeping();
    assert_int_equal(uses_written, 2);
}

static void a_pause_in_which_the_clock_stood_still_counts(void **state)
{
    (void)state;
    assert_false(housekeeping_round_now(housekeeping, INT64_MAX));
    rows = 10;
    note_a_use();
    clock_add_pause(INT64_C(1700000));
    housekeeping_settle(housekeeping, INT64_MAX);
    assert_false(housekeeping_round_now(housekeeping, INT64_MAX));
    assert_int_equal(rows, 10);
    assert_int_equal(uses_written, 0);
    clock_add_pause(INT64_C(1901000));
    housekeeping_settle(housekeeping, INT64_MAX);
    assert_int_equal(uses_written, 1);
    assert_false(housekeeping_round_now(housekeeping, INT64_MAX));
    assert_int_equal(rows, 0);
}

/* By another instance: it is in the store alone. */
static void revoke_elsewhere(unsigned char first)
{
    const struct record record = { .kind = RECORD_REVOCATION,
                                   .token_kind = TOKEN_ACCESS,
                                   .token_hash = { first },
                                   .issued_at = (int64_t)time(NULL),
                                   .expires_at = (int64_t)time(NULL) + 600,
                                   .reason = STR(""),
                                   .revoked_by = STR("x") };
    const struct record *const lists[] = { &record };
    struct err verdict = OK;
    store->ops->record(store, lists, 1, &verdict);
    assert_ok(verdict);
}

static void a_round_hears_of_revocations_and_renews_the_lease(void **state)
{
    (void)state;
    struct revocations *revocations = service.revocations;
    static const unsigned char hash[32] = { 7 };
    assert_true(revocations_state(revocations).is_known); /* read when it was opened */
    atomic_store(&revocations->known_until_ms, 1);        /* frozen for an hour */
    revoke_elsewhere(7);
    assert_false(hash_set_has(revocations->revoked, hash));
    assert_false(revocations_state(revocations).is_known);
    (void)housekeeping_round_now(housekeeping, BUDGET_OVER); /* what every round begins with */
    assert_true(hash_set_has(revocations->revoked, hash));
    assert_true(revocations_state(revocations).is_known);
}

static void *rounds(void *arg)
{
    for (int i = 0; i < 50; i++)
        (void)housekeeping_round_now(housekeeping, BUDGET_OVER);
    return arg;
}

static void many_may_ask_at_once_beside_the_thread(void **state)
{
    pthread_t threads[4];
    (void)state;
    assert_ok(housekeeping_start(housekeeping));
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, rounds, NULL), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
}

#define OF_ITS_OWN(function) cmocka_unit_test_setup_teardown(function, begin, finish)
RUN(OF_ITS_OWN(all_that_is_due_is_done_at_once), OF_ITS_OWN(what_there_is_no_time_for_stays_due),
    OF_ITS_OWN(a_nudge_is_kept_until_there_is_time_for_it), OF_ITS_OWN(uses_are_written_when_due_and_at_the_end),
    OF_ITS_OWN(a_pause_in_which_the_clock_stood_still_counts),
    OF_ITS_OWN(a_round_hears_of_revocations_and_renews_the_lease), OF_ITS_OWN(many_may_ask_at_once_beside_the_thread))
