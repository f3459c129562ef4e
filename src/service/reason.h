/* service/reason.h: the reason that somebody gives for a revocation. It goes to the store, to Redis, to the log and to
 * others by events; so it must not be a way for a token or a secret to get there. A pure function. */
#ifndef SERVICE_REASON_H
#define SERVICE_REASON_H

#include "base/mem.h"

/* What is kept of it: "revoked" where it is empty, or may hold a token or another secret; else as it is, a view. */
struct str reason_to_keep(struct str given);

#endif
