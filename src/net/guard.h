/* net/guard.h: to which addresses a request may go whose URL a stranger has named (net/fetch.h). Asked for each socket,
 * by the address that it is about to connect to: names mean nothing here, since what they lead to can change between
 * two look-ups. Pure. */
#ifndef NET_GUARD_H
#define NET_GUARD_H

#include "base/address.h"
#include <stdbool.h>

struct guard {
    struct networks allowed; /* although they are for special use */
};

/* Whether an address may be connected to: it is for anybody (base/special_use.h), or allowed. For one of NAT64's, the
 * IPv4 address behind it decides. */
bool guard_allows_address(const struct guard *guard, const struct address *address);

/* The same of a socket's address of `len` bytes; false for what is neither IPv4 nor IPv6. */
bool guard_allows(const struct guard *guard, const struct sockaddr *to, size_t len);

#endif
