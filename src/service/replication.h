/* service/replication.h: revocations of all instances, by way of the shared cache (REDIS_URL). Two things lie there:
 * `revoked:<sha256 hex>` -> reason for each revoked token as long as it matters, which other agents read too, with
 * the same of rules in keys of their own; and a log of what was revoked lately, which every instance follows on a
 * thread of its own. */
#ifndef SERVICE_REPLICATION_H
#define SERVICE_REPLICATION_H

#include "service/service.h"

struct replication;
/* Starts to follow. service->revocations_known_until_ms is the result: until then, on clock_coarse_ms(), this instance
 * knows all that was acknowledged anywhere, as far as TOKEN_REVOCATION_POLICY asks. */
MUST_USE struct err replication_open(struct service *service, struct replication **out);
void replication_close(struct replication *replication); /* NULL allowed */
/* Until all revocations are known, or it is clear that Redis can't be reached now. */
void replication_wait(struct replication *replication);

/* announce.c: a revocation, before its record is handed to the group commit: in the shared cache, when it returns OK.
 * May wait. *announced goes into the response. Nothing to do, and OK, without a shared cache. */
MUST_USE struct err replication_announce(struct service *service, const struct record *record, uint64_t *announced);

/* announce.c: asks the shared cache itself, where nobody follows it (a command, not a server). May wait.
 * ERR_TOKEN_REVOKED. Nothing to do, and OK, without a shared cache. */
MUST_USE struct err replication_ask(struct service *service, struct verified *entry);

/* What the parts share. The log's name. What grows with each event after which Redis may lack something; never 0, which
 * in a response says that nothing was announced. Puts back what Redis lacks of the store, and tells the others, by the
 * name of this instance; may wait. */
extern const struct str replication_log;
uint64_t replication_epoch(const struct service *service);
MUST_USE struct err replication_restore(struct service *service, const char *name);

#endif
