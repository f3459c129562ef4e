/* cache/redis_scan.h: all keys of one Redis server, and how long they live or what they hold. */
#ifndef CACHE_REDIS_SCAN_H
#define CACHE_REDIS_SCAN_H

#include "cache/cache.h"
#include "cache/redis.h"

/* Shows every key of the i-th server (redis_masters) that matches to the visitor of its prefix. Blocking, never on an
 * event loop. */
MUST_USE struct err redis_scan(struct redis *redis, size_t master, struct str pattern,
                               const struct cache_visitor *visitors, size_t count);

#endif
