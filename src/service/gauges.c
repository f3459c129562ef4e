/* service/gauges.c */
#include "service/gauges.h"
#include "base/settings.h"
#include "revocation/feed.h"
#include "revocation/revocations.h"
#include "service/clients.h"
#include "service/events.h"
#include "service/service.h"
#include "store/commit.h"

#define GAUGE(gauges, gauge_name, gauge_help, gauge_value)                                                             \
    (gauges)->list[(gauges)->count++] = (struct gauge)                                                                 \
    {                                                                                                                  \
        "token_service_" gauge_name, gauge_help, "", (double)(gauge_value)                                             \
    }

static void gauges_add_load(struct gauges *gauges, struct service *service)
{
    GAUGE(gauges, "connections", "Open connections", atomic_load(&service->state.connections));
    if (atomic_load(&service->state.tls_expires_at) != 0)
        GAUGE(gauges, "tls_certificate_expiry_timestamp_seconds",
              "When the certificate that is served, or one of its chain, expires, in seconds since 1970",
              atomic_load(&service->state.tls_expires_at));
    GAUGE(gauges, "request_bytes", "Memory of the requests in progress, in bytes: headers, bodies and responses",
          atomic_load(&service->state.request_bytes));
    GAUGE(gauges, "queue_depth", "Requests that wait for their turn", atomic_load(&service->state.jobs_waiting));
    GAUGE(gauges, "backchannel_logouts_waiting", "Calls that are to tell clients of a session's end, up to 2,000",
          atomic_load(&service->state.logouts_waiting));
    GAUGE(gauges, "commit_queue_depth", "Requests whose records are not yet durable", commit_depth(service->commit));
}

static void gauges_add_memory(struct gauges *gauges, struct service *service,
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

static void gauges_add_dependencies(struct gauges *gauges, struct service *service,
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
    if (!revocations->follows)
        return;
    GAUGE(gauges, "revocations_staleness_seconds", "Time since all revocations were last known, in seconds",
          revocations->staleness_s);
    GAUGE(gauges, "revocations_known", "Whether others' revocations are known as TOKEN_REVOCATION_POLICY asks",
          revocations->is_known);
}

static void gauges_add_events(struct gauges *gauges, const struct service *service, int64_t now_s)
{
    if (!service->events)
        return;
    const struct events_state events = events_state(service->events);
    GAUGE(gauges, "events_outbox_length", "Events that lie in the store until the event bus takes them; at most 100000",
          events.outbox_length);
    GAUGE(gauges, "events_oldest_seconds", "Age of the oldest of them, in seconds",
          events.oldest_at > 0 && now_s > events.oldest_at ? now_s - events.oldest_at : 0);
    GAUGE(gauges, "events_queue", "Events of failed verifications that wait in memory", events.queue_length);
}

/* Of the one that signs. Its time is TOKEN_KEY_ROTATION; what else may end it sooner is in key_rotation_seconds. */
static void gauges_add_active_key(struct gauges *gauges, const struct settings *settings,
                                  const struct keyring_key *active, int64_t now_s)
{
    GAUGE(gauges, "active_key_age_seconds", "How long the active key has signed, in seconds",
          now_s - active->activated_at);
    if (settings->key_rotation_s > 0)
        GAUGE(gauges, "active_key_remaining_seconds",
              "Time until the active key is to be followed by the next one, in seconds; below 0: that is late",
              active->activated_at + settings->key_rotation_s - now_s);
}

static void gauges_add_keys(struct gauges *gauges, const struct settings *settings, const struct keyring_view *view,
                            struct arena *arena, int64_t now_s)
{
    const struct lifecycle life = { view->records, view->count, settings };
    int64_t rotation_at = lifecycle_rotation_at(&life, now_s);
    if (rotation_at != LIFECYCLE_NEVER)
        GAUGE(gauges, "key_rotation_seconds", "Time until the next key signs, in seconds",
              rotation_at > now_s ? rotation_at - now_s : 0);
    GAUGE(gauges, "key_standby", "Whether the next key is published already", lifecycle_standby(&life) != NULL);
    gauges_add_active_key(gauges, settings, view->active, now_s);
    for (size_t i = 0; i < view->count; i++) {
        const struct keyring_key *key = &view->keys[i];
        GAUGE(gauges, "key_age_seconds", "Age of each published key, in seconds", now_s - key->created_at);
        gauges->list[gauges->count - 1].labels = arena_printf(arena, "kid=\"%.*s\",alg=\"%s\",state=\"%s\"",
                                                              (int)key->kid.len, key->kid.at, jwa_name(key->jwk->alg),
                                                              key_state_name(key->state))
                                                     .at;
    }
}

void gauges_read(struct service *service, struct arena *arena, int64_t now_s, struct gauges *out)
{
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(service->keyring);
    const struct revocations_state revocations = revocations_state(service->revocations);
    out->count = 0;
    gauges_add_load(out, service);
    gauges_add_memory(out, service, &revocations);
    gauges_add_dependencies(out, service, &revocations);
    gauges_add_events(out, service, now_s);
    gauges_add_keys(out, service->settings, view, arena, now_s);
}
