/* http/server.h: the daemon's front: HTTP/1.1 on one event loop a core, requests to service_answer() and back. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "base/err.h"

struct service;

struct server;

/* Binds settings->listen, starts the loops and the workers. ERR_INVALID_REQUEST with a sentence when the address can't
 * be had or a TLS file can't be read. *port gets the port that was bound (it matters for port 0). */
MUST_USE struct err server_open(struct service *service, struct server **out, int *port);

/* Reads the TLS files again, for the connections to come; the log says when they can't be used. */
void server_reload(struct server *server);
/* Says in the log, at most once a day, when the TLS certificate has expired or will soon, and has keys of TLS tickets
 * made and wiped that are due. To be called now and then. */
void server_look(struct server *server);

/* Stops accepting, finishes the requests in progress (at most settings->drain_timeout_s), then ends loops and workers.
 * NULL allowed. */
void server_close(struct server *server);

#endif
