/* http/advance.h: one connection, as far as it goes without waiting. */
#ifndef HTTP_ADVANCE_H
#define HTTP_ADVANCE_H

#include "http/loop.h"

/* Receives, processes and sends until nothing more can be done before the next event. False when the connection is
 * closed. */
bool advance(struct loop *loop, struct connection *connection);
/* Tells a new connection that there are too many, and ends it. False when it is closed. */
bool advance_refuse(struct loop *loop, struct connection *connection);

#endif
