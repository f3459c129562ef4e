/* service/health.c: GET /health/live, GET /health/ready, GET /metrics. They tell what housekeeping found last; nothing
 * here asks a dependency, so a probe never waits. */
#include "base/settings.h"
#include "keys/signer.h"
#include "revocation/revocations.h"
#include "service/call.h"
#include "service/gauges.h"
#include "service/operations.h"
#include "service/service.h"
#include "store/store.h"

enum { METRICS_MAX = 512 * 1024 };

struct err health_live(struct call *call, struct response *response)
{
    (void)call;
    response->cache_control = (struct str){ 0, 0 };
    buf_add(&response->body, STR("{\"status\":\"ok\"}"));
    return OK;
}

static void health_write_state(struct buf *body, struct str name, bool ok)
{
    json_write_text(body, name, ok ? STR("ok") : STR("failing"));
}

/* Which kind it is; and when it fails, why: sentences of ours, which name no key, no secret and no account. */
static void health_write_kind(struct buf *body, struct str part, const char *kind, const char *why)
{
    json_write_name(body, part);
    buf_add(body, STR("{"));
    json_write_text(body, STR("kind"), str_of(kind));
    if (why) {
        json_write_text(body, STR("why"), str_of(why));
    }
    buf_add(body, STR("}"));
}

/* Only when the time of day was set while this instance ran: by how much it stepped last, and how far ahead it is. */
static void health_write_clock(struct buf *body, struct service *service)
{
    int64_t step_s = atomic_load(&service->state.clock_step_s);
    if (step_s == 0)
        return;
    json_write_name(body, STR("clock"));
    buf_add(body, STR("{"));
    json_write_int(body, STR("stepped_seconds"), step_s);
    json_write_int(body, STR("ahead_seconds"), atomic_load(&service->state.clock_ahead_s));
    buf_add(body, STR("}"));
}

static void health_write_cache(struct buf *body, const char *why)
{
    if (!why)
        return;
    json_write_name(body, STR("cache"));
    buf_add(body, STR("{"));
    json_write_text(body, STR("why"), str_of(why));
    buf_add(body, STR("}"));
}

bool may_see_inside(const struct call *call)
{
    int64_t access = call->service->settings->metrics;
    return access == METRICS_ANY || (access == METRICS_LOOPBACK && call->request->is_on_this_machine);
}

struct err health_ready(struct call *call, struct response *response)
{
    struct service *service = call->service;
    bool store_ok = atomic_load(&service->state.store_ok), keys_ok = atomic_load(&service->state.keys_ok);
    /* Redis, or the shared store, may be away for as long as the policy lets tokens be verified without it */
    const struct revocations_state revocations = revocations_state(service->revocations);
    bool is_strict = service->settings->revocation_policy == POLICY_STRICT;
    bool keeps = !is_strict || !revocations.evicts;
    bool draining = atomic_load(&service->state.draining);
    bool ready = store_ok && keys_ok && revocations.is_known && keeps && !draining;
    response->cache_control = (struct str){ 0, 0 };
    response->status = ready ? 200 : 503;
    response->outcome = ready ? ERR_OK : ERR_UNAVAILABLE;
    struct buf *body = &response->body;
    buf_add(body, STR("{"));
    json_write_text(body, STR("status"), ready ? STR("ok") : draining ? STR("draining") : STR("failing"));
    json_write_name(body, STR("checks"));
    buf_add(body, STR("{"));
    health_write_state(body, STR("store"), store_ok);
    health_write_state(body, STR("keys"), keys_ok);
    if (revocations.follows_cache)
        health_write_state(body, STR("cache"), revocations.cache_ok && keeps);
    if (revocations.follows)
        health_write_state(body, STR("revocations"), revocations.is_known);
    buf_add(body, STR("}"));
    health_write_clock(body, service);
    health_write_cache(body, revocations.evicts);
    bool inside = may_see_inside(call);
    health_write_kind(body, STR("signer"), service->signer->ops->name,
                      inside ? atomic_load(&service->state.keys_why) : NULL);
    health_write_kind(body, STR("store"), service->store->ops->name,
                      inside ? atomic_load(&service->state.store_why) : NULL);
    buf_add(body, STR("}"));
    return OK;
}

/* --- metrics ----------------------------------------------------------------------------------------------------- */

struct err publish_metrics(struct call *call, struct response *response)
{
    struct gauges gauges;
    gauges_read(call->service, call->request->arena, call->request->now_s, &gauges);
    response->content_type = STR("text/plain; version=0.0.4; charset=utf-8");
    buf_init(&response->body, call->request->arena, 32 * 1024, METRICS_MAX);
    metrics_write(&response->body, gauges.list, gauges.count);
    return OK;
}
