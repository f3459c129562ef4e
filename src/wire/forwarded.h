/* wire/forwarded.h: who called a proxy, by what it says: Forwarded (RFC 7239) or X-Forwarded-For and X-Forwarded-Proto.
 * Each proxy adds at the right what it saw; entries further left came with the request, and anybody can have written
 * them. So the caller is the right-most address that is not of a trusted proxy. Pure functions on texts. Fuzzed:
 * tests/fuzz/forwarded.c. */
#ifndef WIRE_FORWARDED_H
#define WIRE_FORWARDED_H

#include "base/address.h"

/* Values, several lines joined; at == NULL when there is none. */
struct forwarded_fields {
    struct str forwarded, x_forwarded_for, x_forwarded_proto;
};

struct forwarded {
    bool is_known;         /* false when the caller is unknown: no address, a name, nonsense, or two that differ */
    struct address client; /* when it is known */
    bool is_https;         /* how the caller spoke to the first trusted proxy */
};

/* One entry of these: an address, perhaps with a port: 192.0.2.1:80, [2001:db8::1]:80, and, as X-Forwarded-For has it,
 * 2001:db8::1. A port may be any text (RFC 7239 section 6): it is not used. */
bool forwarded_read_node(struct str node, struct address *out);

/* To be called only when the sender is trusted. When every address is that of a trusted proxy, the caller is the
 * left-most. Where there are both Forwarded and X-Forwarded-For, both must name the same caller: a proxy that adds to
 * one of them may have passed on the other as it came. */
struct forwarded forwarded_read(const struct forwarded_fields *fields, const struct networks *trusted);

#endif
