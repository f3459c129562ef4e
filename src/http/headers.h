/* http/headers.h: the headers of one request, and whether they leave any doubt about where it ends. */
#ifndef HTTP_HEADERS_H
#define HTTP_HEADERS_H

#include "base/mem.h"
#include <microhttpd.h>

/* Those that the service reads. Views live as long as the request; absent ones have at == NULL. */
struct headers {
    struct str host, content_type, authorization, content_length, transfer_encoding, expect, if_none_match, origin,
        request_id;
    bool is_chunked;
    size_t length;      /* Content-Length, or 0 */
    size_t count, size; /* of all: their number, and bytes with the request line */
    const char *next;   /* headers.c's own: where the next header must begin */
    bool is_bad;        /* likewise */
};

/* Reads them. `url` and `version` are those that libmicrohttpd's handler was given, size_max the limit of all bytes.
 * After an error the connection must be closed: ERR_HEADERS_TOO_LARGE; ERR_INVALID_REQUEST for a malformed header, one
 * twice that may come once, more than 64, HTTP/1.1 without Host, both Content-Length and Transfer-Encoding, or an
 * encoding other than chunked (RFC 9112 sections 3.2, 5.1, 6.1, 6.3). */
MUST_USE struct err headers_read(struct MHD_Connection *handle, const char *url, const char *version, size_t size_max,
                                 struct headers *out);

#endif
