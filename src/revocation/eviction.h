/* revocation/eviction.h: whether the shared cache may drop keys that must be kept. Only with a shared cache. */
#ifndef REVOCATION_EVICTION_H
#define REVOCATION_EVICTION_H

#include "cache/cache.h"

struct revocations;

/* A sentence for people; static. */
extern const char eviction_why[];
/* Asks the cache, and says in the log and in revocations->cache_evicts when that has changed; what can't be learnt now
 * stays as it was. May wait. */
void eviction_look(struct revocations *revocations);
/* For `doctor`: ERR_UNAVAILABLE with eviction_why, or why it can't be known. May wait. */
MUST_USE struct err eviction_check(struct cache *cache);

#endif
