/* http/answer.h: a response as the bytes of HTTP/1.1 (RFC 9112). */
#ifndef HTTP_ANSWER_H
#define HTTP_ANSWER_H

#include "service/message.h"

enum { HTTP_DATE_ROOM = 32 };

struct answer_frame {
    struct str date;       /* the Date header's value (RFC 9110 section 6.6.1) */
    struct str request_id; /* for X-Request-Id */
    bool to_head;          /* the request was HEAD: Content-Length is sent, but no body */
    bool close;            /* Connection: close */
    bool keep_alive;       /* send Connection: keep-alive, which HTTP/1.0 needs */
};

/* Appends status line, headers and body to `out`. An empty value gets no line; no response holds a character that could
 * end a line (message.h). */
void answer_write(const struct response *response, const struct answer_frame *frame, struct buf *out);

/* IMF-fixdate (RFC 9110 section 5.6.7). */
void answer_date(int64_t at_s, char to[HTTP_DATE_ROOM]);

#endif
