/* redis/permissions.h: whether the user of REDIS_URL may run all commands that serving needs. Otherwise a missing
 * permission would show only in the first emergency that needs it. */
#ifndef REDIS_PERMISSIONS_H
#define REDIS_PERMISSIONS_H

#include "redis/redis.h"

/* Runs every command that is used, on keys that say nothing to anybody and end by themselves within seconds. The
 * sentence names what may not be run. */
MUST_USE struct err redis_check_permissions(struct redis *redis);

#endif
