/* http/listen.h: the listening sockets. */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include "base/mem.h"

enum { LISTEN_ADDRESSES_MAX = 8 };

/* What one loop listens on: a socket for each address. */
struct listeners {
    int fds[LISTEN_ADDRESSES_MAX];
    size_t count;
};

/* Opens sockets on all addresses that "host:port", "[v6]:port" or ":port" names, for each of `loops` loops, so that the
 * kernel spreads connections over them. ":port" is every address: [::], or 0.0.0.0 where the kernel has no IPv6. Each
 * address is first tried without sharing: ERR_INVALID_REQUEST says when another program listens there, or why else it
 * is not available. *port gets the port (for port 0 the one that the kernel chose). The caller closes the sockets. */
MUST_USE struct err listen_open(const char *address, size_t loops, struct listeners *all, int *port);
void listen_close(struct listeners *listeners);

#endif
