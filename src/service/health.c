/* service/health.c: GET /health/live, GET /health/ready, GET /metrics. They tell what housekeeping found last; nothing
 * here asks a dependency, so a probe never waits. */
#include "base/settings.h"
#include "keys/keyring.h"
#include "revocation/feed.h"
#include "revocation/revocations.h"
#include "service/call.h"
#include "service/clients.h"
#include "service/events.h"
#include "service/operations.h"
#include "service/service.h"
#include "store/commit.h"

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
    json_write_name(body, name);
    json_write_str(body, ok ? STR("ok") : STR("failing"));
}

/* Which kind it is; and when it fails, why: sentences of ours, which name no key, no secret and no account. */
static void health_write_kind(struct buf *body, struct str part, const char *kind, const char *why)
{
    json_write_name(body, part);
    buf_add(body, STR("{"));
    json_write_name(body, STR("kind"));
    json_write_str(body, str_of(kind));
    if (why) {
        json_write_name(body, STR("why"));
        json_write_str(body, str_of(why));
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
    json_write_name(body, STR("stepped_seconds"));
    buf_add_int(body, step_s);
    json_write_name(body, STR("ahead_seconds"));
    buf_add_int(body, atomic_load(&service->state.clock_ahead_s));
    buf_add(body, STR("}"));
}

static void health_write_cache(struct buf *body, const char *why)
{
    if (!why)
        return;
    json_write_name(body, STR("cache"));
    buf_add(body, STR("{"));
    json_write_name(body, STR("why"));
    json_write_str(body, str_of(why));
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
    json_write_name(body, STR("status"));
    json_write_str(body, ready ? STR("ok") : draining ? STR("draining") : STR("failing"));
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

struct gauges {
    struct gauge list[KEYRING_MAX + 32];
    size_t count;
};

#define GAUGE(gauges, gauge_name, gauge_help, gauge_value)                                                             \
    (gauges)->list[(gauges)->count++] = (struct gauge)                                                                 \
    {                                                                                                                  \
        "token_service_" gauge_name, gauge_help, "", (double)(gauge_value)                                             \
    }

static void health_add_load(struct gauges *gauges, struct service *service)
{
    GAUGE(gauges, "connections", "Open connections", atomic_load(&service->state.connections));
    if (atomic_load(&service->state.tls_expires_at) != 0)
        GAUGE(gauges, "tls_certificate_expiry_timestamp_seconds",
              "When the certificate that is served, or one of its chain, expires, in seconds since 1970",
              atomic_load(&service->state.tls_expires_at));
    GAUGE(gauges, "request_bytes", "Memory of the requests in progress, in bytes: headers, bodies and responses",
          atomic_load(&service->state.request_bytes));
    GAUGE(gauges, "queue_depth", "Requests that wait for a worker", atomic_load(&service->state.jobs_waiting));
    GAUGE(gauges, "commit_queue_depth", "Requests whose records are not yet durable", commit_depth(service->commit));
}

static void health_add_memory(struct gauges *gauges, struct service *service,
                              const struct revocations_state *revocations)
{
    GAUGE(gauges, "revocations", "Revoked tokens held in memory", revocations->tokens);
    GAUGE(gauges, "revocation_rules", "Rules in force, each of which revokes more than one token", revocations->rules);
    GAUGE(gauges, "revocations_bytes", "Memory of the revoked tokens and of the rules, in bytes",
          revocations_bytes(service->revocations));
    GAUGE(gauges, "feed_bytes", "Memory of the revocation feed's pages, in bytes",
          feed_bytes(revocations_feed(service->revocations)));
    GAUGE(gauges, "clients_cached", "Clients held in memory", clients_count(service->clients));
}

static void health_add_dependencies(struct gauges *gauges, struct service *service,
                                    const struct revocations_state *revocations)
{
    GAUGE(gauges, "store_up", "Whether the store answered its last call", atomic_load(&service->state.store_ok));
    GAUGE(gauges, "clock_ahead_seconds", "How far the time of day stepped ahead and is not trusted yet, in seconds",
          atomic_load(&service->state.clock_ahead_s));
    if (service->store->ops->now)
        GAUGE(gauges, "clock_difference_seconds", "How far this machine's clock is ahead of the database's, in seconds",
              (double)atomic_load(&service->state.clock_difference_ms) / 1000);
    GAUGE(gauges, "keys_up", "Whether the signer answered its last call", atomic_load(&service->state.keys_ok));
    if (revocations->follows_cache) {
        GAUGE(gauges, "cache_up", "Whether Redis answered its last call", revocations->cache_ok);
        GAUGE(gauges, "cache_may_evict", "Whether Redis's maxmemory-policy lets it drop keys that must be kept",
              revocations->evicts != NULL);
    }
    if (revocations->follows)
        GAUGE(gauges, "revocations_staleness_seconds", "Time since all revocations were last known, in seconds",
              revocations->staleness_s);
}

static void health_add_events(struct gauges *gauges, const struct service *service, int64_t now_s)
{
    if (!service->events)
        return;
    const struct events_state events = events_state(service->events);
    GAUGE(gauges, "events_outbox", "Events that lie in the store until the event bus takes them; at most 100000",
          events.outbox_length);
    GAUGE(gauges, "events_outbox_age_seconds", "Age of the oldest of them, in seconds",
          events.oldest_at > 0 && now_s > events.oldest_at ? now_s - events.oldest_at : 0);
    GAUGE(gauges, "events_queue", "Events of failed verifications that wait in memory", events.queue_length);
}

static void health_add_keys(struct gauges *gauges, const struct settings *settings, const struct keyring_view *view,
                            struct arena *arena, int64_t now_s)
{
    const struct lifecycle life = { view->records, view->count, settings };
    int64_t rotation_at = lifecycle_rotation_at(&life, now_s);
    if (rotation_at != LIFECYCLE_NEVER)
        GAUGE(gauges, "key_rotation_seconds", "Time until the next key signs, in seconds",
              rotation_at > now_s ? rotation_at - now_s : 0);
    GAUGE(gauges, "key_standby", "Whether the next key is published already", lifecycle_standby(&life) != NULL);
    for (size_t i = 0; i < view->count; i++) {
        const struct keyring_key *key = &view->keys[i];
        GAUGE(gauges, "key_age_seconds", "Age of each published key, in seconds", now_s - key->created_at);
        gauges->list[gauges->count - 1].labels = arena_printf(arena, "kid=\"%.*s\",alg=\"%s\",state=\"%s\"",
                                                              (int)key->kid.len, key->kid.at, jwa_name(key->jwk->alg),
                                                              key_state_name(key->state))
                                                     .at;
    }
}

struct err publish_metrics(struct call *call, struct response *response)
{
    struct service *service = call->service;
    struct arena *arena = call->request->arena;
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(service->keyring);
    const struct revocations_state revocations = revocations_state(service->revocations);
    struct gauges gauges;
    gauges.count = 0;
    health_add_load(&gauges, service);
    health_add_memory(&gauges, service, &revocations);
    health_add_dependencies(&gauges, service, &revocations);
    health_add_events(&gauges, service, call->request->now_s);
    health_add_keys(&gauges, service->settings, view, arena, call->request->now_s);
    response->content_type = STR("text/plain; version=0.0.4; charset=utf-8");
    buf_init(&response->body, arena, 32 * 1024, METRICS_MAX);
    metrics_write(&response->body, gauges.list, gauges.count);
    return OK;
}
