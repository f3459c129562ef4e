/* oauth/signed_request.h: an authorization request as a JWT that the client has signed, sent by value (RFC 9101, OpenID
 * Connect Core section 6.1). */
#ifndef OAUTH_SIGNED_REQUEST_H
#define OAUTH_SIGNED_REQUEST_H

#include "oauth/authorize_request.h"
#include "store/store.h"

struct call;
struct client_metadata;

enum { SIGNED_REQUEST_MAX = 8 * 1024 };

/* If the form has a `request`, its members take the place of all that the form has (RFC 9101 section 6.3); strings,
 * integers and objects become the parameters that they would be in a query. A fault leaves the form without `request`,
 * and otherwise as it was: request_not_supported of a client without keys, and of one that is not signed;
 * invalid_request_object. May fetch the client's keys. */
struct authorize_fault signed_request_take(struct call *call, const struct client *client,
                                           const struct client_metadata *registered, struct form *form);

#endif
