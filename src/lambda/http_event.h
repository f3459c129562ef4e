/* lambda/http_event.h: the four kinds of HTTP events as requests of the service. Nothing in an event is believed more
 * than the bytes of a connection would be: names, values, paths, queries and sizes are held to the rules of HTTP/1.1
 * that the service's own server has. */
#ifndef LAMBDA_HTTP_EVENT_H
#define LAMBDA_HTTP_EVENT_H

#include "lambda/event.h"
#include "service/message.h"
#include "wire/peer.h"

/* What bounds a request, as the settings say it of the server. */
struct http_rules {
    size_t head_max, body_max;      /* bytes: TOKEN_HEADER_MAX, TOKEN_BODY_MAX */
    const struct networks *trusted; /* TOKEN_TRUSTED_PROXIES: those before API Gateway or the load balancer */
};

/* Fills method, path, query, headers, body, peer and is_https of *out, which has the arena; views into the event or the
 * arena. Also after an error, what could be read is there.
 *
 * Path: what AWS puts before it (the stage, the base path of a custom domain) is cut off where the event's own route
 * shows it, or the stage of a catch-all route; a character that can't stand in a path is percent-encoded, since API
 * Gateway decodes some. Query: as it was sent; of REST, where AWS gives only decoded lists, it is encoded again, and
 * what came twice is there twice. Caller: whom AWS names, or, where that is a proxy that the rules trust, whom that
 * names. ERR_INVALID_REQUEST, ERR_TOO_LARGE, ERR_TARGET_TOO_LONG, ERR_HEADERS_TOO_LARGE. */
MUST_USE struct err http_event_read(const struct event *event, const struct http_rules *rules, struct request *out);

#endif
