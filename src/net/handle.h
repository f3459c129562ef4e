/* net/handle.h: an easy handle of libcurl, and the one connection that it keeps from one request to the next. Blocking,
 * up to the request's time limit. For net/client.c alone.
 *
 * What a handle is told: HTTP/1.1 over http and https, no redirects, cookies, passwords from files, or codings of a
 * body; certificates and names are checked. What libcurl has no limits for is bounded here: an answer's head (16 KB, 64
 * headers, 8 interim answers before it) and its body. */
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

/* False when the peer has closed its connection, or has said what nobody asked for, which would be taken for the next
 * answer. */
bool handle_is_alive(const struct net_handle *handle);

/* One request to its origin. A kept connection that ends before a byte of the answer is replaced once, by libcurl: so
 * what must not be sent twice needs a new handle. ERR_UNAVAILABLE, in words for the log, when no whole answer came in
 * time, and the handle is to be closed; ERR_INTERNAL for headers that are too many or malformed, since one that ended
 * early could begin another. */
MUST_USE struct err handle_send(struct net_handle *handle, struct arena *arena, const struct net_request *request,
                                struct net_answer *out);

#endif
