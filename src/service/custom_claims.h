/* service/custom_claims.h: the claims that a caller wants in a token, beside the service's own. Whatever reads the
 * token must find the same in it: no name may be taken for that of a claim that somebody trusts (jose/fold.h). */
#ifndef SERVICE_CUSTOM_CLAIMS_H
#define SERVICE_CUSTOM_CLAIMS_H

#include "base/err.h"

struct call;
struct json;

/* `claims`: an object or NULL. ERR_INVALID_REQUEST with a sentence that names the claim; ERR_INSUFFICIENT_SCOPE for a
 * privileged one of a caller without token:issue:privileged. */
MUST_USE struct err custom_claims_check(struct call *call, const struct json *claims);

#endif
