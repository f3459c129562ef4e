/* base/address.h: IP addresses and networks of them. Pure functions on texts. */
#ifndef BASE_ADDRESS_H
#define BASE_ADDRESS_H

#include "base/mem.h"
#include <netinet/in.h>

struct address {
    unsigned char bytes[16]; /* IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2) */
};

/* Without a port, a zone or brackets. */
bool address_read(struct str text, struct address *out);
/* As people write it; IPv4, mapped into IPv6 or not, as IPv4. Returns `to`. */
const char *address_write(const struct address *address, char to[INET6_ADDRSTRLEN]);
bool address_is_loopback(const struct address *address); /* 127.0.0.0/8, ::1 */

enum { NETWORKS_MAX = 64 };
struct networks {
    size_t count;
    struct network {
        struct address base;
        unsigned bits; /* of the 128 */
    } of[NETWORKS_MAX];
};

/* Networks separated by commas: 10.0.0.0/8, 2001:db8::/32; a single address is a network of one. Returns NULL, or what
 * is wrong with the list (static). An empty list has no networks. */
const char *networks_read(struct str list, struct networks *out);
/* An IPv4 address is in no IPv6 network: ::/0 is only all of IPv6. */
bool networks_have(const struct networks *networks, const struct address *address);

#endif
