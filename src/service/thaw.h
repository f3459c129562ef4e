/* service/thaw.h: what a process does that is frozen between calls, as a function of AWS Lambda is: nothing goes on by
 * itself there, and hours may lie between two calls. Before it answers it hears what others have revoked, and which
 * keys are in force. What can wait is done by housekeeping_settle() and housekeeping_round_now(). */
#ifndef SERVICE_THAW_H
#define SERVICE_THAW_H

#include "base/mem.h"

struct service;

struct thaw;
/* The service must outlive it, and follow revocations by rounds. */
struct thaw *thaw_new(struct service *service);
void thaw_free(struct thaw *thaw); /* NULL allowed */

/* When a call has come, before anything of it has a time limit: whether the clock stood still meanwhile. Then the pause
 * is added to it (base/clock.h), so that every lease, age, interval and waiting time has it too. Thread-safe. */
void thaw_look_at_clock(struct thaw *thaw);
/* Before a call is answered. Revocations, unless the call has nothing to do with tokens: under `strict` one reading
 * that began after this was called, by whichever thread; under `bounded` one when half of TOKEN_REVOCATION_STALENESS is
 * over. Keys: when they were read more than a second ago. When the clock stood still meanwhile, all of it, and clients
 * too. May wait; what can't be read now is known by its lease or its age, as always. Thread-safe. */
void thaw_catch_up(struct thaw *thaw, bool needs_revocations);

/* --- for tests ---------------------------------------------------------------------------------------------------- */

/* By how many ms the clock stood still while the time of day went on, between two looks; 0: it did not. A time of day
 * that was set back is none: that is a step (base/wall_clock.h). */
enum { THAW_STOP_MS = 1000 };
static inline int64_t thaw_stopped_ms(int64_t wall_passed_ms, int64_t clock_passed_ms)
{
    const int64_t ms = wall_passed_ms - clock_passed_ms;
    return ms >= THAW_STOP_MS ? ms : 0;
}

#endif
