/* service/usage.h: use_count and last_used_at of tokens: noted in memory by verify and introspect, written by
 * housekeeping every TOKEN_USAGE_INTERVAL and at the end. Only these may lose their last seconds, or be counted twice
 * when the store fails while they are written. */
#ifndef SERVICE_USAGE_H
#define SERVICE_USAGE_H

#include "cache/verified.h"
#include "service/service.h"

/* The counter of a token's uses; NULL when they are not counted: the token has no row, or uses are not recorded. */
struct use *usage_begin(const struct service *service, const unsigned char hash[32], enum token_kind kind);
/* A good token was asked about. Never waits. */
static inline void usage_note(const struct service *service, const struct verified *entry, int64_t now_s)
{
    if (entry->use)
        uses_note(service->uses, entry->use, now_s);
}
/* Writes what was noted, up to `batches` calls of the store. May wait. True when there is more to do at once. */
bool usage_write(struct service *service, size_t batches);

#endif
