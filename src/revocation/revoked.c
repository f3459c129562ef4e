/* revocation/revoked.c: 64 shards, each an open-addressed table of its own. The hash is SHA-256 of a token that this
 * service signed, so its bytes are as good as random and serve as they are. Entries only ever leave by a rebuild, so a
 * probe needs no tombstones: it ends at the first free place.
 *
 * Looking up takes no lock, so no loop waits for a worker that adds, or that the kernel has put aside while it adds. A
 * place is free until its expiry is written, which is done last, and its key never changes after that: a reader sees
 * all of an entry or none. A rebuild makes a new table beside the old one; the old one is freed once no reader is in
 * the shard, at the latest by a later addition or purge: whoever comes in after the change sees the new table alone. */
#include "revocation/revoked.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { SHARDS = 64, KEY_LEN = 16, REST_LEN = 32 - KEY_LEN, PLACES_FIRST = 16 };

struct key {
    unsigned char bytes[KEY_LEN];
};

/* What follows the key in the hash. Nobody who looks something up needs it. */
struct rest {
    unsigned char bytes[REST_LEN];
};

struct table {
    struct table *next; /* of those that are to be freed */
    size_t places;      /* a power of two */
    struct key *keys;
    struct rest *rests;         /* NULL: not kept; under the shard's lock */
    _Atomic uint32_t expires[]; /* s; 0: the place is free */
};

struct shard {
    _Alignas(64) atomic_size_t count;
    _Atomic(struct table *) table; /* NULL: nothing was ever added */
    atomic_size_t readers;
    pthread_mutex_t lock; /* of whoever changes something */
    struct table *old;
};

struct revoked {
    struct shard shards[SHARDS];
    bool keeps_whole;
};

struct revoked *revoked_new(bool keeps_whole)
{
    struct revoked *set = aligned_alloc(_Alignof(struct revoked), sizeof *set);
    if (!set)
        abort(); /* as mem_alloc() does, which takes no alignment */
    memset((void *)set, 0, sizeof *set);
    set->keeps_whole = keeps_whole;
    for (size_t i = 0; i < SHARDS; i++)
        pthread_mutex_init(&set->shards[i].lock, NULL);
    return set;
}

static void free_table(struct table *table)
{
    if (!table)
        return;
    free(table->keys);
    free(table->rests);
    free(table);
}

static void free_old(struct shard *shard)
{
    for (struct table *table = shard->old, *next; table; table = next) {
        next = table->next;
        free_table(table);
    }
    shard->old = NULL;
}

void revoked_free(struct revoked *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &set->shards[i];
        pthread_mutex_destroy(&shard->lock);
        free_old(shard);
        free_table(atomic_load(&shard->table));
    }
    free(set);
}

static struct shard *shard_of(struct revoked *set, const unsigned char *hash)
{
    return &set->shards[hash[0] % SHARDS];
}

/* The key's place, or the free one where it belongs; *expires is what stands there. There is always a free one. */
static size_t place_of(const struct table *table, const unsigned char *hash, uint32_t *expires)
{
    uint64_t start;
    memcpy(&start, hash + 1, sizeof start);
    size_t place = (size_t)start & (table->places - 1);
    for (;;) {
        *expires = atomic_load_explicit(&table->expires[place], memory_order_acquire);
        if (*expires == 0 || memcmp(table->keys[place].bytes, hash, KEY_LEN) == 0)
            return place;
        place = (place + 1) & (table->places - 1);
    }
}

static struct table *new_table(size_t places, bool keeps_whole)
{
    struct table *table = mem_alloc(sizeof *table + places * sizeof *table->expires);
    *table = (struct table){ .places = places, .keys = mem_alloc(places * sizeof *table->keys) };
    if (keeps_whole)
        table->rests = mem_alloc(places * sizeof *table->rests);
    memset((void *)table->expires, 0, places * sizeof *table->expires);
    return table;
}

/* Under the lock: old tables go when nobody can be looking at them. A reader that comes in now finds the new one. */
static void free_unread(struct shard *shard)
{
    if (shard->old && atomic_load(&shard->readers) == 0)
        free_old(shard);
}

/* Under the lock: a table for `count` entries at a load of 3/8 to 3/4, with those that expire at `from_s` or later. */
static struct table *rebuild(struct shard *shard, size_t count, uint32_t from_s, bool keeps_whole)
{
    struct table *old = atomic_load_explicit(&shard->table, memory_order_relaxed);
    size_t places = PLACES_FIRST;
    while (places / 4 * 3 < count)
        places *= 2;
    struct table *table = new_table(places, keeps_whole);
    for (size_t i = 0; old && i < old->places; i++) {
        uint32_t expires = atomic_load_explicit(&old->expires[i], memory_order_relaxed), ignored;
        if (expires == 0 || expires < from_s)
            continue;
        size_t place = place_of(table, old->keys[i].bytes, &ignored);
        table->keys[place] = old->keys[i];
        if (keeps_whole)
            table->rests[place] = old->rests[i];
        atomic_store_explicit(&table->expires[place], expires, memory_order_relaxed);
    }
    atomic_store(&shard->table, table); /* in one order with the readers' coming and going */
    if (old) {
        old->next = shard->old;
        shard->old = old;
    }
    free_unread(shard);
    return table;
}

