/* service/failures.h: failed authentications, so that guessing secrets is slow, and costs the store little (RFC 6749
 * section 2.3.1 asks for it). An address may fail `limit` times at once and then `limit` times a minute, and so may a
 * client's id, from all addresses together; while one of them is over its limit, nothing is looked up for it. Only
 * callers that memory does not know need a lookup, so no number of failures keeps out a client that memory knows:
 * neither others at its address nor others that use its id can lock it out.
 *
 * A client id without recent failures is still looked up from an address that is over its limit, until `limit` more of
 * those lookups have failed: behind a proxy, a client may call for the first time while another one guesses. None of
 * this depends on whether the client exists, so it reveals nothing about that.
 *
 * IPv6 addresses count by their /64. Everything is in a table of fixed size. Times are of clock_coarse_ms(): a step of
 * the wall clock neither makes a caller wait nor forgives a failure. */
#ifndef SERVICE_FAILURES_H
#define SERVICE_FAILURES_H

#include "base/mem.h"

struct failures;

/* `limit` failures a minute; 0: never limits. */
struct failures *failures_new(int64_t limit);
void failures_free(struct failures *failures); /* NULL allowed */

/* Seconds until a client with this id, which memory does not know, may be looked up for this address; 0: now. */
int64_t failures_wait_s(struct failures *failures, struct str address, struct str client_id, int64_t now_ms);
/* It was looked up, and its secret was wrong. */
void failures_count(struct failures *failures, struct str address, struct str client_id, int64_t now_ms);

#endif
