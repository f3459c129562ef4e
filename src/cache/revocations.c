/* cache/revocations.c: 64 shards, each an open-addressed table of its own. The hash is SHA-256 of a token that this
 * service signed, so its bytes are as good as random and serve as they are. Entries only ever leave by a rebuild, so a
 * probe needs no tombstones: it ends at the first free place. */
#include "cache/revocations.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SHARDS = 64, KEY_LEN = 16, PLACES_FIRST = 16 };

struct key {
    unsigned char bytes[KEY_LEN];
};

struct shard {
    pthread_mutex_t lock;
    atomic_size_t count;
    size_t places; /* a power of two, or 0 */
    struct key *keys;
    uint32_t *expires; /* s; 0: the place is free */
};

struct revocations {
    struct shard shards[SHARDS];
};

struct revocations *revocations_new(void)
{
    struct revocations *set = mem_alloc(sizeof *set);
    memset(set, 0, sizeof *set);
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&set->shards[i].lock, NULL);
    return set;
}

void revocations_free(struct revocations *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_destroy(&set->shards[i].lock);
        free(set->shards[i].keys);
        free(set->shards[i].expires);
    }
    free(set);
}

static struct shard *shard_of(struct revocations *set, const unsigned char *hash)
{
    return &set->shards[hash[0] % SHARDS];
}

/* Under the lock: the key's place, or the free one where it belongs. There is always a free one. */
static size_t place_of(const struct shard *shard, const unsigned char *hash)
{
    uint64_t start;
    memcpy(&start, hash + 1, sizeof start);
    size_t place = (size_t)start & (shard->places - 1);
    while (shard->expires[place] != 0 && memcmp(shard->keys[place].bytes, hash, KEY_LEN) != 0)
        place = (place + 1) & (shard->places - 1);
    return place;
}

/* Under the lock: a table for `count` entries at a load of 3/8 to 3/4, with those that expire at `from_s` or later. */
static void rebuild(struct shard *shard, size_t count, uint32_t from_s)
{
    struct shard old = { .places = shard->places, .keys = shard->keys, .expires = shard->expires };
    size_t places = PLACES_FIRST;
    while (places / 4 * 3 < count)
        places *= 2;
    shard->places = places;
    shard->keys = mem_alloc(places * sizeof *shard->keys);
    shard->expires = mem_alloc(places * sizeof *shard->expires);
    memset(shard->expires, 0, places * sizeof *shard->expires);
    for (size_t i = 0; i < old.places; i++)
        if (old.expires[i] != 0 && old.expires[i] >= from_s) {
            size_t place = place_of(shard, old.keys[i].bytes);
            shard->keys[place] = old.keys[i];
            shard->expires[place] = old.expires[i];
        }
    free(old.keys);
    free(old.expires);
}

static uint32_t seconds_of(int64_t time_s)
{
    return time_s < 1 ? 1 : time_s > UINT32_MAX ? UINT32_MAX : (uint32_t)time_s;
}

void revocations_add(struct revocations *set, const unsigned char hash[32], int64_t expires_at)
{
    struct shard *shard = shard_of(set, hash);
    uint32_t expires = seconds_of(expires_at);
    pthread_mutex_lock(&shard->lock);
    size_t count = atomic_load_explicit(&shard->count, memory_order_relaxed);
    if (count + 1 > shard->places / 4 * 3)
        rebuild(shard, count + 1, 0);
    size_t place = place_of(shard, hash);
    if (shard->expires[place] == 0) {
        memcpy(shard->keys[place].bytes, hash, KEY_LEN);
        atomic_store_explicit(&shard->count, count + 1, memory_order_release);
    }
    if (shard->expires[place] < expires)
        shard->expires[place] = expires;
    pthread_mutex_unlock(&shard->lock);
}

bool revocations_has(struct revocations *set, const unsigned char hash[32])
{
    struct shard *shard = shard_of(set, hash);
    if (atomic_load_explicit(&shard->count, memory_order_acquire) == 0)
        return false; /* the usual case of a service where little is revoked */
    pthread_mutex_lock(&shard->lock);
    bool has = shard->places > 0 && shard->expires[place_of(shard, hash)] != 0;
    pthread_mutex_unlock(&shard->lock);
    return has;
}

static size_t purge_shard(struct shard *shard, uint32_t now_s)
{
    size_t gone = 0, count = atomic_load_explicit(&shard->count, memory_order_relaxed);
    for (size_t i = 0; i < shard->places; i++)
        gone += shard->expires[i] != 0 && shard->expires[i] < now_s;
    if (gone == 0)
        return 0;
    rebuild(shard, count - gone, now_s);
    atomic_store_explicit(&shard->count, count - gone, memory_order_release);
    return gone;
}

size_t revocations_purge(struct revocations *set, int64_t now_s)
{
    size_t gone = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&set->shards[i].lock);
        gone += purge_shard(&set->shards[i], seconds_of(now_s));
        pthread_mutex_unlock(&set->shards[i].lock);
    }
    return gone;
}

size_t revocations_count(struct revocations *set)
{
    size_t count = 0;
    for (size_t i = 0; i < SHARDS; i++)
        count += atomic_load_explicit(&set->shards[i].count, memory_order_relaxed);
    return count;
}

size_t revocations_bytes(struct revocations *set)
{
    size_t bytes = sizeof *set;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&set->shards[i].lock);
        bytes += set->shards[i].places * (sizeof(struct key) + sizeof(uint32_t));
        pthread_mutex_unlock(&set->shards[i].lock);
    }
    return bytes;
}
