/* revocation/lease.c: two times, which loops read without waiting. */
#include "revocation/lease.h"
#include "observe/log.h"

int64_t lease_ms(const struct revocations *revocations)
{
    const struct settings *settings = revocations->settings;
    if (settings->revocation_policy != POLICY_STRICT)
        return settings->revocation_staleness_s * 1000;
    return (revocations->cache ? settings->redis_timeout_s : settings->store_timeout_s) * 1000;
}

void lease_begin(struct revocations *revocations)
{
    atomic_store(&revocations->known_ms, clock_ms());
    atomic_store(&revocations->known_until_ms, 0);
}

void lease_renew(struct revocations *revocations, int64_t at_ms)
{
    atomic_store(&revocations->known_ms, at_ms);
    atomic_store(&revocations->known_until_ms, at_ms + lease_ms(revocations));
}

double lease_staleness_s(const struct revocations *revocations)
{
    int64_t ms = clock_ms() - atomic_load(&revocations->known_ms);
    return ms > 0 ? (double)ms / 1000 : 0;
}

void lease_log_current(const struct revocations *revocations)
{
    LOG(LOG_INFO, "revocations_current", LOG_INT("entries", (int64_t)hash_set_count(revocations->revoked)),
        LOG_INT("rules", (int64_t)hash_set_count(rules_set(revocations->rules))));
}

void lease_log_unknown(const struct revocations *revocations, const char *why)
{
    const bool is_strict = revocations->settings->revocation_policy == POLICY_STRICT;
    LOG(LOG_ERROR, "revocations_unknown", LOG_TEXT_("why", why), LOG_TEXT_("policy", is_strict ? "strict" : "bounded"));
}
