/* net/handle.h: an easy handle of libcurl, and the one connection that it keeps from one request to the next. Blocking,
 * up to the request's time limit. Only for net/client.c.
 *
 * What a handle is told: HTTP/1.1 over http and https (with a guard: https alone, and no proxy), no redirects, cookies,
 * passwords from files, or codings of a body; certificates and names are checked. What libcurl does not limit is
 * limited here: a response's headers (16 KB, 64 of them, 8 interim responses before it) and its body. */
#ifndef NET_HANDLE_H
#define NET_HANDLE_H

#include "net/client.h"
#include "net/curl.h"

/* What all handles of a client have in common. */
struct net_common {
    const struct curl_calls *calls;
    CURLSH *share;                 /* names and TLS sessions */
    struct x509_store_st *trusted; /* NULL: libcurl's own, from ca_file */
    char *ca_file;                 /* "": the system's */
    const struct guard *guard;     /* which addresses may be connected to; NULL: any */
};

struct net_handle {
    struct net_handle *next; /* client.c's, among the idle ones */
    const struct net_common *common;
    CURL *curl;
    bool is_direct;
    int64_t used_ms;   /* client.c's */
    struct str origin; /* scheme://host:port of what it is used for; behind this struct */
};

/* Connects to nothing yet. ERR_INTERNAL when libcurl lacks what it must be told. */
MUST_USE struct err handle_open(const struct net_common *common, struct str origin, bool is_direct,
                                struct net_handle **out);
/* Ends its connection, and wipes what went over it (net/curl.c). */
void handle_close(struct net_handle *handle);

/* False when the peer has closed its connection, or has sent something that was not asked for and would be taken for
 * the next response. */
bool handle_is_alive(const struct net_handle *handle);

/* One request to its origin. libcurl replaces a kept connection once if it ends before the first byte of the response,
 * so a request that must not be sent twice needs a new handle. ERR_UNAVAILABLE, with a sentence for the log, when no
 * complete response came in time: then close the handle. ERR_INTERNAL for too many or malformed headers, since a header
 * that ends early could begin another one. */
MUST_USE struct err handle_send(struct net_handle *handle, struct arena *arena, const struct net_request *request,
                                struct net_answer *out);

#endif
