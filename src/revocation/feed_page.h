/* revocation/feed_page.h: a page of the revocation feed, as it is asked for and as it is written
 * (docs/revocation-feed.md). Pure functions on bytes. */
#ifndef REVOCATION_FEED_PAGE_H
#define REVOCATION_FEED_PAGE_H

#include "store/store.h"

enum {
    FEED_BLOCK = 4096,     /* positions of a page: (since, since + FEED_BLOCK], since a multiple of it */
    FEED_HASH_BYTES = 16,  /* the first ones of a token's SHA-256 */
    FEED_ENTRY_BYTES = 20, /* those, and its expiry in s since 1970, 4 bytes, most significant first */
    FEED_PAGE_MAX = 1024 * 1024,
};
#define FEED_SINCE_MAX (INT64_C(1) << 53) /* what every JSON reader holds exactly (RFC 8259 section 6) */

/* The header's typ, so that a feed never passes for a token, nor a token for a feed (RFC 8725 section 3.11). */
#define FEED_TYP STR("revocation-feed+jwt")

struct feed_page {
    struct str issuer;
    int64_t iat, exp;                 /* s since 1970 */
    uint64_t epoch;                   /* of the positions (store.h) */
    int64_t since, next, position;    /* docs/revocation-feed.md */
    const struct revocation *entries; /* in the order of their positions */
    size_t count;
};

/* The query of GET /revocations: nothing, or `since=` and a decimal of at most FEED_SINCE_MAX; *since is 0 or that.
 * ERR_INVALID_REQUEST otherwise, for unknown parameters too: each further spelling would be another entry in
 * everybody's caches. Fuzzed: tests/fuzz/feed.c. */
MUST_USE struct err feed_read_query(struct str query, int64_t *since);

/* Where the page begins that holds a position (at least 1). */
static inline int64_t feed_page_of(int64_t position)
{
    return (position - 1) / FEED_BLOCK * FEED_BLOCK;
}

/* Where the page begins that holds what follows a position. */
static inline int64_t feed_page_after(int64_t position)
{
    return position / FEED_BLOCK * FEED_BLOCK;
}

/* Appends the payload: one JSON object. */
void feed_page_write(struct buf *out, const struct feed_page *page);

#endif
