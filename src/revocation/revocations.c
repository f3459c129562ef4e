/* revocation/revocations.c: life, and the way of other rooms to the parts. */
#include "revocation/revocations.h"
#include "base/clock.h"
#include "base/wall_clock.h"
#include "observe/metrics.h"
#include "revocation/catchup.h"
#include "revocation/eviction.h"
#include "revocation/feed.h"
#include "revocation/inside.h"
#include "revocation/lease.h"
#include "revocation/replication.h"
#include "revocation/rule.h"
#include "revocation/store_follower.h"
#include <stdlib.h>

struct revocations *revocations_new(const struct settings *settings, struct store *store, struct cache *cache,
                                    struct keyring *keyring)
{
    struct revocations *revocations = mem_alloc(sizeof *revocations);
    *revocations = (struct revocations){ .settings = settings,
                                         .store = store,
                                         .cache = cache,
                                         .keyring = keyring,
                                         .revoked = hash_set_new(store->ops->is_shared || cache ? HASH_SET_WHOLE_TOKENS
                                                                                                : HASH_SET_TOKENS),
                                         .rules = rules_new(),
                                         .catchup = catchup_new(),
                                         .known_until_ms = INT64_MAX,
                                         .cache_ok = true };
    pthread_mutex_init(&revocations->round, NULL);
    return revocations;
}

struct err revocations_follow(struct revocations *revocations, enum follow how)
{
    revocations->by_rounds = how == FOLLOW_BY_ROUNDS;
    if (revocations->cache)
        return replication_open(revocations, &revocations->replication);
    if (revocations->store->ops->is_shared)
        return store_follower_open(revocations, &revocations->store_follower);
    return OK;
}

struct err revocations_read(struct revocations *revocations)
{
    if (revocations->by_rounds)
        return revocations_round(revocations);
    if (revocations->replication) /* which reads all of the store by itself, unless Redis can't be reached */
        replication_wait(revocations->replication);
    return catchup_store(revocations);
}

void revocations_open_feed(struct revocations *revocations)
{
    revocations->feed = feed_new(revocations);
}

void revocations_close(struct revocations *revocations)
{
    if (!revocations)
        return;
    feed_free(revocations->feed);
    replication_close(revocations->replication);
    store_follower_close(revocations->store_follower);
    catchup_free(revocations->catchup);
    hash_set_free(revocations->revoked);
    rules_free(revocations->rules);
    pthread_mutex_destroy(&revocations->round);
    free(revocations);
}

/* --- refusing ---------------------------------------------------------------------------------------------------- */

bool revocations_refuse(struct revocations *revocations, struct verified *entry)
{
    if (hash_set_has(revocations->revoked, entry->hash) ||
        (entry->has_parent && hash_set_has(revocations->revoked, entry->parent)))
        return true;
    if (!rule_refuses(revocations->rules, entry))
        return false;
    metrics_count(COUNT_RULE_REFUSALS, 1);
    return true;
}

struct err revocations_check_elsewhere(struct revocations *revocations, struct verified *entry)
{
    if (!lease_is_needed(revocations))
        return replication_ask(revocations, entry);
    return lease_holds(revocations)
               ? OK
               : failed(ERR_UNAVAILABLE, "revocations of other instances can't be read now; try again");
}

bool revocations_refuse_new(struct revocations *revocations, const struct claims *claims)
{
    return rule_refuses_new(revocations->rules, claims);
}

bool revocations_clock_is_behind(struct revocations *revocations, int64_t now_s)
{
    return rules_latest(revocations->rules) > now_s;
}

int64_t revocations_after_all(struct revocations *revocations)
{
    return rules_last_expiry(revocations->rules) + 1;
}

/* --- revoking ---------------------------------------------------------------------------------------------------- */

static struct err revocations_make_rule(struct rules *rules, struct record *record)
{
    const size_t most = record->revokes == REVOKED_SESSION ? RULES_OF_SESSIONS_MAX : RULES_MAX;
    if (hash_set_count(rules_set(rules)) >= most && !hash_set_has(rules_set(rules), record->token_hash)) {
        metrics_count(COUNT_RULES_FULL, 1);
        return failed(ERR_UNAVAILABLE,
                      "there are too many revocation rules; each ends when the tokens that it revokes have expired");
    }
    const struct hash_value value = { record->expires_at, record->before, record->revokes };
    record->expires_at = rules_make(rules, record->token_hash, value);
    return OK;
}

struct err revocations_make(struct revocations *revocations, struct record *record, uint64_t *announced)
{
    if (record->revokes == REVOKED_TOKEN)
        hash_set_add(revocations->revoked, record->token_hash, (struct hash_value){ .expires_at = record->expires_at });
    else
        TRY(revocations_make_rule(revocations->rules, record));
    return replication_announce(revocations, record, announced);
}

/* --- for housekeeping -------------------------------------------------------------------------------------------- */

/* With the lock. */
static struct err revocations_one_round(struct revocations *revocations)
{
    if (revocations->replication)
        replication_round(revocations->replication);
    if (revocations->store_follower)
        return store_follower_round(revocations->store_follower);
    return catchup_store(revocations);
}

struct err revocations_round(struct revocations *revocations)
{
    if (!revocations->by_rounds)
        return revocations->store_follower ? OK : catchup_store(revocations); /* else that does it */
    pthread_mutex_lock(&revocations->round);
    const struct err err = revocations_one_round(revocations);
    pthread_mutex_unlock(&revocations->round);
    return err;
}

struct err revocations_catch_up(struct revocations *revocations)
{
    struct err err = OK;
    if (!revocations->by_rounds)
        return OK;
    pthread_mutex_lock(&revocations->round);
    if (revocations->replication)
        err = replication_catch_up(revocations->replication);
    else if (revocations->store_follower)
        err = store_follower_round(revocations->store_follower);
    if (err.code && revocations->settings->revocation_policy == POLICY_STRICT)
        atomic_store(&revocations->known_until_ms, 0); /* what is answered now would not know of what came before it */
    pthread_mutex_unlock(&revocations->round);
    return err;
}

void revocations_doubt(struct revocations *revocations)
{
    pthread_mutex_lock(&revocations->round);
    if (lease_is_needed(revocations))
        atomic_store(&revocations->known_until_ms, 0);
    if (revocations->replication)
        replication_doubt(revocations->replication);
    pthread_mutex_unlock(&revocations->round);
}

void revocations_purge(struct revocations *revocations, int64_t now_s)
{
    hash_set_purge(revocations->revoked, wall_clock_by_all_s(now_s));
    hash_set_purge(rules_set(revocations->rules), wall_clock_by_all_s(now_s));
}

/* --- telling ----------------------------------------------------------------------------------------------------- */

struct revocations_state revocations_state(struct revocations *revocations)
{
    return (struct revocations_state){
        .follows = revocations->replication || revocations->store_follower,
        .follows_cache = revocations->replication != NULL,
        .is_known = lease_holds(revocations),
        .staleness_s = lease_staleness_s(revocations),
        .cache_ok = atomic_load(&revocations->cache_ok),
        .evicts = atomic_load(&revocations->cache_evicts) ? eviction_why : NULL,
        .tokens = hash_set_count(revocations->revoked),
        .rules = hash_set_count(rules_set(revocations->rules)),
    };
}

size_t revocations_bytes(struct revocations *revocations)
{
    return hash_set_bytes(revocations->revoked) + hash_set_bytes(rules_set(revocations->rules));
}

struct feed *revocations_feed(const struct revocations *revocations)
{
    return revocations->feed;
}
