/* cache/verified.c: a set-associative table: a hash may stand in any of the WAYS places of its set, and pushes out the
 * one that was used least recently. So memory is bounded by the number of places, and nothing ever has to be swept. */
#include "cache/verified.h"
#include <pthread.h>
#include <stdlib.h>

enum { WAYS = 8, LOCKS = 64 };

struct set {
    struct verified *places[WAYS];
};

struct verified_cache {
    size_t sets; /* 0: nothing is kept */
    struct {
        _Alignas(64) pthread_mutex_t mutex; /* a cache line each, so that loops don't share one */
        uint32_t clock;
    } locks[LOCKS];
    struct set table[];
};

struct verified_cache *verified_cache_new(size_t entries)
{
    size_t sets = (entries + WAYS - 1) / WAYS;
    struct verified_cache *cache = NULL;
    if (posix_memalign((void **)&cache, 64, sizeof *cache + sets * sizeof(struct set)) != 0)
        abort();
    memset(cache, 0, sizeof *cache + sets * sizeof(struct set));
    cache->sets = sets;
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_init(&cache->locks[i].mutex, NULL);
    return cache;
}

void verified_cache_free(struct verified_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < cache->sets; i++)
        for (size_t way = 0; way < WAYS; way++)
            if (cache->table[i].places[way])
                verified_release(cache->table[i].places[way]);
    for (size_t i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&cache->locks[i].mutex);
    free(cache);
}

static size_t set_of(const struct verified_cache *cache, const unsigned char hash[32])
{
    uint64_t bits;
    memcpy(&bits, hash + 16, sizeof bits); /* of a SHA-256: evenly spread */
    return (size_t)(bits % cache->sets);
}

struct verified *verified_get(struct verified_cache *cache, const unsigned char hash[32])
{
    struct verified *found = NULL;
    if (cache->sets == 0)
        return NULL;
    size_t at = set_of(cache, hash), lock = at % LOCKS;
    pthread_mutex_lock(&cache->locks[lock].mutex);
    for (size_t way = 0; way < WAYS && !found; way++) {
        struct verified *entry = cache->table[at].places[way];
        if (entry && memcmp(entry->hash, hash, sizeof entry->hash) == 0)
            found = entry;
    }
    if (found) {
        found->used = ++cache->locks[lock].clock;
        __atomic_fetch_add(&found->refs, 1, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&cache->locks[lock].mutex);
    return found;
}

struct verified *verified_new(size_t size)
{
    struct verified *entry = mem_alloc(sizeof *entry + size);
    memset(entry, 0, sizeof *entry);
    arena_init(&entry->arena, entry + 1, size);
    entry->refs = 1;
    entry->bytes = sizeof *entry + size;
    return entry;
}

/* Under the lock: the place of this hash, else a free one, else the least recently used. The clock may wrap round: ages
 * are compared as differences. */
static struct verified **place_of(struct verified_cache *cache, size_t at, const unsigned char hash[32])
{
    struct verified **best = NULL;
    uint32_t now = cache->locks[at % LOCKS].clock;
    for (size_t way = 0; way < WAYS; way++) {
        struct verified **place = &cache->table[at].places[way];
        if (*place && memcmp((*place)->hash, hash, sizeof(*place)->hash) == 0)
            return place;
        if (!best || (*best && (!*place || now - (*place)->used > now - (*best)->used)))
            best = place;
    }
    return best;
}

void verified_put(struct verified_cache *cache, struct verified *entry)
{
    entry->bytes += entry->arena.heap; /* what outgrew its first room */
    if (cache->sets == 0 || entry->bytes > VERIFIED_ENTRY_MAX)
        return;
    size_t at = set_of(cache, entry->hash), lock = at % LOCKS;
    __atomic_fetch_add(&entry->refs, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&cache->locks[lock].mutex);
    struct verified **place = place_of(cache, at, entry->hash), *out = *place;
    entry->used = ++cache->locks[lock].clock;
    *place = entry;
    pthread_mutex_unlock(&cache->locks[lock].mutex);
    if (out)
        verified_release(out);
}

void verified_release(struct verified *entry)
{
    if (__atomic_sub_fetch(&entry->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    arena_release(&entry->arena);
    free(entry);
}
