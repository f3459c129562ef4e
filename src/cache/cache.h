/* cache/cache.h: what instances share beside a store: values that live for a time, and a log that others follow. It is
 * a Redis; without one there is no cache. Every operation is thread-safe and may wait, so none runs on an event loop.
 * What fails is ERR_UNAVAILABLE, and may have happened or not.
 *
 * Keys are at most CACHE_KEY_MAX bytes. Times to live are at least 1 s, and at most CACHE_TTL_MAX_S: others become
 * that. */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include "base/mem.h"
#include "base/settings.h"

enum {
    CACHE_KEY_MAX = 256,
    CACHE_TTL_MAX_S = INT32_MAX, /* 68 years: a longer life is cut to that */
    CACHE_LOG_KEPT = 100000,
    CACHE_POSITION_ROOM = 48,
    CACHE_POLICY_ROOM = 32,
    CACHE_VISITORS_MAX = 4,
};

static inline int64_t cache_ttl_s(int64_t ttl_s)
{
    return ttl_s < 1 ? 1 : ttl_s > CACHE_TTL_MAX_S ? CACHE_TTL_MAX_S : ttl_s;
}

struct cache_entry {
    struct str key, value;
    int64_t ttl_s;
};

/* A value that only grows: "<high> <until_s> <text>". Neither number is negative or above CACHE_MARK_MAX; a value with
 * other numbers is not ours. */
#define CACHE_MARK_MAX INT64_C(999999999999)
struct cache_mark {
    struct str key;
    int64_t high, until_s; /* until_s: s since 1970, when the value ends */
    struct str text;
};

/* Where a follower stands in a log: behind the item that it names. "": nowhere yet. */
struct cache_position {
    char text[CACHE_POSITION_ROOM];
};

struct cache_item {
    struct str text;
    struct cache_position position;
};

/* Who is shown the keys that begin with `prefix`. Their views live until the call returns. */
struct cache_visitor {
    struct str prefix;
    void *context;
    /* Whether to ask how long the key still lives, which costs time; if not, `each` isn't called for it. */
    bool (*wants)(void *context, struct str key);
    void (*each)(void *context, struct str key, int64_t ttl_s); /* ttl_s: rounded up */
    /* Unless it is NULL, called in the place of `each`. */
    void (*holds)(void *context, struct str key, struct str value);
};

struct cache;
/* The Redis of REDIS_URL, REDIS_CA_FILE, TOKEN_REDIS_TIMEOUT. Connects when first used. */
MUST_USE struct err cache_open(const struct settings *settings, struct cache **out);
void cache_close(struct cache *cache); /* NULL allowed */

/* Puts them all, whatever was there before. */
MUST_USE struct err cache_put(struct cache *cache, const struct cache_entry *entries, size_t count);
/* Puts each that isn't there; *added says how many were not. Of several callers one adds a key. */
MUST_USE struct err cache_add(struct cache *cache, const struct cache_entry *entries, size_t count, size_t *added);
/* Puts each mark, or raises the one that is there: the greater of each number stays, in whichever order they arrive,
 * and the text is that of the last mark that raised a number. */
MUST_USE struct err cache_raise(struct cache *cache, const struct cache_mark *marks, size_t count, int64_t now_s);
/* ERR_NOT_FOUND when there is none, or it has expired. */
MUST_USE struct err cache_get(struct cache *cache, struct arena *arena, struct str key, struct str *value);
/* The value of each key; `at` is NULL where there is none, or it has expired. */
MUST_USE struct err cache_get_all(struct cache *cache, struct arena *arena, const struct str *keys, size_t count,
                                  struct str *values);
/* Shows each visitor (at most CACHE_VISITORS_MAX) every key of its kind that existed the whole time; a key may come
 * twice. One pass serves all visitors, since it looks at all keys. ERR_CONFLICT when keys may have been missed because
 * they moved between servers: scan again. */
MUST_USE struct err cache_scan(struct cache *cache, const struct cache_visitor *visitors, size_t count);

/* Appends to a log, which keeps its last items, CACHE_LOG_KEPT at least; *position is the item's. */
MUST_USE struct err cache_append(struct cache *cache, struct str log, struct str text, struct cache_position *position);
/* Items behind `after`, in order, at most `max`; with none there, waits up to `wait_ms` for the first. Of "": those
 * that the log still has, from the first.
 * ERR_NOT_FOUND: the log does not hold the item at `after` any more, so what followed it may be lost as well. */
MUST_USE struct err cache_read(struct cache *cache, struct arena *arena, struct str log,
                               const struct cache_position *after, int64_t wait_ms, size_t max,
                               struct cache_item **items, size_t *count);

/* After what was put or appended has to be known to others: whether they look where it lies (redis_confirm()). Many
 * callers at once are answered together. */
MUST_USE struct err cache_confirm(struct cache *cache);
/* Grows when what had been acknowledged may be lost, in part or whole: another server, or one that restarted. */
uint64_t cache_generation(struct cache *cache);
/* The policy by which keys with a time to live may be dropped before their end, as the cache names it; "": none. */
MUST_USE struct err cache_evicts(struct cache *cache, char policy[CACHE_POLICY_ROOM]);
/* Whether it works and lets us do all that serving does, tried on keys of no meaning: for the start, `doctor`, and
 * whenever another server is met. */
MUST_USE struct err cache_check(struct cache *cache);

#endif
