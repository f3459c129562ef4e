/* oauth/claims_request.h: the parameter `claims`: single claims that a client asks for (OpenID Connect Core section
 * 5.5). Pure functions on JSON. Fuzzed: tests/fuzz/authorize_request.c. */
#ifndef OAUTH_CLAIMS_REQUEST_H
#define OAUTH_CLAIMS_REQUEST_H

#include "base/json.h"

enum { CLAIMS_REQUEST_MAX = 4096, CLAIMS_REQUEST_CLAIMS_MAX = 64, CLAIMS_REQUEST_VALUES_MAX = 16 };

/* Reads and checks it. ERR_INVALID_REQUEST with a sentence: no JSON object, or too long; `userinfo` or `id_token` is no
 * object of claims, or has too many; a claim is neither null nor an object, its `essential` no boolean, its `values` no
 * list, or too long. Members of other names mean nothing, and are let be (section 5.5). */
MUST_USE struct err claims_request_read(struct arena *arena, struct str text, const struct json **out);

/* The same of what is parsed already. */
MUST_USE struct err claims_request_check(const struct json *claims);

/* What is asked of one claim. A value has any JSON type; NULL: any value will do. */
struct claim_request {
    bool is_essential;
    const struct json *value;
    const struct json *values; /* a list */
};

/* Whether a claim is asked for in a part ("userinfo" or "id_token"). `claims`: as claims_request_read() gave it, or
 * NULL. */
bool claims_request_find(const struct json *claims, struct str part, struct str name, struct claim_request *out);

/* A standard claim is part of a scope (section 5.4), and asking for it by name is asking for some of that scope: so who
 * may not have the scope may not have the claim either, and a user who is asked for the claim is asked for the scope.
 */

/* What is asked for of `claims`, without the standard claims whose scope is not in `scope`; NULL: of NULL. */
const struct json *claims_request_within(struct arena *arena, const struct json *claims, struct str scope);

/* `scope`, and the scopes of the standard claims that `claims` (NULL allowed) asks for beside it. */
struct str claims_request_scopes(struct arena *arena, const struct json *claims, struct str scope);

/* Whether a claim that is a string has a value that was asked for: `value`, one of `values`, or any when there is
 * neither. */
bool claim_request_takes(const struct claim_request *asked, struct str value);

#endif
