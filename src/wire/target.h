/* wire/target.h: what a request asks for (RFC 9112 section 3.2), read by RFC 3986: the one reader of a target, so that
 * no two places can see two paths in it. A pure function on bytes. Fuzzed: tests/fuzz/target.c. */
#ifndef WIRE_TARGET_H
#define WIRE_TARGET_H

#include "base/mem.h"

/* Views into the target. */
struct target {
    struct str path;      /* as sent, with its percent-encodings: begins with '/', or is "*" (only with OPTIONS) */
    struct str query;     /* what follows the first '?'; at == NULL: there is none */
    struct str authority; /* of the absolute form, host[:port]; at == NULL: the target has none */
};

/* Reads origin-form, absolute-form (only http and https, with a host and no user) or "*". False for everything else:
 * the authority-form of CONNECT, another scheme, a character or a percent-encoding that a path can't have, a fragment.
 * A query may hold any visible character but '#': browsers send some characters unencoded that RFC 3986 does not allow
 * (WHATWG URL, "query state"), and nothing is routed by the query. */
bool target_read(struct str method, struct str text, struct target *out);

/* host[:port] (RFC 3986 section 3.2.2), not empty: what Host and the absolute form name. No user, no zone. */
bool target_is_authority(struct str text);

#endif
