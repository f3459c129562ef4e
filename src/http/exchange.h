/* http/exchange.h: one request and its response: from bytes to struct request, from struct response to bytes. It
 * belongs to its loop's thread, except while a worker or the group commit has it. */
#ifndef HTTP_EXCHANGE_H
#define HTTP_EXCHANGE_H

#include "http/answer.h"
#include "http/connections.h"
#include "http/head.h"
#include "http/workers.h"
#include "service/message.h"
#include "wire/chunks.h"

enum { EXCHANGE_ROOM = 15 * 1024, BODY_IN_PLACE_MAX = 8 * 1024 };

struct loop;

struct exchange {
    struct job job;        /* for the workers; first, so that a job is its exchange */
    struct exchange *next; /* in the list where it waits: spare, or answered */
    struct loop *loop;
    struct connection *connection;
    struct head head;
    struct chunks chunks;
    struct request request;
    struct response response;
    int64_t started_ns;
    size_t received, used; /* bytes in `in`; of them, those that belong to this request and are dealt with */
    size_t touched;        /* bytes in `in` that have ever been written to */
    size_t searched;       /* for the end of the headers, which was not there yet */
    bool has_skipped;      /* an empty line before the request */
    size_t head_len;       /* 0: not read yet */
    char *body;            /* when it is longer than `in` holds, or chunked: its bytes, in the arena */
    size_t body_len, body_room;
    size_t counted; /* bytes of it among its pool's */
    struct buf out; /* the response's bytes */
    size_t sent;
    int tries;  /* how often a worker has answered it: again, when another request was faster (service_record) */
    bool close; /* the connection ends with this response */
    char id[17];
    struct arena arena;
    _Alignas(max_align_t) char room[EXCHANGE_ROOM];
    char in[]; /* what was received; the request's headers stay here */
};

/* The memory of one loop's requests: that of requests in progress, and exchanges that are kept for reuse, so that the
 * system isn't asked each time. */
struct exchange_pool {
    struct exchange *spare;
    size_t count, least; /* of spare ones: now, and since exchange_pool_shrink() */
    size_t in_room, head_max, body_max;
    size_t bytes, bytes_max; /* of those in progress: headers, bodies, responses */
};

/* Limits in bytes: of the headers, of a body, of all requests in progress; the last is raised to what a few requests
 * may need. */
void exchange_pool_init(struct exchange_pool *pool, size_t head_max, size_t body_max, size_t bytes_max);
void exchange_pool_release(struct exchange_pool *pool);
/* Gives back half of those that were not needed since it was called last. */
void exchange_pool_shrink(struct exchange_pool *pool);

/* Whether another request is too much: those in progress use all the memory that they may. */
bool exchange_pool_is_full(const struct exchange_pool *pool);
/* Counts what the exchange has taken since it was last counted. */
void exchange_count(struct exchange_pool *pool, struct exchange *exchange);

struct exchange *exchange_take(struct exchange_pool *pool);
/* Wipes it: it may have held tokens and secrets. */
void exchange_give_back(struct exchange_pool *pool, struct exchange *exchange);
/* Begins the next request with the bytes that came after this one's; false when there are none. */
bool exchange_begin_next(struct exchange_pool *pool, struct exchange *exchange);

enum exchange_state {
    EXCHANGE_PARTIAL,
    EXCHANGE_EXPECTING, /* partial, and the client waits for "100 Continue": once */
    EXCHANGE_WHOLE,
    EXCHANGE_BAD, /* *failure says why; the connection must end with the response */
};

/* Room for the next bytes, which belong at exchange->in + exchange->received; never 0 while the request is partial. */
size_t exchange_room_left(const struct exchange_pool *pool, const struct exchange *exchange);
/* So many bytes have been put there. */
void exchange_received(struct exchange *exchange, size_t count);
/* Reads on in what has been received. */
enum exchange_state exchange_read(struct exchange_pool *pool, struct exchange *exchange, struct err *failure);

#endif
