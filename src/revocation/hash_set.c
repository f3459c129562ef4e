/* revocation/hash_set.c: shards, each an open-addressed table of its own. A hash is a SHA-256, so its bytes are as good
 * as random and serve as they are. Entries only ever leave by a rebuild, so a probe needs no tombstones: it ends at the
 * first free place.
 *
 * Looking up takes no lock, so no loop waits for a worker that adds, or that the kernel has put aside while it adds. It
 * is correct, since at any moment
 * - a place is free until its expiry is written, which is done last (a release, which a reader's load acquires), and
 *   its hash never changes after that: a reader sees all of an entry or none;
 * - numbers only grow, so a reader that finds one raised and the other not yet takes the entry for more than it was and
 *   for less than it is to be;
 * - a rebuild fills a new table, which nobody sees, and puts it in the place of the old one, which nobody changes then:
 *   a reader that still uses the old one sees all that was there when it began;
 * - the old table is freed when no thread is reading. Readers come in (`readers`), then load the table; writers store
 *   the table, then load `readers`; all four in the one order of memory_order_seq_cst. So a reader that a writer does
 *   not find comes in after the change, and loads the new table; or it has left, and the writer's load acquires that.
 *   A thread counts in a cache line of its own (or shared with few). If there is a reader, a later addition or purge
 *   frees the table. */
#include "revocation/hash_set.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { STRIPES = 32, PLACES_FIRST = 16 };
enum { EXPIRES, BEFORE, KIND, NUMBERS };

struct shape {
    size_t shards; /* at most 256. Each is locked and grows for itself; with one, counting is a single load */
    size_t numbers;
    size_t compared, kept; /* bytes of a hash, in eights */
};

static const struct shape shapes[] = {
    [HASH_SET_TOKENS] = { 64, 1, 16, 16 },
    [HASH_SET_WHOLE_TOKENS] = { 64, 1, 16, 32 },
    [HASH_SET_RULES] = { 1, NUMBERS, 32, 32 },
    [HASH_SET_TALLY] = { 1, 1, 8, 8 },
};

/* What a probe looks at lies close together: the expiries of all places, then the parts of hashes that are compared.
 * The other numbers are behind the expiries, and what else is kept of hashes is at the end. */
struct table {
    struct table *next; /* of those that are to be freed */
    size_t places;      /* a power of two */
    unsigned char *keys, *rests;
    _Atomic uint32_t numbers[]; /* of all places the expiry (0: it is free), then of all the next one */
};

struct shard {
    _Alignas(64) atomic_size_t count;
    _Atomic(struct table *) table; /* NULL: nothing was ever added */
    struct table *old;
    pthread_mutex_t lock; /* of the thread that changes something */
};

struct stripe {
    _Alignas(64) atomic_size_t readers;
};

struct hash_set {
    struct shape shape;
    struct stripe stripes[STRIPES];
    struct shard shards[];
};

struct hash_set *hash_set_new(enum hash_set_shape which)
{
    const struct shape shape = shapes[which];
    size_t size = sizeof(struct hash_set) + shape.shards * sizeof(struct shard);
    struct hash_set *set = aligned_alloc(_Alignof(struct hash_set), size);
    if (!set)
        abort(); /* as mem_alloc() does, which takes no alignment */
    memset((void *)set, 0, size);
    set->shape = shape;
    for (size_t i = 0; i < shape.shards; i++)
        pthread_mutex_init(&set->shards[i].lock, NULL);
    return set;
}

static void hash_set_free_old(struct shard *shard)
{
    for (struct table *table = shard->old, *next; table; table = next) {
        next = table->next;
        free(table);
    }
    shard->old = NULL;
}

void hash_set_free(struct hash_set *set)
{
    for (size_t i = 0; set && i < set->shape.shards; i++) {
        struct shard *shard = &set->shards[i];
        pthread_mutex_destroy(&shard->lock);
        hash_set_free_old(shard);
        free(atomic_load(&shard->table));
    }
    free(set);
}

