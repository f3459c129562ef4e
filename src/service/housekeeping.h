/* service/housekeeping.h: the one place for periodic work: revocations and keys that other processes made, clients that
 * changed, expired rows, and what /health/ready tells. On a thread of its own, or, in a process that is frozen between
 * calls, when it is asked for. */
#ifndef SERVICE_HOUSEKEEPING_H
#define SERVICE_HOUSEKEEPING_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

struct service;

struct housekeeping;

/* Reads every revocation that still matters, so that nothing is verified before they are known. ERR_UNAVAILABLE when
 * the store can't be read. */
MUST_USE struct err housekeeping_open(struct service *service, struct housekeeping **out);
/* Starts the thread: a round a second. */
MUST_USE struct err housekeeping_start(struct housekeeping *housekeeping);
/* Does on the caller's thread what is due: a round of what the thread would do, and on until no row is left that is to
 * be deleted or written. After `until_ns` (clock_ns(); INT64_MAX: no limit) nothing more is begun, but what every round
 * begins with: revocations and keys; what has begun is ended (a key pair in KMS takes a second). True: something is
 * still due, or another thread is at a round now; call again. Thread-safe. */
bool housekeeping_round_now(struct housekeeping *housekeeping, int64_t until_ns);
/* For such a process, after it has answered: writes the uses of tokens, if TOKEN_USAGE_INTERVAL is over and no other
 * thread is at a round; nothing is begun after `until_ns`. May wait. Thread-safe. */
void housekeeping_settle(struct housekeeping *housekeeping, int64_t until_ns);
/* Has the thread do a round now (SIGHUP); without one, the next round does what a nudge asks for. */
void housekeeping_nudge(struct housekeeping *housekeeping);
/* Has the keys read again soon, because a token names a key that is not known here: another instance may have just made
 * it. Never waits. At most once per UNKNOWN_KID_INTERVAL_S: tokens with invented keys cause no more work than reading
 * the keys, which happens once a second anyway. */
enum { UNKNOWN_KID_INTERVAL_S = 10 };
void housekeeping_unknown_kid(struct service *service);
/* Writes what was counted until now. NULL allowed. */
void housekeeping_close(struct housekeeping *housekeeping);

#endif
