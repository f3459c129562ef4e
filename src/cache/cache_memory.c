/* cache/cache_memory.c: the embedded cache: one table with chains, one lock. Values that have ended are dropped when
 * they are met, and all of them each time the table has grown by half; so memory follows what lives. A log is a ring.
 */
#include "base/clock.h"
#include "cache/cache.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOGS_MAX = 8, PLACES_FIRST = 64 };

struct value {
    struct value *next;
    int64_t ends_ms; /* of clock_ms() */
    int64_t counter; /* of count() */
    size_t key_len, len;
    char bytes[]; /* key, value */
};

struct log {
    char *name;
    size_t name_len;
    uint64_t first, next; /* numbers of the items in the ring, from 1 */
    struct str items[];   /* CACHE_LOG_KEPT; copies */
};

struct cache_memory {
    struct cache cache; /* first */
    pthread_mutex_t lock;
    pthread_cond_t grown; /* a log */
    struct value **places;
    size_t places_count, values, sweep_at;
    struct log *logs[LOGS_MAX];
};

static struct cache_memory *memory_of(struct cache *cache)
{
    return (struct cache_memory *)cache;
}

/* FNV-1a. Keys are names of ours and hashes: nobody can choose them so that they meet. */
static uint64_t spread(struct str key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < key.len; i++)
        hash = (hash ^ (unsigned char)key.at[i]) * UINT64_C(0x100000001b3);
    return hash ^ hash >> 32;
}

static struct str key_of(const struct value *value)
{
    return (struct str){ value->bytes, value->key_len };
}

/* --- values. Under the lock ----------------------------------------------------------------------------------------
 */

/* Where the key's value hangs, or would. One that has ended is dropped. */
static struct value **find(struct cache_memory *memory, struct str key)
{
    struct value **at = &memory->places[spread(key) & (memory->places_count - 1)];
    while (*at && !str_eq(key_of(*at), key))
        at = &(*at)->next;
    if (*at && (*at)->ends_ms <= clock_ms()) {
        struct value *ended = *at;
        *at = ended->next;
        free(ended);
        memory->values--;
        while (*at)
            at = &(*at)->next;
    }
    return at;
}

static void sweep(struct cache_memory *memory)
{
    int64_t now = clock_ms();
    struct value *kept = NULL;
    memory->values = 0;
    for (size_t i = 0; i < memory->places_count; i++)
        for (struct value *each = memory->places[i], *next; each; each = next) {
            next = each->next;
            if (each->ends_ms <= now) {
                free(each);
                continue;
            }
            each->next = kept;
            kept = each;
            memory->values++;
        }
    size_t places = PLACES_FIRST;
    while (places < 2 * memory->values)
        places *= 2;
    free(memory->places);
    memory->places = mem_alloc(places * sizeof(struct value *));
    memset(memory->places, 0, places * sizeof(struct value *));
    memory->places_count = places;
    memory->sweep_at = memory->values + memory->values / 2 + PLACES_FIRST;
    for (struct value *each = kept, *next; each; each = next) {
        next = each->next;
        struct value **at = &memory->places[spread(key_of(each)) & (places - 1)];
        each->next = *at;
        *at = each;
    }
}

static struct value *set(struct cache_memory *memory, struct str key, struct str text, int64_t ttl_s)
{
    if (memory->values >= memory->sweep_at)
        sweep(memory);
    struct value **at = find(memory, key);
    struct value *old = *at, *value = mem_alloc(sizeof *value + key.len + text.len);
    *value = (struct value){ .next = old ? old->next : NULL, .key_len = key.len, .len = text.len };
    value->ends_ms = clock_ms() + cache_ttl_s(ttl_s) * 1000;
    memcpy(value->bytes, key.at, key.len);
    if (text.len > 0)
        memcpy(value->bytes + key.len, text.at, text.len);
    *at = value;
    memory->values += !old;
    free(old);
    return value;
}

/* --- the operations ------------------------------------------------------------------------------------------------
 */

static struct err put(struct cache *cache, const struct cache_entry *entries, size_t count)
{
    struct cache_memory *memory = memory_of(cache);
    pthread_mutex_lock(&memory->lock);
    for (size_t i = 0; i < count; i++)
        (void)set(memory, entries[i].key, entries[i].value, entries[i].ttl_s);
    pthread_mutex_unlock(&memory->lock);
    return OK;
}

static struct err add(struct cache *cache, const struct cache_entry *entries, size_t count, size_t *added)
{
    struct cache_memory *memory = memory_of(cache);
    *added = 0;
    pthread_mutex_lock(&memory->lock);
    for (size_t i = 0; i < count; i++)
        if (!*find(memory, entries[i].key)) {
            (void)set(memory, entries[i].key, entries[i].value, entries[i].ttl_s);
            ++*added;
        }
    pthread_mutex_unlock(&memory->lock);
    return OK;
}

