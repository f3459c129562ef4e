/* http/transport.h: a socket that doesn't block, plain or under TLS. */
#ifndef HTTP_TRANSPORT_H
#define HTTP_TRANSPORT_H

#include "http/tls.h"
#include <stdbool.h>
#include <stddef.h>

/* It stays where it is from transport_open() to transport_close(). */
struct transport {
    int fd;
    SSL *ssl; /* NULL: plain */
    /* Whether an attempt may succeed. The loop learns only of edges, so both stay true until an attempt finds nothing.
     */
    bool readable, writable;
    bool at_end;     /* an event has said that nothing will follow what is there */
    bool is_drained; /* under TLS: the socket had less than there was room for, and no event has come since */
    bool has_ended;  /* under TLS: the socket has said that nothing follows */
    bool is_counted; /* the handshake is */
};

enum transport_result {
    TRANSPORT_SOME,   /* *done bytes were moved, at least one */
    TRANSPORT_LATER,  /* nothing can be done before the next event */
    TRANSPORT_ENDED,  /* the other side has said that nothing follows */
    TRANSPORT_BROKEN, /* reset, or no TLS: only transport_close is left */
};

/* Takes over an accepted socket. False, with the socket closed, when TLS (not NULL) can't be set up. */
bool transport_open(struct transport *transport, int fd, struct tls *tls);
/* An event has come: an attempt may succeed again. */
void transport_wake(struct transport *transport, bool at_end);
enum transport_result transport_receive(struct transport *transport, char *to, size_t room, size_t *done);
enum transport_result transport_send(struct transport *transport, const char *from, size_t len, size_t *done);
/* Whether the other side has sent something that was not received yet. */
bool transport_has_more(const struct transport *transport);
/* Says that nothing follows; what the other side still sends can be read and dropped with transport_discard. */
void transport_end(struct transport *transport);
/* Reads what is there and drops it, at most `max` bytes. */
enum transport_result transport_discard(struct transport *transport, size_t max, size_t *done);
void transport_close(struct transport *transport);

#endif
