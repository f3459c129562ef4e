/* revocation/replication.h: revocations of all instances, by way of the shared cache (REDIS_URL). Two things are kept
 * there: `revoked:<sha256 hex>` -> reason for each revoked token until the token expires, which other agents read too,
 * and the same for rules in keys of their own; and a log of recent revocations, which every instance follows on a
 * thread of its own. */
#ifndef REVOCATION_REPLICATION_H
#define REVOCATION_REPLICATION_H

#include "base/mem.h"

struct record;
struct revocations;
struct verified;

struct replication;
/* Starts to follow, on threads unless revocations->by_rounds; a lease (lease.h) is the result. Also after an error *out
 * is to be closed. */
MUST_USE struct err replication_open(struct revocations *revocations, struct replication **out);
void replication_close(struct replication *replication); /* NULL allowed */
/* Reads all that is there now, and compares some of what Redis has: what the threads do. One thread at a time. */
void replication_round(struct replication *replication);
/* The same without the comparison, for a process that is about to answer. ERR_UNAVAILABLE. */
MUST_USE struct err replication_catch_up(struct replication *replication);
/* The clock stood still: the last write that Redis took may be older than it says. By rounds only, like those two. */
void replication_doubt(struct replication *replication);
/* Waits for the thread: until all revocations are known, or it is clear that Redis can't be reached now. */
void replication_wait(struct replication *replication);

/* announce.c: a revocation, before its record is handed to the group commit: in the shared cache, when it returns OK.
 * May wait. *announced is for revocations_confirm(), which is there too. Nothing to do, and OK, without a shared cache.
 */
MUST_USE struct err replication_announce(struct revocations *revocations, const struct record *record,
                                         uint64_t *announced);

/* announce.c: asks the shared cache itself, in a process that does not follow it (a command, not a server). May wait.
 * ERR_TOKEN_REVOKED. Nothing to do, and OK, without a shared cache. */
MUST_USE struct err replication_ask(struct revocations *revocations, struct verified *entry);

/* What the parts share. The log's name. What grows with each event after which Redis may lack something; never 0, which
 * says that nothing was announced. Puts back what Redis lacks of the store, and tells the others, by the
 * name of this instance; may wait. */
extern const struct str replication_log;
uint64_t replication_epoch(const struct revocations *revocations);
MUST_USE struct err replication_restore(struct revocations *revocations, const char *name);

#endif
