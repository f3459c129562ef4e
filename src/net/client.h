/* net/client.h: outgoing HTTP/1.1 requests, by libcurl. Plain and blocking: only workers and housekeeping call it,
 * never an event loop. Connections are kept alive and shared, and so are DNS results and TLS sessions. Thread-safe. */
#ifndef NET_CLIENT_H
#define NET_CLIENT_H

#include "base/mem.h"

struct net_header {
    const char *name, *value;
};

/* Views and pointers must live until net_send returns. */
struct net_request {
    const char *method; /* "GET", "POST", "PUT"; not "HEAD" or "CONNECT", whose responses end differently */
    const char *url;    /* http or https, no user in it */
    const struct net_header *headers;
    size_t header_count;
    struct str body;
    int64_t timeout_ms; /* of this try, connecting included */
    size_t answer_max;  /* bytes; a longer body is an error */
    bool is_unique;     /* must not be done twice: sent on a connection of its own, and never again */
    bool is_secret;     /* the response holds a secret: no copy of it stays in a buffer of the connection */
    bool is_direct;     /* never through a proxy: addresses of this machine or its link */
};

struct net_answer {
    int status;                             /* HTTP */
    struct str body;                        /* in the caller's arena */
    int64_t date_s;                         /* of a status other than 200: the Date header, Unix time; 0: none */
    int64_t retry_after_s;                  /* Retry-After in seconds; 0: none */
    struct str content_type, cache_control; /* all lines of each as one list; may be empty */
    struct str request_id;                  /* x-amzn-RequestId or the like, for the log; may be empty */
    struct str error_type;                  /* x-amzn-ErrorType; may be empty */
};

/* What the service at the other end must be asked with; a longer header or URL is an error of the caller. */
enum { NET_HEADERS_MAX = 16, NET_HEADER_MAX = 16 * 1024 };

struct net_client;
struct guard;

/* `ca_file`: PEM bundle to trust instead of the system's; NULL or "" for the system's. Loads libcurl at the first call
 * in a process. ERR_INVALID_REQUEST when the bundle can't be read, ERR_UNAVAILABLE without libcurl. */
MUST_USE struct err net_open(const char *ca_file, struct net_client **out);
/* The same for what strangers name (net/fetch.h): https only, never by way of a proxy, each request over a connection
 * of its own, and that only to an address that `guard` lets through (net/guard.h), which must outlive the client. Its
 * sentences are static and name no host: strangers could fill the memory of the others. */
MUST_USE struct err net_open_guarded(const char *ca_file, const struct guard *guard, struct net_client **out);
void net_close(struct net_client *client); /* NULL allowed */

/* One attempt; a kept-alive connection that turns out to be closed before the first byte of the response does not count
 * as one, unless the request is unique. Redirects are not followed, certificates and names are always checked, and
 * proxies are used only as the environment says, through a tunnel (CONNECT). ERR_UNAVAILABLE when no complete response
 * came in time; its sentence, which is also logged, is kept (base/sentence.h) and begins with the other end:
 * "https://a.example:443: ". Any HTTP status is OK. */
MUST_USE struct err net_send(struct net_client *client, struct arena *arena, const struct net_request *request,
                             struct net_answer *out);

#endif
