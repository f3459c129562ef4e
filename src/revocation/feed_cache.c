/* revocation/feed_cache.c: a list of at most some hundred pages, which is as quick as anything cleverer. */
#include "revocation/feed_cache.h"
#include "jose/b64.h"
#include <pthread.h>
#include <stdlib.h>

struct feed_cache {
    pthread_mutex_t lock;
    struct feed_kept *tail; /* NULL: not yet */
    struct feed_kept *closed[FEED_CACHE_PAGES];
    size_t count, bytes; /* bytes: the tail's too */
    uint64_t uses;
};

struct feed_cache *feed_cache_new(void)
{
    struct feed_cache *cache = mem_alloc(sizeof *cache);
    *cache = (struct feed_cache){ 0 };
    pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

static size_t feed_cache_size_of(const struct feed_kept *page)
{
    return sizeof *page + page->len;
}

void feed_kept_release(struct feed_kept *page)
{
    if (page && atomic_fetch_sub(&page->refs, 1) == 1)
        free(page);
}

/* Under the lock. */
static void feed_cache_drop_closed(struct feed_cache *cache, size_t at)
{
    cache->bytes -= feed_cache_size_of(cache->closed[at]);
    feed_kept_release(cache->closed[at]);
    cache->closed[at] = cache->closed[--cache->count];
}

void feed_cache_clear(struct feed_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    while (cache->count > 0)
        feed_cache_drop_closed(cache, cache->count - 1);
    feed_kept_release(cache->tail);
    cache->tail = NULL;
    cache->bytes = 0;
    pthread_mutex_unlock(&cache->lock);
}

void feed_cache_free(struct feed_cache *cache)
{
    feed_cache_clear(cache);
    pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* Under the lock: the place of a closed page, or cache->count. */
static size_t feed_cache_find_closed(const struct feed_cache *cache, int64_t since)
{
    size_t at = 0;
    while (at < cache->count && cache->closed[at]->since != since)
        at++;
    return at;
}

/* Under the lock: for so many bytes, and one more page. */
static void feed_cache_make_room(struct feed_cache *cache, size_t size)
{
    while (cache->count > 0 && (cache->count == FEED_CACHE_PAGES || cache->bytes + size > FEED_CACHE_BYTES)) {
        size_t oldest = 0;
        for (size_t i = 1; i < cache->count; i++)
            if (cache->closed[i]->used < cache->closed[oldest]->used)
                oldest = i;
        feed_cache_drop_closed(cache, oldest);
    }
}

static struct feed_kept *feed_cache_kept_new(const struct feed_page *page, bool is_tail, struct str kid, struct str jws)
{
    unsigned char hash[32];
    struct feed_kept *kept = mem_alloc(sizeof *kept + jws.len);
    *kept = (struct feed_kept){ .refs = 1,
                                .since = page->since,
                                .position = page->position,
                                .iat = page->iat,
                                .exp = page->exp,
                                .is_tail = is_tail,
                                .len = jws.len };
    memcpy(kept->kid, kid.at, kid.len < JWS_KID_MAX ? kid.len : JWS_KID_MAX);
    memcpy(kept->jws, jws.at, jws.len);
    sha256(jws, hash);
    kept->etag[0] = kept->etag[FEED_ETAG_LEN - 1] = '"';
    b64url_encode((struct str){ (const char *)hash, 16 }, kept->etag + 1);
    return kept;
}

void feed_cache_keep(struct feed_cache *cache, const struct feed_page *page, bool is_tail, struct str kid,
                     struct str jws)
{
    struct feed_kept *kept = feed_cache_kept_new(page, is_tail, kid, jws);
    pthread_mutex_lock(&cache->lock);
    if (is_tail) {
        cache->bytes -= cache->tail ? feed_cache_size_of(cache->tail) : 0;
        feed_kept_release(cache->tail);
        cache->tail = kept;
    } else {
        size_t at = feed_cache_find_closed(cache, kept->since);
        if (at < cache->count)
            feed_cache_drop_closed(cache, at);
        feed_cache_make_room(cache, feed_cache_size_of(kept));
        kept->used = ++cache->uses;
        cache->closed[cache->count++] = kept;
    }
    cache->bytes += feed_cache_size_of(kept);
    pthread_mutex_unlock(&cache->lock);
}

struct feed_kept *feed_cache_find(struct feed_cache *cache, int64_t since, bool is_tail)
{
    struct feed_kept *page = NULL;
    pthread_mutex_lock(&cache->lock);
    if (is_tail) {
        page = cache->tail && cache->tail->since == since ? cache->tail : NULL;
    } else {
        size_t at = feed_cache_find_closed(cache, since);
        page = at < cache->count ? cache->closed[at] : NULL;
    }
    if (page) {
        page->used = ++cache->uses;
        atomic_fetch_add(&page->refs, 1);
    }
    pthread_mutex_unlock(&cache->lock);
    return page;
}

size_t feed_cache_bytes(struct feed_cache *cache)
{
    pthread_mutex_lock(&cache->lock);
    size_t bytes = cache->bytes;
    pthread_mutex_unlock(&cache->lock);
    return bytes;
}
