/* revocation/eviction.c: every policy except noeviction silently drops keys with a time to live, which all of ours
 * have, when memory runs out. */
#include "revocation/eviction.h"
#include "observe/log.h"
#include "revocation/inside.h"

const char eviction_why[] = "Redis may evict revocations when its memory is full: set maxmemory-policy noeviction";

void eviction_look(struct revocations *revocations)
{
    char policy[CACHE_POLICY_ROOM];
    if (cache_evicts(revocations->cache, policy).code)
        return;
    bool evicts = policy[0] != '\0';
    if (atomic_exchange(&revocations->cache_evicts, evicts) == evicts)
        return;
    bool is_strict = revocations->settings->revocation_policy == POLICY_STRICT;
    if (evicts)
        LOG(is_strict ? LOG_ERROR : LOG_WARN, "redis_may_evict", LOG_TEXT_("policy", policy),
            LOG_TEXT_("why", eviction_why));
    else
        LOG(LOG_INFO, "redis_keeps_all", LOG_TEXT_("policy", "noeviction"));
}

struct err eviction_check(struct cache *cache)
{
    char policy[CACHE_POLICY_ROOM];
    TRY(cache_evicts(cache, policy));
    return policy[0] ? failed(ERR_UNAVAILABLE, eviction_why) : OK;
}
