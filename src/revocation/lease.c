/* revocation/lease.c: two times, which loops read without waiting. */
#include "revocation/lease.h"

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
