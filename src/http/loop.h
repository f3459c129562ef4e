/* http/loop.h: an event loop: a thread with a listening socket of its own and the connections that the kernel gave it
 * (SO_REUSEPORT). Nothing is shared between loops but the service and the workers. */
#ifndef HTTP_LOOP_H
#define HTTP_LOOP_H

#include "http/tls.h"
#include "http/workers.h"
#include "service/service.h"

struct loop;

struct loop_options {
    struct service *service;
    struct workers *workers;
    const atomic_bool *stopping; /* set: accept no more, answer what is in flight, end */
    struct tls *tls;             /* NULL: plain HTTP */
    size_t connections_max;
};

/* Starts the thread; takes over the socket, also on failure. All that the options name must outlive the loop. */
MUST_USE struct err loop_start(const struct loop_options *options, int listen_fd, struct loop **out);
/* Waits for its end (see `stopping`) and frees it. */
void loop_join(struct loop *loop);

#endif
