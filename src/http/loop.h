/* http/loop.h: an event loop: a thread with listening sockets of its own and the connections that the kernel gave it
 * (SO_REUSEPORT). Loops share only the service, the workers and the jobs that wait for their turn.
 *
 * The way of a request: advance.c receives until exchange.c says that it is complete, then dispatch.c has it answered,
 * here at once, by any loop when its turn has come, or by a worker, and by the group commit. The thread that finishes
 * it puts it on the loop's list of answered ones and wakes the loop if it sleeps, which sends the response. */
#ifndef HTTP_LOOP_H
#define HTTP_LOOP_H

#include "http/exchange.h"
#include "http/listen.h"
#include "http/tls.h"
#include "http/turns.h"
#include "http/workers.h"

struct loop;
struct service;

struct loop_options {
    struct service *service;
    struct turns *turns;
    struct workers *workers;
    struct loop *const *loops; /* all that there are, this one too */
    size_t loop_count;
    const atomic_bool *stopping; /* set: accept no more, finish the requests in progress, end */
    struct tls *tls;             /* NULL: plain HTTP */
    const struct networks *trusted_proxies;
    size_t connections_max;
    size_t memory_max; /* bytes of the requests in progress */
};

/* All of it belongs to the loop's thread but the options and what is atomic. */
struct loop {
    struct loop_options options;
    struct listeners listeners;
    int epoll_fd, wake_fd;                 /* wake_fd: an eventfd that is written to and never read: edges are enough */
    bool is_listening;                     /* not while it rests */
    bool has_callers;                      /* at the listening socket: accepted when the turn's events are dealt with */
    int64_t rests_until_ms;                /* it accepts nothing: the system had no room for another connection */
    _Atomic(struct exchange *) answered;   /* newest first */
    _Atomic(struct newcomer *) newcomers;  /* connections that other loops have accepted for it */
    atomic_size_t taken;                   /* connections, with these; claimed before they are there */
    atomic_bool sleeps;                    /* or is about to: who has something for it must wake it */
    struct exchange *unsent, *unsent_last; /* of these, the oldest first */
    atomic_int waking;                     /* threads that are just waking it; it may not be freed under them */
    pthread_t thread;
    struct connections connections;
    struct exchange_pool pool;
    int64_t job_ns;                 /* what a job takes, on average */
    int64_t owed_ns;                /* to those who wait for their turn: shares.h */
    int64_t allowance_ns, since_ns; /* of the connections that are held: likewise */
    size_t told_bytes;              /* of requests in progress: as the service was told */
    uint64_t next_id;
    int64_t date_s; /* of `date` */
    char date[HTTP_DATE_ROOM];
};

/* Takes over the sockets, also on failure. All that the options name must outlive the loop. */
MUST_USE struct err loop_open(const struct loop_options *options, const struct listeners *listeners, struct loop **out);
/* Starts the thread; all loops of the options are open. */
MUST_USE struct err loop_start(struct loop *loop);
/* Waits for its end (see `stopping`). */
void loop_join(struct loop *loop);
/* When none of the loops runs any more. */
void loop_free(struct loop *loop);

/* From any thread: it has something to do. */
void loop_wake(struct loop *loop);

/* For advance.c: a connection is over. */
void loop_close_connection(struct loop *loop, struct connection *connection);
/* The events of a connection's registration: edge-triggered, so one registration lasts for its life. */
#define LOOP_CONNECTION_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

#endif
