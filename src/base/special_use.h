/* base/special_use.h: addresses that are for special use: of this machine, of a private or local network, of
 * documentation, of tunnels. A stranger who names one wants us to reach what the stranger can't. From the registries of
 * IANA (RFC 6890, RFC 8190) for IPv4 and IPv6; what lies outside of IPv6's global unicast space (2000::/3) is for
 * special use too. Pure. */
#ifndef BASE_SPECIAL_USE_H
#define BASE_SPECIAL_USE_H

#include "base/address.h"

/* The address that is reached by way of `address`: the IPv4 address in one of NAT64's well-known prefix 64:ff9b::/96
 * (RFC 6052 section 2.1), else the same. (One that is mapped into IPv6 is IPv4 already: base/address.h.) */
struct address address_behind(const struct address *address);

/* What an address is reserved for, or NULL when it is for anybody; static. Of the address behind it. */
const char *address_special_use(const struct address *address);

#endif
