/* http/connections.h: the connections of one event loop, and a deadline for each. libmicrohttpd's own time limit starts
 * anew at every byte, so a client that drips one byte now and then would stay for ever; this one does not. All of it
 * belongs to the loop's thread. */
#ifndef HTTP_CONNECTIONS_H
#define HTTP_CONNECTIONS_H

#include "base/mem.h"
#include <netinet/in.h>
#include <sys/socket.h>

enum phase {
    PHASE_IDLE,      /* between requests, or the headers are arriving */
    PHASE_RECEIVING, /* headers are read, the body is arriving */
    PHASE_WORKING,   /* suspended: a worker has it, and its own deadline */
    PHASE_SENDING,
};

struct connection {
    struct connection *next, **link; /* link: what points to this one */
    int fd;
    enum phase phase;
    bool is_fresh;       /* no request has ended on it yet */
    bool is_cut;         /* overdue, and shut down already */
    int64_t deadline_ms; /* of the monotonic clock; not used while working */
    bool peer_is_loopback;
    char peer[INET6_ADDRSTRLEN]; /* as text; IPv4 mapped into IPv6 as IPv4 */
};

struct connections {
    struct connection *first;
    size_t count, working;
    int64_t idle_ms, request_ms; /* time limits */
};

/* Milliseconds of the monotonic clock, coarse: good to some ms, and cheap. */
int64_t clock_coarse_ms(void);

/* A new connection, just accepted: its first request has request_ms to arrive. Never NULL. */
struct connection *connection_add(struct connections *all, int fd, const struct sockaddr *address);
void connection_remove(struct connections *all, struct connection *connection);
/* Moves to another phase and sets the deadline that goes with it. */
void connection_enter(struct connections *all, struct connection *connection, enum phase phase);

/* Shuts down what the client has ended: libmicrohttpd 0.9.75 misses an end that comes together with the last data, and
 * would keep the place until a time limit. A system call a connection; to be called every few seconds. */
void connections_drop_ended(struct connections *all);

/* Shuts down what is overdue, so that libmicrohttpd sees the end and cleans up; with `idle_too`, also what stands
 * between requests. Returns how many were cut in the middle of a request. To be called about once a second. */
size_t connections_cut(struct connections *all, int64_t now_ms, bool idle_too);

#endif
