/* service/eviction.h: whether the shared cache may drop what is to be kept. For those who have one. */
#ifndef SERVICE_EVICTION_H
#define SERVICE_EVICTION_H

#include "service/service.h"

/* A sentence for people; static. */
extern const char eviction_why[];
/* Asks the cache, and says in the log and in service->cache_evicts when that has changed; what can't be learnt now
 * stays as it was. May wait. */
void eviction_look(struct service *service);
/* For `doctor`: ERR_UNAVAILABLE with eviction_why, or why it can't be known. May wait. */
MUST_USE struct err eviction_check(struct service *service);

#endif