/* "<high> <until_s> …": false when it is none. */
static bool read_mark(const struct value *value, int64_t *high, int64_t *until_s)
{
    char text[64] = "";
    long long numbers[2];
    memcpy(text, value->bytes + value->key_len, value->len < sizeof text ? value->len : sizeof text - 1);
    char *end = text;
    for (size_t i = 0; i < 2; i++) {
        char *from = end;
        numbers[i] = strtoll(from, &end, 10);
        if (end == from)
            return false;
    }
    if (numbers[0] < 0 || numbers[0] > CACHE_MARK_MAX || numbers[1] < 0 || numbers[1] > CACHE_MARK_MAX)
        return false;
    *high = numbers[0];
    *until_s = numbers[1];
    return true;
}

/* Under the lock. */
static void raise_one(struct cache_memory *memory, const struct cache_mark *mark, int64_t now_s)
{
    int64_t high = 0, until_s = 0;
    const struct value *old = *find(memory, mark->key);
    if (old && read_mark(old, &high, &until_s) && high >= mark->high && until_s >= mark->until_s)
        return;
    if (high < mark->high)
        high = mark->high;
    if (until_s < mark->until_s)
        until_s = mark->until_s;
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    struct str text = arena_printf(&arena, "%lld %lld %.*s", (long long)high, (long long)until_s, (int)mark->text.len,
                                   mark->text.at ? mark->text.at : "");
    (void)set(memory, mark->key, text, until_s - now_s);
}

static struct err raise_all(struct cache *cache, const struct cache_mark *marks, size_t count, int64_t now_s)
{
    struct cache_memory *memory = memory_of(cache);
    pthread_mutex_lock(&memory->lock);
    for (size_t i = 0; i < count; i++)
        raise_one(memory, &marks[i], now_s);
    pthread_mutex_unlock(&memory->lock);
    return OK;
}

static struct err get_and(struct cache *cache, struct arena *arena, struct str key, bool removes, struct str *value)
{
    struct cache_memory *memory = memory_of(cache);
    pthread_mutex_lock(&memory->lock);
    struct value **at = find(memory, key), *found = *at;
    if (found) {
        *value = arena_copy(arena, (struct str){ found->bytes + found->key_len, found->len });
        if (removes) {
            *at = found->next;
            free(found);
            memory->values--;
        }
    }
    pthread_mutex_unlock(&memory->lock);
    return found ? OK : failed(ERR_NOT_FOUND, "there is no such value");
}

static struct err get(struct cache *cache, struct arena *arena, struct str key, struct str *value)
{
    return get_and(cache, arena, key, false, value);
}

static struct err take(struct cache *cache, struct arena *arena, struct str key, struct str *value)
{
    return get_and(cache, arena, key, true, value);
}

static struct err count_up(struct cache *cache, struct str key, int64_t ttl_s, int64_t *value)
{
    struct cache_memory *memory = memory_of(cache);
    pthread_mutex_lock(&memory->lock);
    struct value *counter = *find(memory, key);
    if (!counter)
        counter = set(memory, key, (struct str){ 0, 0 }, ttl_s);
    *value = ++counter->counter;
    pthread_mutex_unlock(&memory->lock);
    return OK;
}

static struct err get_all(struct cache *cache, struct arena *arena, const struct str *keys, size_t count,
                          struct str *values)
{
    struct cache_memory *memory = memory_of(cache);
    pthread_mutex_lock(&memory->lock);
    for (size_t i = 0; i < count; i++) {
        const struct value *value = *find(memory, keys[i]);
        values[i] = value ? arena_copy(arena, (struct str){ value->bytes + value->key_len, value->len })
                          : (struct str){ NULL, 0 };
    }
    pthread_mutex_unlock(&memory->lock);
    return OK;
}

static void show(const struct cache_visitor *visitor, const struct value *value, int64_t now)
{
    if (visitor->holds)
        visitor->holds(visitor->context, key_of(value), (struct str){ value->bytes + value->key_len, value->len });
    else
        visitor->each(visitor->context, key_of(value), (value->ends_ms - now + 999) / 1000);
}

static struct err scan(struct cache *cache, const struct cache_visitor *visitors, size_t count)
{
    struct cache_memory *memory = memory_of(cache);
    int64_t now = clock_ms();
    pthread_mutex_lock(&memory->lock);
    for (size_t i = 0; i < memory->places_count; i++)
        for (const struct value *value = memory->places[i]; value; value = value->next)
            for (size_t k = 0; k < count && value->ends_ms > now; k++)
                if (str_has_prefix(key_of(value), visitors[k].prefix) &&
                    visitors[k].wants(visitors[k].context, key_of(value)))
                    show(&visitors[k], value, now);
    pthread_mutex_unlock(&memory->lock);
    return OK;
}

/* --- logs ----------------------------------------------------------------------------------------------------------
 */

/* Under the lock. NULL when there are too many: their names are ours, so that is a fault of ours. */
static struct log *log_of(struct cache_memory *memory, struct str name)
{
    size_t i = 0;
    for (; i < LOGS_MAX && memory->logs[i]; i++)
        if (str_eq((struct str){ memory->logs[i]->name, memory->logs[i]->name_len }, name))
            return memory->logs[i];
    if (i == LOGS_MAX)
        return NULL;
    struct log *log = mem_alloc(sizeof *log + CACHE_LOG_KEPT * sizeof *log->items); /* touched as it fills */
    *log = (struct log){ .name = mem_alloc(name.len + 1), .name_len = name.len, .first = 1, .next = 1 };
    memcpy(log->name, name.at, name.len);
    return memory->logs[i] = log;
}

