/* http/listen.h: the listening sockets. */
#ifndef HTTP_LISTEN_H
#define HTTP_LISTEN_H

#include "base/mem.h"

/* Opens `count` sockets on one address ("host:port", "[v6]:port", ":port"), so that the kernel spreads connections over
 * the loops. The address is first tried alone: if any other program listens there, ERR_INVALID_REQUEST says so. *port
 * gets the port (for port 0 the one that the kernel chose). The caller closes the sockets. */
MUST_USE struct err listen_open(const char *address, size_t count, int *sockets, int *port);

#endif
