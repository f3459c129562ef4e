/* revocation/announce.c: telling other instances of a revocation, before it is recorded and after. replication.c says
 * why. */
#include "base/wall_clock.h"
#include "cache/verified.h"
#include "revocation/catchup.h"
#include "revocation/inside.h"
#include "revocation/replication.h"
#include "revocation/shared_rules.h"
#include <stdio.h>

static struct err announce_tell(struct revocations *revocations, const struct record *record)
{
    const int64_t now = wall_clock_by_all_s(record->issued_at);
    struct cache *cache = revocations->cache;
    struct cache_position position;
    char key[REVOCATION_KEY_LEN + 1], item[RULE_ITEM_ROOM];
    if (record->revokes != REVOKED_TOKEN) {
        TRY(shared_rules_put(cache, record, now, item));
        return cache_append(cache, replication_log, str_of(item), &position);
    }
    const struct cache_entry entry = { .key = revocation_key(record->token_hash, key),
                                       .value = record->reason,
                                       .ttl_s = record->expires_at - now };
    snprintf(item, sizeof item, "revoked %.64s %lld", key + REVOCATION_PREFIX_LEN, (long long)record->expires_at);
    TRY(cache_put(cache, &entry, 1));
    return cache_append(cache, replication_log, str_of(item), &position);
}

static struct err announce(struct revocations *revocations, const struct record *record)
{
    TRY(announce_tell(revocations, record));
    return cache_confirm(revocations->cache);
}

struct err replication_announce(struct revocations *revocations, const struct record *record, uint64_t *announced)
{
    if (!revocations->cache)
        return OK;
    uint64_t epoch = replication_epoch(revocations);
    if (announce(revocations, record).code)
        return failed(ERR_UNAVAILABLE, "other instances could not be told of the revocation; try again");
    *announced = epoch;
    return OK;
}

struct err revocations_confirm(struct revocations *revocations, uint64_t announced, const struct record *records)
{
    if (!announced)
        return OK;
    if (!revocations->replication) { /* a command: no thread here would push the record, so it is announced once more */
        for (const struct record *record = records; record; record = record->next)
            if (record->kind == RECORD_REVOCATION)
                TRY(announce(revocations, record));
        return OK;
    }
    return announced == replication_epoch(revocations)
               ? OK
               : failed(ERR_UNAVAILABLE, "Redis changed during the revocation; try again");
}

/* Whether the shared cache has the key of that hash: ERR_TOKEN_REVOKED. */
static struct err announce_ask_for(struct cache *cache, const unsigned char hash[32])
{
    char key[REVOCATION_KEY_LEN + 1];
    struct str reason;
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    struct err err = cache_get(cache, &arena, revocation_key(hash, key), &reason);
    if (err.code == ERR_NOT_FOUND)
        return OK;
    return err.code ? failed(ERR_UNAVAILABLE, "Redis can't say whether the token is revoked; try again")
                    : failed(ERR_TOKEN_REVOKED, "the token has been revoked");
}

struct err replication_ask(struct revocations *revocations, struct verified *entry)
{
    struct cache *cache = revocations->cache;
    if (!cache)
        return OK;
    TRY(announce_ask_for(cache, entry->hash));
    if (entry->has_parent)
        TRY(announce_ask_for(cache, entry->parent));
    return shared_rules_ask(cache, entry);
}
