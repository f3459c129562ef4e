/* http/loop.h: an event loop: a thread with listening sockets of its own and the connections that the kernel gave it
 * (SO_REUSEPORT). Loops share only the service and the workers.
 *
 * The way of a request: advance.c receives until exchange.c says that it is complete, then dispatch.c has it answered,
 * here or by a worker and the group commit. The thread that finishes it puts it on the loop's list of answered ones and
 * wakes the loop, which sends the response. */
#ifndef HTTP_LOOP_H
#define HTTP_LOOP_H

#include "http/exchange.h"
#include "http/listen.h"
#include "http/tls.h"
#include "http/workers.h"

struct service;

struct loop_options {
    struct service *service;
    struct workers *workers;
    const atomic_bool *stopping; /* set: accept no more, finish the requests in progress, end */
    struct tls *tls;             /* NULL: plain HTTP */
    const struct networks *trusted_proxies;
    size_t connections_max;
    size_t memory_max; /* bytes of the requests in progress */
};

/* All of it belongs to the loop's thread but the options, `answered`, `waking` and wake_fd. */
struct loop {
    struct loop_options options;
    struct listeners listeners;
    int epoll_fd, wake_fd;               /* wake_fd: an eventfd that is written to and never read: edges are enough */
    bool is_listening;                   /* not while it rests */
    bool has_callers;                    /* at the listening socket: accepted when the turn's events are dealt with */
    int64_t rests_until_ms;              /* it accepts nothing: the system had no room for another connection */
    _Atomic(struct exchange *) answered; /* newest first */
    atomic_int waking;                   /* threads that are just waking it; it may not be freed under them */
    pthread_t thread;
    struct connections connections;
    struct exchange_pool pool;
    int64_t gather_from_ms; /* until then it has answers of its own to give: see loop_gather() in loop.c */
    size_t told_bytes;      /* of requests in progress: as the service was told */
    uint64_t next_id;
    int64_t date_s; /* of `date` */
    char date[HTTP_DATE_ROOM];
};

/* Starts the thread; takes over the sockets, also on failure. All that the options name must outlive the loop. */
MUST_USE struct err loop_start(const struct loop_options *options, const struct listeners *listeners,
                               struct loop **out);
/* Waits for its end (see `stopping`) and frees it. */
void loop_join(struct loop *loop);

/* For advance.c: a connection is over. */
void loop_close_connection(struct loop *loop, struct connection *connection);
/* The events of a connection's registration: edge-triggered, so one registration lasts for its life. */
#define LOOP_CONNECTION_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

#endif
