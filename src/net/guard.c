/* net/guard.c: from a socket's address to ours. */
#include "net/guard.h"
#include "base/special_use.h"

bool guard_allows_address(const struct guard *guard, const struct address *address)
{
    const struct address behind = address_behind(address);
    return !address_special_use(&behind) || networks_have(&guard->allowed, &behind);
}

bool guard_allows(const struct guard *guard, const struct sockaddr *to, size_t len)
{
    struct address address = { .bytes = { [10] = 0xff, [11] = 0xff } };
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (to->sa_family == AF_INET && len >= sizeof v4) {
        memcpy(&v4, to, sizeof v4);
        memcpy(address.bytes + 12, &v4.sin_addr, 4);
    } else if (to->sa_family == AF_INET6 && len >= sizeof v6) {
        memcpy(&v6, to, sizeof v6);
        memcpy(address.bytes, &v6.sin6_addr, 16);
    } else {
        return false;
    }
    return guard_allows_address(guard, &address);
}
