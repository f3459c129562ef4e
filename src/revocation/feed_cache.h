/* revocation/feed_cache.h: the signed pages of the revocation feed that are kept: the last one, the tail, and as many
 * of those before it, the closed ones, as fit; the one that was asked for longest ago goes first. Thread-safe; nothing
 * here waits. A page is immutable, and lives until its last holder has released it. */
#ifndef REVOCATION_FEED_CACHE_H
#define REVOCATION_FEED_CACHE_H

#include "jose/jws.h"
#include "revocation/feed_page.h"
#include <stdatomic.h>

enum {
    FEED_CACHE_PAGES = 256,
    FEED_CACHE_BYTES = 16 * 1024 * 1024, /* of the closed pages and the tail together */
    FEED_ETAG_LEN = 24,                  /* 16 bytes of a hash in base64url, and the quotes */
};

struct feed_kept {
    atomic_size_t refs;
    uint64_t used; /* when it was asked for last, in requests */
    int64_t since, position, iat, exp;
    bool is_tail;
    atomic_llong claimed_ms;   /* clock_coarse_ms() when somebody went last to have it looked at again */
    char kid[JWS_KID_MAX + 1]; /* of the key that signed it */
    char etag[FEED_ETAG_LEN];  /* quoted; no NUL */
    size_t len;
    char jws[];
};

struct feed_cache;
struct feed_cache *feed_cache_new(void);
void feed_cache_free(struct feed_cache *cache);

/* Keeps a signed page in the place of the one before it. */
void feed_cache_keep(struct feed_cache *cache, const struct feed_page *page, bool is_tail, struct str kid,
                     struct str jws);
/* None is kept any more. */
void feed_cache_clear(struct feed_cache *cache);
/* The tail, or the closed page that begins at `since`, when that is kept; held for the caller. Else NULL. */
struct feed_kept *feed_cache_find(struct feed_cache *cache, int64_t since, bool is_tail);
void feed_kept_release(struct feed_kept *page); /* NULL allowed */
static inline void feed_kept_releasep(struct feed_kept **page)
{
    feed_kept_release(*page);
}
/* Memory of the pages, in bytes. */
size_t feed_cache_bytes(struct feed_cache *cache);

#endif
