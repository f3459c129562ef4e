/* revocation/lease.h: for how long this instance may call a token valid without news of other instances' revocations.
 * What follows those (replication.c, store_follower.c) renews it. */
#ifndef REVOCATION_LEASE_H
#define REVOCATION_LEASE_H

#include "base/clock.h"
#include "revocation/inside.h"

/* The length of one lease, in ms: TOKEN_REVOCATION_STALENESS under `bounded`; under `strict` as long as one call to the
 * source of revocations may take, TOKEN_REDIS_TIMEOUT or TOKEN_STORE_TIMEOUT. */
int64_t lease_ms(const struct revocations *revocations);
/* From now on a lease is needed, and there is none yet. */
void lease_begin(struct revocations *revocations);
/* Everything that was acknowledged before `at_ms`, on clock_ms(), is known here: when the reading began, not when it
 * ended. */
void lease_renew(struct revocations *revocations, int64_t at_ms);
/* How long ago that was, in seconds. */
double lease_staleness_s(const struct revocations *revocations);
/* What the log says when it is known again what others revoke, and when it no longer is. */
void lease_log_current(const struct revocations *revocations);
void lease_log_unknown(const struct revocations *revocations, const char *why);

/* For event loops, too: an atomic load. False: there is no other instance, or this is a command, which asks. */
static inline bool lease_is_needed(const struct revocations *revocations)
{
    return atomic_load_explicit(&revocations->known_until_ms, memory_order_acquire) != INT64_MAX;
}
/* Always, where none is needed. */
static inline bool lease_holds(const struct revocations *revocations)
{
    return clock_coarse_ms() <= atomic_load_explicit(&revocations->known_until_ms, memory_order_acquire);
}

#endif