static struct shard *hash_set_shard_of(struct hash_set *set, const unsigned char *hash)
{
    return &set->shards[hash[0] & (set->shape.shards - 1)];
}

static uint64_t hash_set_part_of(const unsigned char *hash)
{
    uint64_t part;
    memcpy(&part, hash, sizeof part);
    return part;
}

/* `len`: a multiple of 8, and not 0. */
static bool hash_set_are_equal(const unsigned char *one, const unsigned char *other, size_t len)
{
    size_t at = 0;
    while (at < len && hash_set_part_of(one + at) == hash_set_part_of(other + at))
        at += sizeof(uint64_t);
    return at == len;
}

/* The hash's place, or the free one where it belongs; *expires is what stands there. There is always a free one. */
static size_t hash_set_place_of(const struct table *table, const unsigned char *hash, size_t compared,
                                uint32_t *expires)
{
    size_t place = hash_set_part_of(hash) >> 8 & (table->places - 1);
    for (;;) {
        *expires = atomic_load_explicit(&table->numbers[place], memory_order_acquire);
        if (*expires == 0 || hash_set_are_equal(table->keys + place * compared, hash, compared))
            return place;
        place = (place + 1) & (table->places - 1);
    }
}

static uint32_t hash_set_number_at(const struct table *table, size_t i, size_t place)
{
    return atomic_load_explicit(&table->numbers[i * table->places + place], memory_order_acquire);
}

static uint32_t hash_set_seconds_of(int64_t time_s)
{
    return time_s < 0 ? 0 : time_s > UINT32_MAX ? UINT32_MAX : (uint32_t)time_s;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static struct stripe *hash_set_begin_reading(struct hash_set *set)
{
    static atomic_uint threads;
    static _Thread_local unsigned mine; /* from 1 */
    if (!mine)
        mine = 1 + atomic_fetch_add(&threads, 1) % STRIPES;
    struct stripe *stripe = &set->stripes[mine - 1];
    atomic_fetch_add(&stripe->readers, 1);
    return stripe;
}

static void hash_set_end_reading(struct stripe *stripe)
{
    atomic_fetch_sub(&stripe->readers, 1);
}

static bool hash_set_table_holds(const struct table *table, size_t compared, const unsigned char *hash,
                                 uint32_t expires_at, uint32_t before)
{
    uint32_t expires;
    size_t place = hash_set_place_of(table, hash, compared, &expires);
    return expires != 0 && expires >= expires_at && (before == 0 || hash_set_number_at(table, BEFORE, place) >= before);
}

bool hash_set_holds(struct hash_set *set, const unsigned char (*hashes)[32], size_t count, int64_t expires_at,
                    int64_t before)
{
    struct stripe *stripe = NULL;
    bool holds = false;
    for (size_t i = 0; i < count && !holds; i++) {
        struct shard *shard = hash_set_shard_of(set, hashes[i]);
        if (atomic_load_explicit(&shard->count, memory_order_acquire) == 0)
            continue; /* the usual case of a service where little is revoked */
        if (!stripe)
            stripe = hash_set_begin_reading(set);
        holds = hash_set_table_holds(atomic_load(&shard->table), set->shape.compared, hashes[i],
                                     hash_set_seconds_of(expires_at), hash_set_seconds_of(before));
    }
    if (stripe)
        hash_set_end_reading(stripe);
    return holds;
}

/* The same with less to do: each token is looked up by this. */
bool hash_set_has(struct hash_set *set, const unsigned char hash[32])
{
    struct shard *shard = hash_set_shard_of(set, hash);
    uint32_t expires;
    if (atomic_load_explicit(&shard->count, memory_order_acquire) == 0)
        return false;
    struct stripe *stripe = hash_set_begin_reading(set);
    (void)hash_set_place_of(atomic_load(&shard->table), hash, set->shape.compared, &expires);
    hash_set_end_reading(stripe);
    return expires != 0;
}

size_t hash_set_count(struct hash_set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < set->shape.shards; i++)
        count += atomic_load_explicit(&set->shards[i].count, memory_order_acquire);
    return count;
}

