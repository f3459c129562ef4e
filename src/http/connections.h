/* http/connections.h: the connections of one event loop, and a deadline for each, which a peer that sends byte by byte
 * can't move. Idle connections, between two requests or after the last, are also kept in the order in which they became
 * idle. All of it belongs to the loop's thread. */
#ifndef HTTP_CONNECTIONS_H
#define HTTP_CONNECTIONS_H

#include "base/mem.h"
#include "http/transport.h"
#include <netinet/in.h>

enum phase {
    PHASE_IDLE,      /* between requests; it holds no memory but this */
    PHASE_RECEIVING, /* a request is arriving */
    PHASE_WORKING,   /* a worker has it, and its own deadline */
    PHASE_SENDING,
    PHASE_ENDING, /* all is sent; what still arrives is dropped, so that a reset does not overtake the response */
};

struct exchange;

struct connection {
    struct connection *next, **link;    /* link: what points to this one */
    struct connection *older, *younger; /* in the list of idle connections */
    struct transport transport;
    struct exchange *exchange; /* the request in progress; NULL while idle */
    enum phase phase;
    bool is_fresh;    /* no request has ended on it yet */
    bool was_put_off; /* its last request was, for want of time: the next one may have to wait */
    bool is_held;     /* it does, in the line of those */
    struct connection *held_before, *held_behind;
    size_t discarded;    /* bytes, while ending */
    int64_t deadline_ms; /* of clock_coarse_ms(); not used while working */
    bool peer_is_loopback;
    char peer[INET6_ADDRSTRLEN]; /* as text; IPv4 mapped into IPv6 as IPv4 */
};

struct connections {
    struct connection *first;
    struct connection *oldest, *youngest; /* the line's ends */
    struct connection *held_first, *held_last;
    size_t count, working;
    int64_t idle_ms, request_ms; /* time limits */
};

/* A new connection, just accepted: its first request has request_ms to arrive. NULL, with the socket closed, when TLS
 * (not NULL) can't be set up for it. */
struct connection *connection_add(struct connections *all, int fd, struct tls *tls, const struct sockaddr *address);
/* Closes and frees it. Its exchange must be gone. */
void connection_remove(struct connections *all, struct connection *connection);
/* Moves to another phase and sets the deadline that goes with it. */
void connection_enter(struct connections *all, struct connection *connection, enum phase phase);
/* Puts the connection at the end of the line of those that are held: they have a request, which is not read for now. */
void connection_hold(struct connections *all, struct connection *connection);
/* Takes it out of that line, if it is there. */
void connection_let_go(struct connections *all, struct connection *connection);
/* The connection that has been idle longest, to be closed when another needs its place; NULL when there is none. A
 * connection with bytes that are not read yet is not idle. */
struct connection *connection_to_spare(const struct connections *all);
/* Whether its time is over; with `idle_too`, also when it stands between requests or is only being ended. */
bool connection_is_overdue(const struct connection *connection, int64_t now_ms, bool idle_too);

#endif
