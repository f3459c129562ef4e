/* service/knowledge.h: for how long this instance may say that a token is good, without having heard more of what
 * others revoke: a lease, that whoever follows them (replication.c, store_follower.c) renews. */
#ifndef SERVICE_KNOWLEDGE_H
#define SERVICE_KNOWLEDGE_H

#include "service/service.h"

/* How long one lease is, in ms: TOKEN_REVOCATION_STALENESS under `bounded`; under `strict` as long as one call of what
 * it is heard by may take, TOKEN_REDIS_TIMEOUT or TOKEN_STORE_TIMEOUT. */
int64_t knowledge_lease_ms(const struct service *service);
/* Everything that was acknowledged before `at_ms`, on clock_ms(), is known here: when the reading began, not when it
 * ended. */
void knowledge_renew(struct service *service, int64_t at_ms);
/* How long ago that was, in seconds. */
double knowledge_staleness_s(const struct service *service);

#endif