static void position_of(uint64_t item, struct cache_position *out)
{
    snprintf(out->text, sizeof out->text, "%llu", (unsigned long long)item);
}

static struct err append(struct cache *cache, struct str log_name, struct str text, struct cache_position *position)
{
    struct cache_memory *memory = memory_of(cache);
    pthread_mutex_lock(&memory->lock);
    struct log *log = log_of(memory, log_name);
    if (log) {
        char *copy = mem_alloc(text.len + 1);
        if (text.len > 0)
            memcpy(copy, text.at, text.len);
        if (log->next - log->first == CACHE_LOG_KEPT)
            free((char *)log->items[log->first++ % CACHE_LOG_KEPT].at);
        position_of(log->next, position);
        log->items[log->next++ % CACHE_LOG_KEPT] = (struct str){ copy, text.len };
        pthread_cond_broadcast(&memory->grown);
    }
    pthread_mutex_unlock(&memory->lock);
    return log ? OK : failed(ERR_INTERNAL, "there are too many logs");
}

/* Under the lock: until the log has the item `from`, or the time is up. */
static void wait_for(struct cache_memory *memory, const struct log *log, uint64_t from, int64_t wait_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += wait_ms / 1000;
    until.tv_nsec += wait_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (log->next <= from && pthread_cond_timedwait(&memory->grown, &memory->lock, &until) == 0)
        ;
}

/* Under the lock: which item comes next for a follower; false when the log does not hold the one where it stands. */
static bool next_after(const struct log *log, const struct cache_position *after, uint64_t *next)
{
    const uint64_t item = strtoull(after->text, NULL, 10);
    *next = after->text[0] ? item + 1 : log->first;
    return !after->text[0] || (item >= log->first && item < log->next);
}

static struct err read_log(struct cache *cache, struct arena *arena, struct str log_name,
                           const struct cache_position *after, int64_t wait_ms, size_t max, struct cache_item **items,
                           size_t *count)
{
    struct cache_memory *memory = memory_of(cache);
    struct err err = failed(ERR_NOT_FOUND, "the log does not go back that far");
    uint64_t next;
    pthread_mutex_lock(&memory->lock);
    const struct log *log = log_of(memory, log_name);
    if (log && next_after(log, after, &next) && wait_ms > 0)
        wait_for(memory, log, next, wait_ms);
    if (log && next_after(log, after, &next)) { /* still, after the wait */
        size_t found = log->next - next < max ? (size_t)(log->next - next) : max;
        struct cache_item *to = arena_alloc(arena, (found + 1) * sizeof *to);
        for (size_t i = 0; i < found; i++) {
            to[i].text = arena_copy(arena, log->items[(next + i) % CACHE_LOG_KEPT]);
            position_of(next + i, &to[i].position);
        }
        *items = to;
        *count = found;
        err = OK;
    }
    pthread_mutex_unlock(&memory->lock);
    return err;
}

/* --- life ----------------------------------------------------------------------------------------------------------
 */

static uint64_t generation(struct cache *cache)
{
    (void)cache;
    return 1; /* what is in memory is lost with the process alone */
}

static struct err evicts(struct cache *cache, char policy[CACHE_POLICY_ROOM])
{
    (void)cache;
    policy[0] = '\0';
    return OK;
}

static struct err check(struct cache *cache)
{
    (void)cache;
    return OK;
}

static void close_memory(struct cache *cache)
{
    struct cache_memory *memory = memory_of(cache);
    for (size_t i = 0; i < memory->places_count; i++)
        for (struct value *each = memory->places[i], *next; each; each = next) {
            next = each->next;
            free(each);
        }
    for (size_t i = 0; i < LOGS_MAX && memory->logs[i]; i++) {
        struct log *log = memory->logs[i];
        for (uint64_t item = log->first; item < log->next; item++)
            free((char *)log->items[item % CACHE_LOG_KEPT].at);
        free(log->name);
        free(log);
    }
    free(memory->places);
    pthread_cond_destroy(&memory->grown);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static const struct cache_ops memory_ops = {
    .name = "memory",
    .is_shared = false,
    .put = put,
    .add = add,
    .raise = raise_all,
    .get = get,
    .take = take,
    .count = count_up,
    .get_all = get_all,
    .scan = scan,
    .append = append,
    .read = read_log,
    .generation = generation,
    .evicts = evicts,
    .check = check,
    .close = close_memory,
};

struct err cache_memory_open(struct cache **out)
{
    struct cache_memory *memory = mem_alloc(sizeof *memory);
    *memory = (struct cache_memory){ .cache.ops = &memory_ops };
    pthread_mutex_init(&memory->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&memory->grown, &monotonic);
    pthread_condattr_destroy(&monotonic);
    sweep(memory); /* makes the first table */
    *out = &memory->cache;
    return OK;
}

void cache_close(struct cache *cache)
{
    if (cache)
        cache->ops->close(cache);
}
