/* service/housekeeping.h: the one place for periodic work, on a thread of its own: revocations and keys that other
 * processes made, clients that changed, expired rows, and what /health/ready tells. */
#ifndef SERVICE_HOUSEKEEPING_H
#define SERVICE_HOUSEKEEPING_H

#include "base/err.h"

struct service;

struct housekeeping;

/* Reads every revocation that still matters, so that nothing is verified before they are known, then starts the thread.
 * ERR_UNAVAILABLE when the store can't be read. */
MUST_USE struct err housekeeping_open(struct service *service, struct housekeeping **out);
/* Does a round now (SIGHUP). */
void housekeeping_nudge(struct housekeeping *housekeeping);
/* Reads the keys again soon, for a token whose key is not known here: another instance may have made it a moment ago.
 * Never waits. At most one in UNKNOWN_KID_INTERVAL_S: whoever sends tokens of invented keys gets no more work done than
 * the keys being read, as they are once a second anyway. */
enum { UNKNOWN_KID_INTERVAL_S = 10 };
void housekeeping_unknown_kid(struct service *service);
void housekeeping_close(struct housekeeping *housekeeping); /* NULL allowed */

#endif
