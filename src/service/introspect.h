/* service/introspect.h: the RFC 7662 answer of a token. */
#ifndef SERVICE_INTROSPECT_H
#define SERVICE_INTROSPECT_H

#include "jose/claims.h"

/* Appends the answer of an active token (RFC 7662 section 2.2): what it says depends on the claims alone, so it is
 * written once, when the token is first verified, and kept with it. */
void introspection_write(struct buf *out, const struct claims *claims);

#endif