/* --- changing. Under the shard's lock ---------------------------------------------------------------------------- */

/* Old tables are freed when no thread can be reading them. */
static void hash_set_free_unread(struct hash_set *set, struct shard *shard)
{
    for (size_t i = 0; shard->old && i < STRIPES; i++)
        if (atomic_load(&set->stripes[i].readers) > 0)
            return;
    hash_set_free_old(shard);
}

static size_t hash_set_table_bytes(const struct shape *shape, size_t places)
{
    return sizeof(struct table) + places * (shape->numbers * sizeof(uint32_t) + shape->kept);
}

static struct table *hash_set_table_new(const struct shape *shape, size_t places)
{
    struct table *table = mem_alloc(hash_set_table_bytes(shape, places));
    memset((void *)table, 0, hash_set_table_bytes(shape, places));
    table->places = places;
    table->keys = (unsigned char *)&table->numbers[places * shape->numbers];
    table->rests = table->keys + places * shape->compared;
    return table;
}

struct entry {
    unsigned char hash[32]; /* what is kept of it, then 0 */
    uint32_t numbers[NUMBERS];
};

static struct entry hash_set_entry_at(const struct shape *shape, const struct table *table, size_t place)
{
    const size_t rest = shape->kept - shape->compared;
    struct entry entry = { .numbers = { 0 } };
    for (size_t i = 0; i < shape->numbers; i++)
        entry.numbers[i] = hash_set_number_at(table, i, place);
    memcpy(entry.hash, table->keys + place * shape->compared, shape->compared);
    memcpy(entry.hash + shape->compared, table->rests + place * rest, rest);
    return entry;
}

/* Returns whether it is new. */
static bool hash_set_put(const struct shape *shape, struct table *table, const struct entry *entry)
{
    const size_t rest = shape->kept - shape->compared;
    uint32_t expires;
    size_t place = hash_set_place_of(table, entry->hash, shape->compared, &expires);
    if (expires == 0) {
        memcpy(table->keys + place * shape->compared, entry->hash, shape->compared);
        memcpy(table->rests + place * rest, entry->hash + shape->compared, rest);
    }
    for (size_t i = shape->numbers; i-- > 0;) /* the expiry last */
        if (hash_set_number_at(table, i, place) < entry->numbers[i])
            atomic_store_explicit(&table->numbers[i * table->places + place], entry->numbers[i], memory_order_release);
    return expires == 0;
}

/* A table for `count` entries at a load of 3/8 to 3/4, with those that expire at `from_s` or later. */
static struct table *hash_set_rebuild(struct hash_set *set, struct shard *shard, size_t count, uint32_t from_s)
{
    struct table *old = atomic_load_explicit(&shard->table, memory_order_relaxed);
    size_t places = PLACES_FIRST;
    while (places / 4 * 3 < count)
        places *= 2;
    struct table *table = hash_set_table_new(&set->shape, places);
    for (size_t i = 0; old && i < old->places; i++) {
        const struct entry entry = hash_set_entry_at(&set->shape, old, i);
        if (entry.numbers[EXPIRES] != 0 && entry.numbers[EXPIRES] >= from_s)
            (void)hash_set_put(&set->shape, table, &entry);
    }
    atomic_store(&shard->table, table);
    if (old) {
        old->next = shard->old;
        shard->old = old;
    }
    hash_set_free_unread(set, shard);
    return table;
}

void hash_set_add(struct hash_set *set, const unsigned char hash[32], struct hash_value value)
{
    struct shard *shard = hash_set_shard_of(set, hash);
    struct entry entry = { .numbers = { hash_set_seconds_of(value.expires_at), hash_set_seconds_of(value.before),
                                        value.kind } };
    memcpy(entry.hash, hash, sizeof entry.hash);
    if (entry.numbers[EXPIRES] == 0)
        entry.numbers[EXPIRES] = 1;
    pthread_mutex_lock(&shard->lock);
    size_t count = atomic_load_explicit(&shard->count, memory_order_relaxed);
    struct table *table = atomic_load_explicit(&shard->table, memory_order_relaxed);
    if (!table || count + 1 > table->places / 4 * 3)
        table = hash_set_rebuild(set, shard, count + 1, 0);
    else
        hash_set_free_unread(set, shard);
    if (hash_set_put(&set->shape, table, &entry))
        atomic_store_explicit(&shard->count, count + 1, memory_order_release);
    pthread_mutex_unlock(&shard->lock);
}

