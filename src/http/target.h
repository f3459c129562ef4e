/* http/target.h: what a request asks for (RFC 9112 section 3.2), read by RFC 3986: the one reader of a target, so that
 * no two places can see two paths in it. A pure function on bytes. Fuzzed: tests/fuzz/target.c. */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include "base/mem.h"

/* Views into the target. */
struct target {
    struct str path;      /* as sent, percent codes and all: it begins with '/', or is "*" (of OPTIONS alone) */
    struct str query;     /* what follows the first '?'; at == NULL: there is none */
    struct str authority; /* of the absolute form, host[:port]; at == NULL: the target has none */
};

/* Reads origin-form, absolute-form (http and https alone, with a host and no user) or "*". False for what is none of
 * them, or no path of this service: the authority-form of CONNECT, another scheme, a character or a percent code that a
 * path can't have, a fragment. A query may hold any visible character but '#': browsers send some unencoded that RFC
 * 3986 has not (WHATWG URL, "query state"), and nothing is routed by it. */
bool target_read(struct str method, struct str text, struct target *out);

/* host[:port] (RFC 3986 section 3.2.2), not empty: what Host and the absolute form name. No user, no zone. */
bool target_is_authority(struct str text);

#endif
