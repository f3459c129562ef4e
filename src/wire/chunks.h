/* wire/chunks.h: a body in chunks (RFC 9112 section 7.1), decoded piece by piece. Strict: CR LF wherever one belongs,
 * at most 8 digits of size, extensions and trailers bounded and ignored. Pure; fuzzed: tests/fuzz/head.c. */
#ifndef WIRE_CHUNKS_H
#define WIRE_CHUNKS_H

#include "base/mem.h"

/* Begins zeroed. */
struct chunks {
    enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER, CHUNK_END } state;
    size_t left;     /* bytes of this chunk that are still to come */
    size_t trailers; /* bytes of trailer lines so far */
};

/* Takes what it can from the beginning of *in, moving it on: one piece of the body, which is a view (*piece is empty
 * when there was none). The caller goes on until *in stops moving; `state` is CHUNK_END when the body is whole.
 * ERR_INVALID_REQUEST when it is malformed, or when a line is longer than 256 bytes; the connection must be closed. */
MUST_USE struct err chunks_read(struct chunks *chunks, struct str *in, struct str *piece);

#endif
