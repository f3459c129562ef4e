/* revocation/rules.c: a hash set, and how far its rules reach. That is raised when a rule is in the set, not before:
 * a token that is issued to come after a rule has met it. */
#include "revocation/rules.h"
#include "store/store.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

struct rules {
    struct hash_set *set;
    pthread_mutex_t lock; /* of a thread that adds: no two rules get the same expiry */
    _Atomic int64_t latest, last_expiry;
};

struct rules *rules_new(void)
{
    struct rules *rules = mem_alloc(sizeof *rules);
    *rules = (struct rules){ .set = hash_set_new(HASH_SET_RULES) };
    pthread_mutex_init(&rules->lock, NULL);
    return rules;
}

void rules_free(struct rules *rules)
{
    if (!rules)
        return;
    hash_set_free(rules->set);
    pthread_mutex_destroy(&rules->lock);
    free(rules);
}

struct hash_set *rules_set(const struct rules *rules)
{
    return rules->set;
}

static void rules_raise(_Atomic int64_t *value, int64_t to)
{
    if (to > atomic_load_explicit(value, memory_order_relaxed))
        atomic_store_explicit(value, to, memory_order_release);
}

/* A rule about a session that has ended lies a little ahead (service/revoke_rule.c), and nothing is issued to it: so it
 * doesn't say that this machine's clock is behind. */
static int64_t rules_reach(const struct hash_value *rule)
{
    const int64_t now_s = (int64_t)time(NULL);
    return rule->kind == REVOKED_SESSION && rule->before > now_s ? now_s : rule->before;
}

/* Under the lock. */
static void rules_add_whole(struct rules *rules, const unsigned char hash[32], struct hash_value rule)
{
    hash_set_add(rules->set, hash, rule);
    rules_raise(&rules->latest, rules_reach(&rule));
    rules_raise(&rules->last_expiry, rule.expires_at);
}

void rules_add(struct rules *rules, const unsigned char hash[32], struct hash_value rule)
{
    pthread_mutex_lock(&rules->lock);
    rules_add_whole(rules, hash, rule);
    pthread_mutex_unlock(&rules->lock);
}

int64_t rules_make(struct rules *rules, const unsigned char hash[32], struct hash_value rule)
{
    pthread_mutex_lock(&rules->lock);
    int64_t last = atomic_load_explicit(&rules->last_expiry, memory_order_relaxed);
    if (rule.expires_at <= last)
        rule.expires_at = last + 1;
    rules_add_whole(rules, hash, rule);
    pthread_mutex_unlock(&rules->lock);
    return rule.expires_at;
}

bool rules_cover(const struct rules *rules, const unsigned char (*hashes)[32], size_t count, int64_t issued_at,
                 int64_t issued_after)
{
    return hash_set_holds(rules->set, hashes, count, issued_after, issued_at);
}

int64_t rules_latest(struct rules *rules)
{
    return atomic_load_explicit(&rules->latest, memory_order_acquire);
}

int64_t rules_last_expiry(struct rules *rules)
{
    return atomic_load_explicit(&rules->last_expiry, memory_order_acquire);
}
