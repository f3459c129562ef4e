/* aws/retry.h: whether and when a call of AWS is tried again. Pure functions. */
#ifndef AWS_RETRY_H
#define AWS_RETRY_H

#include "base/mem.h"

enum { RETRY_FIRST_MS = 25, RETRY_MAX_MS = 1000 };

/* Full jitter: any time from 0 to RETRY_FIRST_MS, doubled with each try, up to RETRY_MAX_MS; so that callers that
 * failed together don't come back together. `tries` that were made already, 1 and more; `random`: 64 random bits. */
int64_t retry_delay_ms(unsigned tries, uint64_t random);

/* Whether that error code of an AWS service says "too fast": the codes of AWS's SDKs. */
MUST_USE bool retry_is_throttling(struct str code);

#endif
