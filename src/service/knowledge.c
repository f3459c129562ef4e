/* service/knowledge.c: two times, which loops read without waiting. */
#include "service/knowledge.h"
#include "base/clock.h"

int64_t knowledge_lease_ms(const struct service *service)
{
    const struct settings *settings = service->settings;
    if (settings->revocation_policy != POLICY_STRICT)
        return settings->revocation_staleness_s * 1000;
    return (service_has_cache(service) ? settings->redis_timeout_s : settings->store_timeout_s) * 1000;
}

void knowledge_renew(struct service *service, int64_t at_ms)
{
    atomic_store(&service->revocations_known_ms, at_ms);
    atomic_store(&service->revocations_known_until_ms, at_ms + knowledge_lease_ms(service));
}

double knowledge_staleness_s(const struct service *service)
{
    int64_t ms = clock_ms() - atomic_load(&service->revocations_known_ms);
    return ms > 0 ? (double)ms / 1000 : 0;
}
