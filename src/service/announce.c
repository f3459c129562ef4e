/* service/announce.c: telling other instances of a revocation, before it is recorded and after. replication.c says what
 * that is good for. */
#include "service/catchup.h"
#include "base/wall_clock.h"
#include "service/replication.h"
#include "service/shared_rules.h"
#include <stdio.h>

static struct err announce(struct service *service, const struct record *record)
{
    const int64_t now = wall_clock_by_all_s(record->issued_at);
    struct cache *cache = service->cache;
    struct cache_position position;
    char key[REVOCATION_KEY_LEN + 1], item[RULE_ITEM_ROOM];
    if (record->revokes != REVOKED_TOKEN) {
        TRY(shared_rules_put(cache, record, now, item));
        return cache->ops->append(cache, replication_log, str_of(item), &position);
    }
    const struct cache_entry entry = { .key = revocation_key(record->token_hash, key),
                                       .value = record->reason,
                                       .ttl_s = record->expires_at - now };
    snprintf(item, sizeof item, "revoked %.64s %lld", key + REVOCATION_PREFIX_LEN, (long long)record->expires_at);
    TRY(cache->ops->put(cache, &entry, 1));
    return cache->ops->append(cache, replication_log, str_of(item), &position);
}

struct err replication_announce(struct service *service, const struct record *record, uint64_t *announced)
{
    if (!service_has_cache(service))
        return OK;
    uint64_t epoch = replication_epoch(service);
    if (announce(service, record).code)
        return failed(ERR_UNAVAILABLE, "other instances could not be told of the revocation; try again");
    *announced = epoch;
    return OK;
}

struct err service_committed(struct service *service, const struct response *response)
{
    if (!response->announced)
        return OK;
    if (!service->replication) { /* a command: nobody here would push the record, so it is announced once more */
        for (const struct record *record = response->records; record; record = record->next)
            if (record->kind == RECORD_REVOCATION)
                TRY(announce(service, record));
        return OK;
    }
    return response->announced == replication_epoch(service)
               ? OK
               : failed(ERR_UNAVAILABLE, "Redis changed while this was revoked; try again");
}

/* Whether the shared cache has the key of that hash: ERR_TOKEN_REVOKED. */
static struct err ask_for(struct service *service, const unsigned char hash[32])
{
    char key[REVOCATION_KEY_LEN + 1];
    struct str reason;
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    struct err err = service->cache->ops->get(service->cache, &arena, revocation_key(hash, key), &reason);
    if (err.code == ERR_NOT_FOUND)
        return OK;
    return err.code ? failed(ERR_UNAVAILABLE, "Redis can't say whether the token is revoked; try again")
                    : failed(ERR_TOKEN_REVOKED, "the token has been revoked");
}

struct err replication_ask(struct service *service, struct verified *entry)
{
    if (!service_has_cache(service))
        return OK;
    TRY(ask_for(service, entry->hash));
    if (entry->has_parent)
        TRY(ask_for(service, entry->parent));
    return shared_rules_ask(service, entry);
}
