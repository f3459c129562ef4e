/* revocation/rules.c: one open-addressed table. Rules are few and looked for with each token, so it is made for
 * readers: each thread says in a cache line of its own (or shared with few) that it reads. Entries only ever leave by a
 * rebuild, so a probe ends at the first free place.
 *
 * A place is free until its expiry is written, which is done last, and its hash never changes after that: a reader sees
 * all of a rule or none. A rebuild makes a new table beside the old one; the old one is freed once no thread is
 * reading, at the latest by a later addition or purge: whoever begins after the change sees the new table alone. */
#include "revocation/rules.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { STRIPES = 16, PLACES_FIRST = 16 };

struct place {
    unsigned char hash[32];
    atomic_uint kind;
    _Atomic int64_t before, expires_at; /* s; expires_at 0: the place is free */
};

struct table {
    struct table *next; /* of those that are to be freed */
    size_t places;      /* a power of two */
    struct place at[];
};

struct stripe {
    _Alignas(64) atomic_size_t readers;
};

struct rules {
    struct stripe stripes[STRIPES];
    _Alignas(64) atomic_size_t count;
    _Atomic int64_t latest, last_expiry; /* the highest `before`, the latest expiry */
    _Atomic(struct table *) table;       /* NULL: nothing was ever added */
    pthread_mutex_t lock;                /* of whoever changes something */
    struct table *old;
};

static struct table *new_table(size_t places)
{
    struct table *table = mem_alloc(sizeof *table + places * sizeof *table->at);
    memset((void *)table, 0, sizeof *table + places * sizeof *table->at);
    table->places = places;
    return table;
}

struct rules *rules_new(void)
{
    struct rules *set = aligned_alloc(_Alignof(struct rules), sizeof *set);
    if (!set)
        abort(); /* as mem_alloc() does, which takes no alignment */
    memset((void *)set, 0, sizeof *set);
    pthread_mutex_init(&set->lock, NULL);
    return set;
}

static void free_old(struct rules *set)
{
    for (struct table *table = set->old, *next; table; table = next) {
        next = table->next;
        free(table);
    }
    set->old = NULL;
}

