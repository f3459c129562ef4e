/* cache/verified.c: a set-associative table: a hash may stand in any of the WAYS places of its set, and pushes out the
 * one that was used least recently. So memory is bounded by the number of places, and nothing ever has to be swept. */
#include "cache/verified.h"
#include <pthread.h>
#include <stdlib.h>

enum { WAYS = 8, LOCKS = 64 };

/* Two cache lines. What a look-up compares lies here and not in the entries: those are cold, and a token that is not in
 * the cache would otherwise cost a miss of the processor's cache for each of them. */
struct set {
    _Alignas(64) uint32_t tags[WAYS]; /* the first bytes of each entry's hash */
    uint32_t used[WAYS];              /* recency, by the lock's clock */
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

static size_t verified_set_of(const struct verified_cache *cache, const unsigned char hash[32])
{
    uint64_t bits;
    memcpy(&bits, hash + 16, sizeof bits); /* of a SHA-256: evenly spread */
    return (size_t)(bits % cache->sets);
}

static uint32_t verified_tag_of(const unsigned char hash[32])
{
    uint32_t tag;
    memcpy(&tag, hash, sizeof tag);
    return tag;
}

/* Whether this hash stands at that place. */
static bool verified_holds(const struct set *set, size_t way, const unsigned char hash[32])
{
    return set->places[way] && set->tags[way] == verified_tag_of(hash) && memcmp(set->places[way]->hash, hash, 32) == 0;
}

struct verified *verified_get(struct verified_cache *cache, const unsigned char hash[32])
{
    struct verified *found = NULL;
    if (cache->sets == 0)
        return NULL;
    size_t at = verified_set_of(cache, hash), lock = at % LOCKS;
    pthread_mutex_lock(&cache->locks[lock].mutex);
    struct set *set = &cache->table[at];
    size_t way = 0;
    while (way < WAYS && !verified_holds(set, way, hash))
        way++;
    if (way < WAYS) {
        found = set->places[way];
        set->used[way] = ++cache->locks[lock].clock;
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
static size_t verified_way_of(const struct set *set, uint32_t now, const unsigned char hash[32])
{
    size_t best = 0;
    for (size_t way = 0; way < WAYS; way++) {
        if (verified_holds(set, way, hash))
            return way;
        if (set->places[best] && (!set->places[way] || now - set->used[way] > now - set->used[best]))
            best = way;
    }
    return best;
}

void verified_put(struct verified_cache *cache, struct verified *entry)
{
    entry->bytes += entry->arena.heap; /* what outgrew its first room */
    if (cache->sets == 0 || entry->bytes > VERIFIED_ENTRY_MAX)
        return;
    size_t at = verified_set_of(cache, entry->hash), lock = at % LOCKS;
    __atomic_fetch_add(&entry->refs, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&cache->locks[lock].mutex);
    struct set *set = &cache->table[at];
    size_t way = verified_way_of(set, cache->locks[lock].clock, entry->hash);
    struct verified *out = set->places[way];
    set->tags[way] = verified_tag_of(entry->hash);
    set->used[way] = ++cache->locks[lock].clock;
    set->places[way] = entry;
    pthread_mutex_unlock(&cache->locks[lock].mutex);
    if (out)
        verified_release(out);
}

void verified_release(struct verified *entry)
{
    if (__atomic_sub_fetch(&entry->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    use_release(entry->use);
    arena_release(&entry->arena);
    free(entry);
}
