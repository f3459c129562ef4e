/* net/request.h: the text of an HTTP/1.1 request (RFC 9112 section 3). Pure. */
#ifndef NET_REQUEST_H
#define NET_REQUEST_H

#include "net/client.h"

/* What a URL is made of: views into it. */
struct net_url {
    struct str origin; /* scheme://host:port */
    struct str host;   /* with its port, as the Host header has it */
    struct str path;   /* with the query; without fragment. May be empty, or begin with '?' */
    bool is_plain;     /* http, not https */
};

/* ERR_UNAVAILABLE, in words for the log, when it is not one of http or https, or holds a user or a password. */
MUST_USE struct err net_read_url(const char *url, struct net_url *out);

/* The whole request, in the arena in one piece; the caller wipes it, since headers hold secrets. Host, User-Agent and
 * Content-Length are written where the caller has no header of that name. A header that could end early and begin
 * another is refused: ERR_INTERNAL. */
MUST_USE struct err net_write_request(struct arena *arena, const struct net_request *request, const struct net_url *url,
                                      struct str *out);

#endif
