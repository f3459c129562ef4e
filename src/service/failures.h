/* service/failures.h: failed authentications, so that guessing secrets is slow, and costs the store little (RFC 6749
 * section 2.3.1 asks for it). An address may fail `limit` times at once and then `limit` times a minute, and so may a
 * client's id, from wherever it is named; while one of them is over, nobody is looked up for it. Only who can't be let
 * in from memory needs that, so no number of failures keeps out a client that memory knows: neither who shares its
 * address nor who names its id can lock it out.
 *
 * A client that nobody has named in vain lately is looked up from an address that is over its limit all the same, as
 * long as `limit` more of those failed: behind a proxy a client may call for the first time while another guesses.
 * Whether there is such a client makes no difference to any of this, so none can be found out by it.
 *
 * IPv6 addresses count by their /64. All of it lies in a table of fixed size. Times are of clock_coarse_ms(): no step
 * of the wall clock makes anybody wait, or forgives anything. */
#ifndef SERVICE_FAILURES_H
#define SERVICE_FAILURES_H

#include "base/mem.h"

struct failures;

/* `limit` failures a minute; 0: never limits. */
struct failures *failures_new(int64_t limit);
void failures_free(struct failures *failures); /* NULL allowed */

/* Seconds until a client of this id, whom memory doesn't let in, may be looked up for this address; 0: now. */
int64_t failures_wait_s(struct failures *failures, struct str address, struct str client_id, int64_t now_ms);
/* It was looked up, and its secret was wrong. */
void failures_count(struct failures *failures, struct str address, struct str client_id, int64_t now_ms);

#endif
