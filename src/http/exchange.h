/* http/exchange.h: one request and its answer on a connection, from its headers to the last byte sent. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "http/connections.h"
#include "http/workers.h"
#include "service/service.h"
#include <microhttpd.h>
#include <pthread.h>

enum {
    GATHER_PAUSE_MS = 200,          /* after an answer of its own, how long a loop does not gather */
    CONNECTION_ROOM = 4 * 1024,     /* of a connection's memory: for the answer's headers and a piece of the body */
    DISCARD_MAX = 16 * 1024 * 1024, /* a body that is too long is read up to here, so that its 413 is not lost */
};

struct exchange;

/* An event loop. Everything but the atomics, wake_fd and the service belongs to its thread. libmicrohttpd has no
 * wake-up of its own for a loop that somebody else runs, so whoever resumes a connection writes to wake_fd. */
struct loop {
    struct service *service;
    struct workers *workers;
    const atomic_bool *stopping;
    struct MHD_Daemon *daemon;
    int daemon_fd, wake_fd; /* libmicrohttpd's epoll; an eventfd */
    atomic_bool is_woken;   /* wake_fd has been written to and not yet read: once is enough */
    atomic_int waking;      /* threads that are just waking it; it may not be freed under them */
    pthread_t thread;
    struct connections connections;
    int64_t gather_from_ms; /* see gather() in server.c */
    struct exchange *spare; /* ended ones, to be used again */
    size_t spare_count;
    uint64_t next_id;
};

/* libmicrohttpd's handler: called at the headers, for each piece of the body, and when the request is complete. */
enum MHD_Result exchange_handle(void *loop, struct MHD_Connection *handle, const char *url, const char *method,
                                const char *version, const char *data, size_t *size, void **context);
/* Called when a request has ended, however it did. */
void exchange_completed(void *loop, struct MHD_Connection *handle, void **context,
                        enum MHD_RequestTerminationCode code);
/* Frees the spare ones. */
void exchanges_free(struct loop *loop);

#endif
