/* service/custom_claims.h: the claims that a caller wants in a token, beside the service's own. Whatever reads the
 * token must find the same in it: no name may be taken for that of a claim that somebody trusts (jose/fold.h). */
#ifndef SERVICE_CUSTOM_CLAIMS_H
#define SERVICE_CUSTOM_CLAIMS_H

#include "base/err.h"

struct arena;
struct caller;
struct json;
struct settings;

/* `claims`: an object or NULL. ERR_INVALID_REQUEST with a sentence that names the claim; ERR_INSUFFICIENT_SCOPE for a
 * privileged one of a caller without token:issue:privileged. `caller` NULL: a grant gives them, privileged ones too. */
MUST_USE struct err custom_claims_check(const struct settings *settings, struct arena *arena,
                                        const struct caller *caller, const struct json *claims);

#endif
