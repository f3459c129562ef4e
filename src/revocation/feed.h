/* revocation/feed.h: the revocation feed, GET /revocations: signed pages of what was revoked, for services that verify
 * tokens by themselves (docs/revocation-feed.md). A caller that may not wait gets one of the pages kept here. A caller
 * that may wait reads the store and signs when the page is missing or has to be checked again, one thread at a time. */
#ifndef REVOCATION_FEED_H
#define REVOCATION_FEED_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct feed;
struct feed_kept;
struct revocations;

/* NULL, with a line in the log, when the settings want none, or when it could not be whole: with a shared cache and a
 * store of each instance's own, no store knows everything. Revocations must outlive it. */
struct feed *feed_new(struct revocations *revocations);
void feed_free(struct feed *feed); /* NULL allowed */

/* The page for `since` (feed_page.h), held for the caller (feed_cache.h). ERR_NEEDS_WORKER: it has to be
 * looked at again, or made, so ask again with `may_wait`. ERR_UNAVAILABLE: too much is asked for, or store or signer
 * fail and no page is left that a reader can believe. */
MUST_USE struct err feed_find(struct feed *feed, int64_t since, int64_t now_s, bool may_wait, struct feed_kept **out);

/* Memory of the pages kept, in bytes; 0 for NULL. */
size_t feed_bytes(struct feed *feed);

#endif
