/* wire/reason.h: the reason phrase of a status code. */
#ifndef WIRE_REASON_H
#define WIRE_REASON_H

#include "base/mem.h"

/* "Not Found" for 404 (RFC 9110 section 15, RFC 6585); "" for a status without one. Static. */
struct str wire_reason(int status);

#endif
