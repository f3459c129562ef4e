/* revocation/store_follower.h: revocations of all instances, read from the store that they share, when there is no
 * shared cache. */
#ifndef REVOCATION_STORE_FOLLOWER_H
#define REVOCATION_STORE_FOLLOWER_H

#include "base/err.h"

struct revocations;

struct store_follower;
/* Starts to follow, on a thread of its own unless revocations->by_rounds. revocations->known_until_ms is the result
 * (lease.h). Also after an error *out is to be closed. */
MUST_USE struct err store_follower_open(struct revocations *revocations, struct store_follower **out);
/* Reads on, once, and renews the lease: what the thread does. One thread at a time. What matters of a failure is
 * logged. */
struct err store_follower_round(struct store_follower *follower);
/* Waits for a reading that has begun. NULL allowed. */
void store_follower_close(struct store_follower *follower);

#endif
