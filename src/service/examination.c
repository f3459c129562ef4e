/* service/examination.c: the store, Redis, the event bus, the signer and the keys, one by one. */
#include "service/examination.h"
#include "aws/put_events.h"
#include "base/rfc3339.h"
#include "cache/cache.h"
#include "keys/lifecycle.h"
#include "keys/signer.h"
#include "observe/log.h"
#include "revocation/eviction.h"
#include "service/service.h"
#include <time.h>

enum { STANDBY_MADE_S = 10 };

struct err examine_store(struct store *store, const char **note)
{
    struct str name = str_of(store->ops->name);
    *note = str_eq(name, STR("postgres"))   ? "postgres: reads and writes in DATABASE_URL"
            : str_eq(name, STR("supabase")) ? "supabase: reads and writes in SUPABASE_URL"
                                            : "sqlite: reads and writes";
    return store->ops->check(store);
}

struct err examine_cache(const struct settings *settings, struct cache *cache, bool shares_store, const char **note)
{
    *note = cache          ? "redis: it accepts writes"
            : shares_store ? "memory: instances learn of revocations from the store they share"
                           : "memory: this instance is the only one";
    if (!cache)
        return OK;
    TRY(cache_check(cache));
    struct err err = eviction_check(cache);
    if (err.code && settings->revocation_policy != POLICY_STRICT) {
        LOG(LOG_WARN, "redis_may_evict", LOG_TEXT_("why", err.why));
        return OK;
    }
    return err;
}

struct err examine_events(struct put_events *bus, struct arena *arena, const char **note)
{
    *note = bus ? "eventbridge: this service may put events there; only its rules show who hears of them"
                : "none: without EVENT_BUS_NAME nobody is told of events";
    return bus ? put_events_check(bus, arena) : OK;
}

const char *examine_signer(const struct signer *signer)
{
    struct str name = str_of(signer->ops->name);
    return str_eq(name, STR("kms"))        ? "kms: the key in AWS KMS is enabled"
           : str_eq(name, STR("envelope")) ? "envelope: the active key is unwrapped, and its wrapping key is enabled"
                                           : "local: its key file exists";
}

/* A signer signs a test when it loads a key, and holds it against the public half. It would also have the alias
 * KMS_KEY_ID follow an active key: to it this one looks pending. */
static struct err examination_load(struct signer *signer, struct arena *arena, const struct key *key)
{
    struct key copy = *key;
    if (!signer) /* key files, and no directory to look for them in */
        return failed(ERR_UNAVAILABLE, "the store has a key, but there is no TOKEN_DATA_DIR with its file");
    copy.state = KEY_PENDING;
    return signer->ops->load(signer, arena, &copy);
}

/* Without a next key, neither a rotation nor an emergency finds one: a server that runs has made one in its first
 * seconds. */
static struct err examination_examine_standby(const struct lifecycle *life, struct signer *signer, struct arena *arena,
                                              bool is_served, const char **note)
{
    const struct key *standby = lifecycle_standby(life), *active = lifecycle_active(life);
    if (standby) {
        struct str ready = rfc3339_write(arena, lifecycle_standby_ready_at(life));
        *note = arena_printf(arena, "the next key is published, and may sign from %s on", ready.at).at;
        return examination_load(signer, arena, standby);
    }
    *note = "a server makes the next key in its first seconds";
    return active && is_served && time(NULL) >= active->activated_at + STANDBY_MADE_S
               ? failed(ERR_UNAVAILABLE, "no next key is published: the server's log says why, as keys_not_moved")
               : OK;
}

void examine_keys(struct service *service, struct arena *arena, bool is_served, struct finding *signer,
                  struct finding *sign, struct finding *standby)
{
    struct store *store = service->store;
    struct lifecycle life = { .settings = service->settings };
    struct key *keys = NULL;
    sign->err = standby->err = store->ops->list_keys(store, arena, &keys, &life.count);
    if (sign->err.code)
        return;
    life.keys = keys;
    const struct key *active = lifecycle_active(&life);
    sign->note = active ? "a signature verifies against the published key" : "no key yet: the first start creates one";
    sign->err = active ? examination_load(service->signer, arena, active) : OK;
    if (active)
        signer->err = sign->err.code ? sign->err : service->signer->ops->check(service->signer);
    standby->err = examination_examine_standby(&life, service->signer, arena, is_served, &standby->note);
}
