/* oauth/request_object.h: what a request object (RFC 9101) asks, once its signature is known to be good. A pure
 * function on JSON. Fuzzed: tests/fuzz/authorize_request.c. */
#ifndef OAUTH_REQUEST_OBJECT_H
#define OAUTH_REQUEST_OBJECT_H

#include "base/json.h"
#include "oauth/authorize_request.h"

/* The members of the object as the form of a request, which authorize_request.h reads: what stands outside of the
 * object, beside it, counts no more (section 6.3). `client_id`: from outside. A number is its text, `claims` its JSON,
 * and `resource` may be a list. The code is invalid_request_object: the object has another client_id, a request or
 * request_uri of its own (section 4), a member of a type that no parameter has, or too many members. Then `out` has the
 * members that were read before, and a redirect URI among them must be found as any other before it is told. */
struct authorize_fault request_object_form(struct arena *arena, const struct json *object, struct str client_id,
                                           struct form *out);

#endif
