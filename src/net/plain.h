/* net/plain.h: HTTP/1.1 over one plain TCP connection that is kept: for a service on this machine that is asked one
 * thing after another, and may take hours to answer, as AWS Lambda's runtime API does. Without libcurl, whose loading
 * would be a third of a cold start. As strict as the server's own parser (wire/lines.h); no TLS, redirects or proxies.
 * One thread at a time; each has a connection of its own. */
#ifndef NET_PLAIN_H
#define NET_PLAIN_H

#include "wire/headers.h"

struct plain;
/* `authority`: host:port, which must outlive it. `stop_fd`: once it can be read, a call without a time limit ends with
 * ERR_UNAVAILABLE, so that another thread can end one that waits. Connects when first used. */
struct plain *plain_new(const char *authority, int stop_fd);
void plain_free(struct plain *plain); /* NULL allowed */

enum { PLAIN_HEAD_MAX = 16 * 1024, PLAIN_HEADERS_MAX = 32 };

struct plain_request {
    struct str method, target; /* target: a path, of characters that need no encoding */
    struct headers headers;    /* besides Host and Content-Length */
    struct str body;
    int64_t timeout_ms; /* connecting included; 0: none, once it is connected */
    size_t answer_max;  /* bytes of a body */
};
struct plain_answer {
    int status;
    struct headers headers; /* views into the arena, as the body is */
    struct str body;
};

/* A connection that was kept and turns out to be closed, before a byte of an answer, is replaced once, and the request
 * sent again: the other side must bear that. ERR_UNAVAILABLE: no answer; ERR_INVALID_REQUEST: one that isn't HTTP/1.1;
 * ERR_TOO_LARGE: its body is longer than answer_max, but *out has the rest. After an error the next call connects
 * anew. Sentences are static. */
MUST_USE struct err plain_send(struct plain *plain, struct arena *arena, const struct plain_request *request,
                               struct plain_answer *out);

#endif
