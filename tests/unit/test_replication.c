/* test_replication.c: following what other instances revoke by way of Redis without a thread, in rounds. (With threads,
 * and all that can befall Redis meanwhile: tests/integration/test_redis.py.) */
#include "folder.h"
#include "observe/log.h"
#include "redis_server.h"
#include "revocation/inside.h"
#include <time.h>

static struct cache *cache;
static struct settings settings;
static struct store *store;
static struct revocations *follower, *other; /* other: as a command has them, which ends */

static int begin(void **state)
{
    if (folder_begin(state) || redis_server_open(&settings, &cache))
        return -1;
    log_configure(LOG_ERROR, LOG_JSON);
    settings.data_dir = folder;
    settings.revocation_policy = POLICY_STRICT;
    assert_ok(store_sqlite_open(&settings, &store));
    follower = revocations_new(&settings, store, cache, NULL);
    other = revocations_new(&settings, store, cache, NULL);
    assert_ok(revocations_follow(follower, FOLLOW_BY_ROUNDS));
    return 0;
}

static int finish(void **state)
{
    revocations_close(follower);
    revocations_close(other);
    store_closep(&store);
    cache_close(cache);
    redis_server_end();
    return folder_finish(state);
}

/* Known to the other instance and to Redis, and not in the store that these two share. */
static void revoke_elsewhere(uint32_t number, unsigned char hash[32])
{
    struct record record = { .kind = RECORD_REVOCATION,
                             .token_kind = TOKEN_ACCESS,
                             .issued_at = (int64_t)time(NULL),
                             .expires_at = (int64_t)time(NULL) + 600,
                             .reason = STR(""),
                             .revoked_by = STR("x") };
    uint64_t announced = 0;
    memcpy(record.token_hash, &number, sizeof number);
    memcpy(hash, record.token_hash, sizeof record.token_hash);
    assert_ok(revocations_make(other, &record, &announced));
}

static void nothing_is_known_before_all_was_read_once(void **state)
{
    (void)state;
    assert_false(revocations_state(follower).is_known);
    assert_ok(revocations_read(follower));
    assert_true(revocations_state(follower).is_known);
}

static void a_round_reads_all_that_is_new(void **state)
{
    unsigned char first[32], last[32];
    (void)state;
    revoke_elsewhere(1, first);
    for (uint32_t i = 2; i <= 3000; i++) /* more than is read at once */
        revoke_elsewhere(i, last);
    assert_false(hash_set_has(follower->revoked, first));
    assert_ok(revocations_round(follower));
    assert_true(hash_set_has(follower->revoked, first) && hash_set_has(follower->revoked, last));
}

static void a_freeze_ends_the_lease_and_a_round_renews_it(void **state)
{
    unsigned char hash[32];
    (void)state;
    revoke_elsewhere(5000, hash);
    atomic_store(&follower->known_until_ms, 1);
    assert_false(revocations_state(follower).is_known);
    assert_ok(revocations_round(follower));
    assert_true(revocations_state(follower).is_known);
    assert_true(hash_set_has(follower->revoked, hash));
}

static void without_redis_a_round_ends_and_nothing_is_promised(void **state)
{
    (void)state;
    redis_server_end();
    assert_ok(revocations_round(follower)); /* the store was read */
    assert_false(revocations_state(follower).is_known);
    assert_false(revocations_state(follower).cache_ok);
}

RUN_WITH(begin, finish, cmocka_unit_test(nothing_is_known_before_all_was_read_once),
         cmocka_unit_test(a_round_reads_all_that_is_new),
         cmocka_unit_test(a_freeze_ends_the_lease_and_a_round_renews_it),
         cmocka_unit_test(without_redis_a_round_ends_and_nothing_is_promised))
