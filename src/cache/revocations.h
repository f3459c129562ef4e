/* cache/revocations.h: the set of revoked tokens that have not expired: hash -> expiry, all of it in memory. A
 * look-up takes no lock and waits for nothing. 20 bytes an entry before free room, at most 54. */
#ifndef CACHE_REVOCATIONS_H
#define CACHE_REVOCATIONS_H

#include "base/mem.h"

struct revocations;

struct revocations *revocations_new(void);
void revocations_free(struct revocations *set); /* NULL allowed */

/* Adds or extends: the later expiry stays. `expires_at` in seconds since 1970. Keeps the first 16 bytes of the hash. */
void revocations_add(struct revocations *set, const unsigned char hash[32], int64_t expires_at);
/* Whether the hash is there. An entry past its expiry may still be; that does no harm, its token has expired. */
bool revocations_has(struct revocations *set, const unsigned char hash[32]);
/* Drops what expired before `now_s`; returns how many. One shard is locked at a time. */
size_t revocations_purge(struct revocations *set, int64_t now_s);
size_t revocations_count(struct revocations *set);
size_t revocations_bytes(struct revocations *set); /* memory held */

#endif
