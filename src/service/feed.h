/* service/feed.h: the revocation feed, GET /revocations: signed pages of what was revoked, for services that verify
 * tokens by themselves (docs/revocation-feed.md). A loop answers from the pages kept here; a worker reads the store and
 * signs when a page is not there or has to be looked at again, one worker at a time. */
#ifndef SERVICE_FEED_H
#define SERVICE_FEED_H

#include "service/service.h"

/* NULL, with a line in the log, when the settings want none, or when it could not be whole: with a shared cache and a
 * store of each instance's own, no store knows everything. The service must outlive it. */
struct feed *feed_new(struct service *service);
void feed_free(struct feed *feed); /* NULL allowed */

/* Memory of the pages kept, in bytes; 0 for NULL. */
size_t feed_bytes(struct feed *feed);

#endif
