/* service/store_follower.h: revocations of all instances, by way of the store that they share, where there is no shared
 * cache to hear of them from. */
#ifndef SERVICE_STORE_FOLLOWER_H
#define SERVICE_STORE_FOLLOWER_H

#include "service/service.h"

struct store_follower;
/* Starts to follow, on a thread of its own. service->revocations_known_until_ms is the result (knowledge.h). */
MUST_USE struct err store_follower_open(struct service *service, struct store_follower **out);
/* Waits for a reading that has begun. NULL allowed. */
void store_follower_close(struct store_follower *follower);

#endif
