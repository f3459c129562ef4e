/* http/forwarded.h: who called a proxy, by what it says: Forwarded (RFC 7239) or X-Forwarded-For and X-Forwarded-Proto.
 * Each proxy adds to the right what it saw; what stands further left came with the request, from anybody. So the caller
 * is the right-most address that is not of a trusted proxy. Pure functions on texts. Fuzzed: tests/fuzz/forwarded.c. */
#ifndef HTTP_FORWARDED_H
#define HTTP_FORWARDED_H

#include "base/address.h"

/* Values, of several lines put together; at == NULL: there is none. */
struct forwarded_fields {
    struct str forwarded, x_forwarded_for, x_forwarded_proto;
};

struct forwarded {
    bool is_known;         /* else nobody can tell who called: no address, a name, nonsense, or two that differ */
    struct address client; /* when it is known */
    bool is_https;         /* how the caller spoke to the first trusted proxy */
};

/* To be asked only when who sent them is trusted. When every address is of a trusted proxy, it is the left-most. Where
 * there are both Forwarded and X-Forwarded-For, both must name the same caller: a proxy that adds to one of them may
 * have passed on the other as it came. */
struct forwarded forwarded_read(const struct forwarded_fields *fields, const struct networks *trusted);

#endif
