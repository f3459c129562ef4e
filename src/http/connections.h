/* http/connections.h: the connections of one event loop, and a deadline for each, which a peer that sends byte by byte
 * can't move. Idle connections, between two requests or after the last, are also kept in the order in which they became
 * idle; those that are told 503 because there are too many, a few at a time, in a line of their own. All of it belongs
 * to the loop's thread. */
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

enum { CONNECTIONS_REFUSED_MAX = 16 }; /* in a loop, at a time (while the 503 is read), and in a turn */

struct exchange;

struct connection {
    struct connection *next, **link;    /* link: what points to this one */
    struct connection *older, *younger; /* in its line */
    struct transport transport;
    struct exchange *exchange; /* the request in progress; NULL while idle */
    enum phase phase;
    bool is_fresh;       /* no request has ended on it yet */
    bool is_refused;     /* there were as many as may be when it came */
    bool is_held;        /* it does, in the line of those */
    size_t discarded;    /* bytes, while ending */
    int64_t deadline_ms; /* of clock_coarse_ms(); not used while working */
    int64_t put_off_ms;  /* likewise: when its last request was, for want of time; 0: it was not */
    bool peer_is_loopback;
    char peer[INET6_ADDRSTRLEN]; /* as text; IPv4 mapped into IPv6 as IPv4 */
};

struct connections_line {
    struct connection *oldest, *youngest;
    size_t count;
};

struct connections {
    struct connection *first;
    struct connections_line idle, refused, held;
    size_t count, working;       /* refused ones are counted too */
    size_t max;                  /* without refused ones */
    int64_t idle_ms, request_ms; /* time limits */
};

/* A new connection, just accepted: its first request has request_ms to arrive. NULL, with the socket closed, when TLS
 * (not NULL) can't be set up for it. */
struct connection *connection_add(struct connections *all, int fd, struct tls *tls, const struct sockaddr *address);
/* Whether another one is too much, if none makes room. */
bool connections_are_full(const struct connections *all);
/* Counts a connection among the refused ones from now on. The one that must make room for it, if there were as many as
 * may be; else NULL. */
struct connection *connection_refuse(struct connections *all, struct connection *connection);
/* Closes and frees it. Its exchange must be gone. */
void connection_remove(struct connections *all, struct connection *connection);
/* Moves to another phase and sets the deadline that goes with it. */
void connection_enter(struct connections *all, struct connection *connection, enum phase phase);
/* Puts the connection, which has a request that is not read for now, at the end of the line of those, or takes it out;
 * nothing changes if it is there already, or isn't. */
void connection_hold(struct connections *all, struct connection *connection, bool is_held);
/* The connection that has been idle longest, to be closed when another needs its place; NULL when there is none. A
 * connection with bytes that are not read yet is not idle. */
struct connection *connection_to_spare(const struct connections *all);
/* Whether its time is over; with `idle_too`, also when it stands between requests or is only being ended. */
bool connection_is_overdue(const struct connection *connection, int64_t now_ms, bool idle_too);

#endif
