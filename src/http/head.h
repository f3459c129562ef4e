/* http/head.h: the head of an HTTP/1.1 request, its request line and headers (RFC 9112). Pure functions on bytes.
 *
 * As strict as the standard allows: lenience between two parsers is what request smuggling lives on (CWE-444). No bare
 * LF, no folded line, no space before a colon, and only one meaning of where the body ends. Fuzzed: tests/fuzz/head.c.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "wire/headers.h"

/* Views into the bytes that were read. */
struct head {
    struct str method, path; /* path: as target.h has it */
    struct str query;        /* what follows the first '?'; at == NULL: there is none */
    bool is_http_1_0;        /* else it is of HTTP/1.1, or a later 1.x, which is the same (RFC 9110 section 2.5) */
    struct headers headers;  /* all that came; their list lies in the arena */
    bool is_chunked;
    size_t length;                      /* Content-Length, or 0 */
    bool wants_close, wants_keep_alive; /* Connection */
    bool wants_continue;                /* Expect: 100-continue (RFC 9110 section 10.1.1) */
};

/* Reads a whole head, as wire_head_size measured it. ERR_INVALID_REQUEST for anything that RFC 9112 does not allow, a
 * target that is not a path (target.h), two lines of a header that would have two meanings, HTTP/1.1 without Host, both
 * Content-Length and Transfer-Encoding, or an encoding other than chunked (sections 2.2, 3, 5, 6.1, 6.3);
 * ERR_HEADERS_TOO_LARGE for more than 64 headers; ERR_VERSION for another major version. The connection must be closed
 * after any of them. */
MUST_USE struct err head_read(struct arena *arena, struct str bytes, struct head *out);

#endif
