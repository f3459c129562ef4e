/* service/catchup.c: the store is read first, since it says when each revocation ends; of a key that only the cache
 * has, that must be asked for. The store's are ticked off while the cache's keys come by. When all are, nothing is to
 * be put back, as at nearly every start; else the store is read once more, which costs no memory. */
#include "service/catchup.h"
#include "base/hex.h"
#include "observe/metrics.h"
#include "service/tally.h"
#include <time.h>

enum {
    READ_BATCH = 5000, /* revocations read at once: of more, a database needs longer again for each */
    PUSH_BATCH = 1000, /* put into the cache at once */
};

static const struct str key_prefix = { "revoked:", REVOCATION_PREFIX_LEN };

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

struct str revocation_key(const unsigned char hash[32], char to[REVOCATION_KEY_LEN + 1])
{
    memcpy(to, key_prefix.at, key_prefix.len);
    hex_write(hash, 32, to + key_prefix.len);
    return (struct str){ to, REVOCATION_KEY_LEN };
}

/* --- the store --------------------------------------------------------------------------------------------------- */

/* What is done with a page of the store's revocations. */
struct reader {
    struct err (*take)(struct reader *, struct arena *, const struct revocation *found, size_t count);
    struct service *service;
    struct tally *tally; /* NULL: none is kept */
    size_t restored;
};

/* Page after page behind *position, which goes on, until there are no more. */
static struct err read_store(struct reader *reader, size_t batch, int64_t *position)
{
    struct store *store = reader->service->store;
    for (size_t count = batch; count == batch;) {
        AUTO(arena_release) struct arena arena;
        struct revocation *found = NULL;
        arena_init(&arena, NULL, 0);
        TRY(store->ops->revocations_since(store, &arena, *position, now_s(), batch, &found, &count));
        TRY(reader->take(reader, &arena, found, count));
        if (count > 0)
            *position = found[count - 1].position;
    }
    return OK;
}

static struct err learn(struct reader *reader, struct arena *arena, const struct revocation *found, size_t count)
{
    (void)arena;
    for (size_t i = 0; i < count; i++) {
        revocations_add(reader->service->revocations, found[i].token_hash, found[i].expires_at);
        if (reader->tally)
            tally_add(reader->tally, found[i].token_hash, found[i].expires_at);
    }
    return OK;
}

/* Up to there all are in memory. Two may be reading at once: the one that got further counts. */
static void stand_at(struct service *service, long long position)
{
    long long before = atomic_load(&service->revocations_position);
    while (before < position && !atomic_compare_exchange_weak(&service->revocations_position, &before, position))
        ;
}

struct err catchup_store(struct service *service)
{
    struct reader reader = { .take = learn, .service = service };
    int64_t position = atomic_load(&service->revocations_position);
    struct err err = read_store(&reader, READ_BATCH, &position);
    stand_at(service, position);
    return err;
}

/* --- the cache --------------------------------------------------------------------------------------------------- */

struct listener {
    struct service *service;
    struct tally *tally; /* NULL: none is kept */
};

static bool read_key(struct str key, unsigned char hash[32])
{
    return hex_read((struct str){ key.at + key_prefix.len, key.len - key_prefix.len }, hash, 32);
}

/* A key's life matters only where it isn't known already. */
static bool wants_key(void *context, struct str key)
{
    const struct listener *listener = context;
    unsigned char hash[32];
    return read_key(key, hash) && !(listener->tally && tally_tick(listener->tally, hash)) &&
           !revocations_has(listener->service->revocations, hash);
}

static void add_key(void *context, struct str key, int64_t ttl_s)
{
    const struct listener *listener = context;
    unsigned char hash[32];
    if (read_key(key, hash))
        revocations_add(listener->service->revocations, hash, now_s() + ttl_s);
}

static struct err read_cache(struct service *service, struct tally *tally)
{
    struct listener listener = { service, tally };
    const struct cache_visitor visitor = { &listener, wants_key, add_key };
    metrics_count(COUNT_REVOCATIONS_RESYNCS, 1);
    return service->cache->ops->scan(service->cache, key_prefix, &visitor);
}

struct err catchup_keys(struct service *service)
{
    return read_cache(service, NULL);
}

/* --- both -------------------------------------------------------------------------------------------------------- */

/* Those that were not ticked off go into the cache; also one that has come into the store meanwhile. */
static struct err push(struct reader *reader, struct arena *arena, const struct revocation *found, size_t count)
{
    struct cache *cache = reader->service->cache;
    struct cache_entry *entries = arena_alloc(arena, (count + 1) * sizeof *entries);
    size_t lacking = 0, added = 0;
    int64_t now = now_s();
    for (size_t i = 0; i < count; i++) {
        revocations_add(reader->service->revocations, found[i].token_hash, found[i].expires_at);
        if (tally_is_ticked(reader->tally, found[i].token_hash))
            continue;
        char *key = arena_alloc(arena, REVOCATION_KEY_LEN + 1);
        entries[lacking++] = (struct cache_entry){ .key = revocation_key(found[i].token_hash, key),
                                                   .value = found[i].reason.len > 0 ? found[i].reason : STR("revoked"),
                                                   .ttl_s = found[i].expires_at - now };
    }
    TRY(cache->ops->add(cache, entries, lacking, &added));
    reader->restored += added;
    return OK;
}

static struct err catch_up(struct service *service, struct tally *tally, size_t *restored)
{
    struct reader reader = { .take = learn, .service = service, .tally = tally };
    int64_t position = 0;
    TRY(read_store(&reader, READ_BATCH, &position));
    stand_at(service, position);
    TRY(read_cache(service, tally));
    if (!tally_is_open(tally, now_s()))
        return OK;
    reader.take = push;
    position = 0;
    TRY(read_store(&reader, PUSH_BATCH, &position));
    *restored = reader.restored;
    return OK;
}

struct err catchup_all(struct service *service, size_t *restored)
{
    struct tally *tally = tally_new();
    struct err err = catch_up(service, tally, restored);
    tally_free(tally);
    return err;
}
