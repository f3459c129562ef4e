/* service/failures.h: failed authentications, so that guessing secrets is slow, and costs the store little (RFC 6749
 * section 2.3.1 asks for it). An address may fail `limit` times at once and then `limit` times a minute, and so may a
 * name, from all addresses together; while one of them is over its limit, nothing is looked up for it. One table counts
 * clients by their ids, another one users by their usernames (oauth/password_login.h). A third one counts what anybody
 * may have kept here, by address alone (oauth/authorize.c).
 *
 * Only clients that memory does not know need a lookup, so no number of failures keeps out a client that memory knows:
 * neither others at its address nor others that use its id can lock it out. A user who logs in has nothing but the
 * password, so others who keep failing with that username do make the user wait.
 *
 * A name without recent failures is still looked up from an address that is over its limit, until `limit` more of those
 * lookups have failed: behind a proxy, a client may call for the first time while another one guesses. None of this
 * depends on whether the client or user exists, so it reveals nothing about that.
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
int64_t failures_wait_s(struct failures *failures, struct str address, struct str name, int64_t now_ms);
/* It was looked up, and its secret was wrong. */
void failures_count(struct failures *failures, struct str address, struct str name, int64_t now_ms);

/* Both in one step, for a secret that takes long to check: unless there is a wait, which is returned, the failure is
 * counted before the secret is looked at, so that no number of tries at once goes beyond the limit. *is_over is for
 * failures_take_back(). */
int64_t failures_begin(struct failures *failures, struct str address, struct str name, int64_t now_ms, bool *is_over);
/* The secret was right, or could not be checked: what failures_begin() counted is no failure. */
void failures_take_back(struct failures *failures, struct str address, struct str name, int64_t now_ms, bool is_over);

/* The same for what is no failure and has no name: the address alone counts. Seconds until it may go on; 0: it may, and
 * is counted. */
int64_t failures_admit(struct failures *failures, struct str address, int64_t now_ms);

#endif
