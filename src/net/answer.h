/* net/answer.h: an HTTP/1.1 answer (RFC 9112) from the bytes of its connection, however they are cut. Pure.
 *
 * Strict where it matters to know where an answer ends: an odd one is an error, and nobody guesses. Bounded: a head of
 * 16 KB, 64 headers, 8 interim answers, and the body that the caller allows. Fuzzed: tests/fuzz/answer.c. */
#ifndef NET_ANSWER_H
#define NET_ANSWER_H

#include "base/mem.h"
#include "wire/chunks.h"

enum { ANSWER_ROOM = 16 * 1024 };

struct answer {
    enum {
        ANSWER_HEAD,   /* the status line and the headers are to come, of an interim answer or the answer */
        ANSWER_BODY,   /* `left` bytes of it */
        ANSWER_CHUNKS, /* chunked */
        ANSWER_TO_END, /* no length: all that comes until the connection ends (RFC 9112 section 6.3) */
        ANSWER_WHOLE,
    } state;
    struct arena *arena; /* of what is kept of the answer: the body and the texts of headers */
    size_t body_max;
    int status;
    struct buf body;
    /* Date, x-amzn-RequestId and x-amzn-ErrorType as they came, a NUL after each; or empty */
    struct str date, request_id, error_type;
    int64_t retry_after_s; /* Retry-After in seconds; 0: none */
    bool has_begun;        /* a byte of it has come */
    bool keeps_connection; /* another request may follow it; once it is whole */
    /* answer.c's own */
    bool has_length, is_chunked;
    size_t left;
    struct chunks chunks;
    unsigned interim;
    size_t received, searched; /* bytes in `in`; of them, those in which the head's end was searched in vain */
    size_t touched;            /* bytes of `in` that were ever written to; answer_begin leaves it */
    char in[ANSWER_ROOM];
};

/* Begins an answer, whose body may have `body_max` bytes. `touched` is to be 0 before the first. */
void answer_begin(struct answer *answer, struct arena *arena, size_t body_max);
/* Where the next bytes belong; *room is never 0 before the answer is whole. */
char *answer_room(struct answer *answer, size_t *room);
/* So many bytes have been put there. An error, in words for the log, when it is no answer or is too long: the
 * connection must be closed. */
MUST_USE struct err answer_received(struct answer *answer, size_t count);
/* The connection has ended: that is an error, or the end of the answer. */
MUST_USE struct err answer_ended(struct answer *answer);
/* Overwrites what is left in `in` of all answers. */
void answer_wipe(struct answer *answer);

#endif
