/* service/introspect.h: the RFC 7662 response for a token. */
#ifndef SERVICE_INTROSPECT_H
#define SERVICE_INTROSPECT_H

#include "jose/claims.h"

/* Appends the response for an active token (RFC 7662 section 2.2). It depends only on the claims, so it is written
 * once, when the token is first verified, and kept with it. */
void introspection_write(struct buf *out, const struct claims *claims);

#endif