void rules_free(struct rules *set)
{
    if (!set)
        return;
    free_old(set);
    free(atomic_load(&set->table));
    pthread_mutex_destroy(&set->lock);
    free(set);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static struct stripe *begin_reading(struct rules *set)
{
    static atomic_uint threads;
    static _Thread_local unsigned mine; /* from 1 */
    if (!mine)
        mine = 1 + atomic_fetch_add(&threads, 1) % STRIPES;
    struct stripe *stripe = &set->stripes[mine - 1];
    atomic_fetch_add(&stripe->readers, 1); /* in one order with the changes of the table */
    return stripe;
}

static void end_reading(struct stripe *stripe)
{
    atomic_fetch_sub(&stripe->readers, 1);
}

/* The hash's place, or the free one where it belongs; *is_there says which. There is always a free one. */
static struct place *place_of(struct table *table, const unsigned char *hash, bool *is_there)
{
    uint64_t start;
    memcpy(&start, hash, sizeof start);
    for (size_t i = (size_t)start & (table->places - 1);; i = (i + 1) & (table->places - 1)) {
        struct place *place = &table->at[i];
        *is_there = atomic_load_explicit(&place->expires_at, memory_order_acquire) != 0;
        if (!*is_there || memcmp(place->hash, hash, sizeof place->hash) == 0)
            return place;
    }
}

bool rules_cover(struct rules *set, const unsigned char (*hashes)[32], size_t count, int64_t issued_at,
                 int64_t issued_after)
{
    bool covers = false;
    if (rules_count(set) == 0)
        return false; /* the usual case */
    struct stripe *stripe = begin_reading(set);
    struct table *table = atomic_load(&set->table);
    for (size_t i = 0; table && i < count && !covers; i++) {
        const struct place *place = place_of(table, hashes[i], &covers);
        covers = covers && issued_at <= atomic_load_explicit(&place->before, memory_order_acquire) &&
                 issued_after <= atomic_load_explicit(&place->expires_at, memory_order_acquire);
    }
    end_reading(stripe);
    return covers;
}

bool rules_find(struct rules *set, const unsigned char hash[32], int64_t *before, int64_t *expires_at)
{
    bool is_there = false;
    struct stripe *stripe = begin_reading(set);
    struct table *table = atomic_load(&set->table);
    const struct place *place = table ? place_of(table, hash, &is_there) : NULL;
    if (place && is_there) {
        *before = atomic_load_explicit(&place->before, memory_order_acquire);
        *expires_at = atomic_load_explicit(&place->expires_at, memory_order_acquire);
    }
    end_reading(stripe);
    return is_there;
}

bool rules_hold(struct rules *set, const unsigned char hash[32], int64_t before, int64_t expires_at)
{
    int64_t known_before = 0, known_expiry = 0;
    return rules_find(set, hash, &known_before, &known_expiry) && known_before >= before && known_expiry >= expires_at;
}

/* --- changing. Under the lock ------------------------------------------------------------------------------------ */

/* Old tables go when nobody can be looking at them. A thread that begins now finds the new one. */
static void free_unread(struct rules *set)
{
    for (size_t i = 0; set->old && i < STRIPES; i++)
        if (atomic_load(&set->stripes[i].readers) > 0)
            return;
    free_old(set);
}

static void put(struct table *table, const struct rule *rule)
{
    bool is_there = false;
    struct place *place = place_of(table, rule->hash, &is_there);
    int64_t before = rule->before, expires_at = rule->expires_at < 1 ? 1 : rule->expires_at;
    if (!is_there)
        memcpy(place->hash, rule->hash, sizeof place->hash);
    if (rule->kind)
        atomic_store_explicit(&place->kind, rule->kind, memory_order_relaxed);
    if (!is_there || atomic_load_explicit(&place->before, memory_order_relaxed) < before)
        atomic_store_explicit(&place->before, before, memory_order_release);
    if (!is_there || atomic_load_explicit(&place->expires_at, memory_order_relaxed) < expires_at)
        atomic_store_explicit(&place->expires_at, expires_at, memory_order_release);
}

static struct rule rule_at(struct place *place)
{
    struct rule rule = { .kind = atomic_load_explicit(&place->kind, memory_order_relaxed),
                         .before = atomic_load_explicit(&place->before, memory_order_relaxed),
                         .expires_at = atomic_load_explicit(&place->expires_at, memory_order_relaxed) };
    memcpy(rule.hash, place->hash, sizeof rule.hash);
    return rule;
}

/* A table for `count` rules at a load of 3/8 to 3/4, with those that expire at `from_s` or later. */
static struct table *rebuild(struct rules *set, size_t count, int64_t from_s)
{
    struct table *old = atomic_load_explicit(&set->table, memory_order_relaxed);
    size_t places = PLACES_FIRST;
    while (places / 4 * 3 < count)
        places *= 2;
    struct table *table = new_table(places);
    for (size_t i = 0; old && i < old->places; i++) {
        const struct rule rule = rule_at(&old->at[i]);
        if (rule.expires_at != 0 && rule.expires_at >= from_s)
            put(table, &rule);
    }
    atomic_store(&set->table, table); /* in one order with the readers' coming and going */
    if (old) {
        old->next = set->old;
        set->old = old;
    }
    free_unread(set);
    return table;
}

static void raise(_Atomic int64_t *value, int64_t to)
{
    if (to > atomic_load_explicit(value, memory_order_relaxed))
        atomic_store_explicit(value, to, memory_order_release);
}

static void add(struct rules *set, const struct rule *rule)
{
    bool is_there = false;
    size_t count = atomic_load_explicit(&set->count, memory_order_relaxed);
    struct table *table = atomic_load_explicit(&set->table, memory_order_relaxed);
    if (!table || count + 1 > table->places / 4 * 3)
        table = rebuild(set, count + 1, 1);
    else
        free_unread(set);
    (void)place_of(table, rule->hash, &is_there);
    put(table, rule);
    raise(&set->latest, rule->before);
    raise(&set->last_expiry, rule->expires_at);
    if (!is_there)
        atomic_store_explicit(&set->count, count + 1, memory_order_release);
}

void rules_add(struct rules *set, const unsigned char hash[32], unsigned kind, int64_t before, int64_t expires_at)
{
    struct rule rule = { .kind = kind, .before = before, .expires_at = expires_at };
    memcpy(rule.hash, hash, sizeof rule.hash);
    pthread_mutex_lock(&set->lock);
    add(set, &rule);
    pthread_mutex_unlock(&set->lock);
}

int64_t rules_make(struct rules *set, const unsigned char hash[32], unsigned kind, int64_t before, int64_t expires_at)
{
    struct rule rule = { .kind = kind, .before = before, .expires_at = expires_at };
    memcpy(rule.hash, hash, sizeof rule.hash);
    pthread_mutex_lock(&set->lock);
    int64_t last = atomic_load_explicit(&set->last_expiry, memory_order_relaxed);
    if (rule.expires_at <= last)
        rule.expires_at = last + 1;
    add(set, &rule);
    pthread_mutex_unlock(&set->lock);
    return rule.expires_at;
}

size_t rules_purge(struct rules *set, int64_t now_s)
{
    size_t gone = 0;
    pthread_mutex_lock(&set->lock);
    const struct table *table = atomic_load_explicit(&set->table, memory_order_relaxed);
    size_t count = atomic_load_explicit(&set->count, memory_order_relaxed);
    free_unread(set);
    for (size_t i = 0; table && i < table->places; i++) {
        int64_t expires_at = atomic_load_explicit(&table->at[i].expires_at, memory_order_relaxed);
        gone += expires_at != 0 && expires_at < now_s;
    }
    if (gone > 0) {
        (void)rebuild(set, count - gone, now_s);
        atomic_store_explicit(&set->count, count - gone, memory_order_release);
    }
    pthread_mutex_unlock(&set->lock);
    return gone;
}

int64_t rules_latest(struct rules *set)
{
    return atomic_load_explicit(&set->latest, memory_order_acquire);
}

int64_t rules_last_expiry(struct rules *set)
{
    return atomic_load_explicit(&set->last_expiry, memory_order_acquire);
}

size_t rules_list(struct rules *set, size_t *cursor, int64_t now_s, struct rule *out, size_t max)
{
    size_t count = 0;
    pthread_mutex_lock(&set->lock);
    struct table *table = atomic_load_explicit(&set->table, memory_order_relaxed);
    for (; table && *cursor < table->places && count < max; ++*cursor) {
        out[count] = rule_at(&table->at[*cursor]);
        count += out[count].expires_at > now_s;
    }
    pthread_mutex_unlock(&set->lock);
    return count;
}

size_t rules_count(struct rules *set)
{
    return atomic_load_explicit(&set->count, memory_order_acquire);
}

size_t rules_bytes(struct rules *set)
{
    size_t bytes = sizeof *set;
    pthread_mutex_lock(&set->lock);
    const struct table *table = atomic_load_explicit(&set->table, memory_order_relaxed);
    if (table)
        bytes += sizeof *table + table->places * sizeof *table->at;
    for (table = set->old; table; table = table->next)
        bytes += sizeof *table + table->places * sizeof *table->at;
    pthread_mutex_unlock(&set->lock);
    return bytes;
}
