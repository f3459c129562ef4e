/* revocation/restorer.h: compares the shared cache's keys with what is known here, on a thread of its own, and restores
 * what the cache has lost; for replication.c. All keys when it is woken, otherwise some each second. */
#ifndef REVOCATION_RESTORER_H
#define REVOCATION_RESTORER_H

#include "base/err.h"

struct revocations;

struct restorer;
/* `name` is this instance's, and must outlive it. No thread, if revocations->by_rounds. Also after an error *out
 * is to be closed. */
MUST_USE struct err restorer_open(struct revocations *revocations, const char *name, struct restorer **out);
/* Once more from the beginning, soon; never waits. */
void restorer_wake(struct restorer *restorer);
/* Compares as much as the thread would in a second, or all, when it was woken. One thread at a time. */
void restorer_round(struct restorer *restorer);
/* Waits for a comparison that has begun, a few seconds at most. NULL allowed. */
void restorer_close(struct restorer *restorer);

#endif