static size_t hash_set_purge_shard(struct hash_set *set, struct shard *shard, uint32_t now_s)
{
    struct table *table = atomic_load_explicit(&shard->table, memory_order_relaxed);
    size_t gone = 0, count = atomic_load_explicit(&shard->count, memory_order_relaxed);
    hash_set_free_unread(set, shard);
    for (size_t i = 0; table && i < table->places; i++) {
        uint32_t expires = hash_set_number_at(table, EXPIRES, i);
        gone += expires != 0 && expires < now_s;
    }
    if (gone == 0)
        return 0;
    (void)hash_set_rebuild(set, shard, count - gone, now_s);
    atomic_store_explicit(&shard->count, count - gone, memory_order_release);
    return gone;
}

size_t hash_set_purge(struct hash_set *set, int64_t now_s)
{
    size_t gone = 0;
    for (size_t i = 0; i < set->shape.shards; i++) {
        pthread_mutex_lock(&set->shards[i].lock);
        gone += hash_set_purge_shard(set, &set->shards[i], hash_set_seconds_of(now_s));
        pthread_mutex_unlock(&set->shards[i].lock);
    }
    return gone;
}

/* --- all of them -------------------------------------------------------------------------------------------------- */

/* Under its lock: from *place on, which goes on; 0: the shard has no more. Returns how many it has put into `out`. */
static size_t hash_set_list_shard(const struct shape *shape, struct shard *shard, size_t *place, uint32_t now_s,
                                  struct hash_entry *out, size_t max)
{
    const struct table *table = atomic_load_explicit(&shard->table, memory_order_relaxed);
    size_t count = 0, places = table ? table->places : 0;
    for (; *place < places && count < max; ++*place) {
        const struct entry entry = hash_set_entry_at(shape, table, *place);
        if (entry.numbers[EXPIRES] <= now_s)
            continue;
        out[count].value = (struct hash_value){ entry.numbers[EXPIRES], entry.numbers[BEFORE], entry.numbers[KIND] };
        memcpy(out[count++].hash, entry.hash, sizeof entry.hash);
    }
    if (*place >= places)
        *place = 0;
    return count;
}

size_t hash_set_list(struct hash_set *set, struct hash_set_cursor *cursor, int64_t now_s, struct hash_entry *out,
                     size_t max)
{
    size_t count = 0;
    bool is_whole = set->shape.kept == sizeof out->hash;
    while (is_whole && cursor->shard < set->shape.shards && count < max) {
        struct shard *shard = &set->shards[cursor->shard];
        pthread_mutex_lock(&shard->lock);
        count += hash_set_list_shard(&set->shape, shard, &cursor->place, hash_set_seconds_of(now_s), out + count,
                                     max - count);
        pthread_mutex_unlock(&shard->lock);
        cursor->shard += cursor->place == 0;
    }
    return count;
}

size_t hash_set_bytes(struct hash_set *set)
{
    size_t bytes = sizeof *set + set->shape.shards * sizeof *set->shards;
    for (size_t i = 0; i < set->shape.shards; i++) {
        struct shard *shard = &set->shards[i];
        pthread_mutex_lock(&shard->lock);
        const struct table *table = atomic_load(&shard->table);
        bytes += table ? hash_set_table_bytes(&set->shape, table->places) : 0;
        for (table = shard->old; table; table = table->next)
            bytes += hash_set_table_bytes(&set->shape, table->places);
        pthread_mutex_unlock(&shard->lock);
    }
    return bytes;
}