static uint32_t seconds_of(int64_t time_s)
{
    return time_s < 1 ? 1 : time_s > UINT32_MAX ? UINT32_MAX : (uint32_t)time_s;
}

void revoked_add(struct revoked *set, const unsigned char hash[32], int64_t expires_at)
{
    struct shard *shard = shard_of(set, hash);
    uint32_t expires = seconds_of(expires_at), before = 0;
    pthread_mutex_lock(&shard->lock);
    size_t count = atomic_load_explicit(&shard->count, memory_order_relaxed);
    struct table *table = atomic_load_explicit(&shard->table, memory_order_relaxed);
    if (!table || count + 1 > table->places / 4 * 3)
        table = rebuild(shard, count + 1, 0, set->keeps_whole);
    else
        free_unread(shard);
    size_t place = place_of(table, hash, &before);
    if (before == 0)
        memcpy(table->keys[place].bytes, hash, KEY_LEN);
    if (before == 0 && set->keeps_whole)
        memcpy(table->rests[place].bytes, hash + KEY_LEN, REST_LEN);
    if (before < expires)
        atomic_store_explicit(&table->expires[place], expires, memory_order_release);
    if (before == 0)
        atomic_store_explicit(&shard->count, count + 1, memory_order_release);
    pthread_mutex_unlock(&shard->lock);
}

bool revoked_has(struct revoked *set, const unsigned char hash[32])
{
    struct shard *shard = shard_of(set, hash);
    uint32_t expires = 0;
    if (atomic_load_explicit(&shard->count, memory_order_acquire) == 0)
        return false; /* the usual case of a service where little is revoked */
    atomic_fetch_add(&shard->readers, 1);
    const struct table *table = atomic_load(&shard->table);
    if (table)
        (void)place_of(table, hash, &expires);
    atomic_fetch_sub(&shard->readers, 1);
    return expires != 0;
}

static size_t purge_shard(struct shard *shard, uint32_t now_s, bool keeps_whole)
{
    const struct table *table = atomic_load_explicit(&shard->table, memory_order_relaxed);
    size_t gone = 0, count = atomic_load_explicit(&shard->count, memory_order_relaxed);
    free_unread(shard);
    for (size_t i = 0; table && i < table->places; i++) {
        uint32_t expires = atomic_load_explicit(&table->expires[i], memory_order_relaxed);
        gone += expires != 0 && expires < now_s;
    }
    if (gone == 0)
        return 0;
    (void)rebuild(shard, count - gone, now_s, keeps_whole);
    atomic_store_explicit(&shard->count, count - gone, memory_order_release);
    return gone;
}

size_t revoked_purge(struct revoked *set, int64_t now_s)
{
    size_t gone = 0;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&set->shards[i].lock);
        gone += purge_shard(&set->shards[i], seconds_of(now_s), set->keeps_whole);
        pthread_mutex_unlock(&set->shards[i].lock);
    }
    return gone;
}

size_t revoked_count(struct revoked *set)
{
    size_t count = 0;
    for (size_t i = 0; i < SHARDS; i++)
        count += atomic_load_explicit(&set->shards[i].count, memory_order_relaxed);
    return count;
}

static size_t bytes_of(const struct table *table)
{
    size_t each = sizeof(struct key) + sizeof(uint32_t) + (table && table->rests ? sizeof(struct rest) : 0);
    return table ? sizeof *table + table->places * each : 0;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

/* From that place of a shard on. Returns the next place to go on from; 0: the shard has no more. */
static size_t list_shard(struct shard *shard, size_t place, uint32_t now_s, struct revoked_token *out, size_t max,
                         size_t *count)
{
    const struct table *table = atomic_load_explicit(&shard->table, memory_order_relaxed);
    for (; table && place < table->places && *count < max; place++) {
        uint32_t expires = atomic_load_explicit(&table->expires[place], memory_order_relaxed);
        if (expires <= now_s)
            continue;
        memcpy(out[*count].hash, table->keys[place].bytes, KEY_LEN);
        memcpy(out[*count].hash + KEY_LEN, table->rests[place].bytes, REST_LEN);
        out[(*count)++].expires_at = expires;
    }
    return table && place < table->places ? place : 0;
}

size_t revoked_list(struct revoked *set, struct revoked_cursor *cursor, int64_t now_s, struct revoked_token *out,
                    size_t max)
{
    size_t count = 0;
    while (set->keeps_whole && cursor->shard < SHARDS && count < max) {
        struct shard *shard = &set->shards[cursor->shard];
        pthread_mutex_lock(&shard->lock);
        cursor->place = list_shard(shard, cursor->place, seconds_of(now_s), out, max, &count);
        pthread_mutex_unlock(&shard->lock);
        cursor->shard += cursor->place == 0;
    }
    return count;
}

size_t revoked_bytes(struct revoked *set)
{
    size_t bytes = sizeof *set;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_lock(&set->shards[i].lock);
        for (const struct table *table = set->shards[i].old; table; table = table->next)
            bytes += bytes_of(table);
        bytes += bytes_of(atomic_load(&set->shards[i].table));
        pthread_mutex_unlock(&set->shards[i].lock);
    }
    return bytes;
}
