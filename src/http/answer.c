/* http/answer.c: status line and headers of a response, line by line. */
#include "http/answer.h"
#include "wire/reason.h"
#include <time.h>

/* One without a reason has the space before it all the same (RFC 9112 section 4). */
static void answer_write_status(struct buf *out, int status)
{
    buf_add(out, STR("HTTP/1.1 "));
    buf_add_int(out, status);
    buf_add_char(out, ' ');
    buf_add(out, wire_reason(status));
    buf_add(out, STR("\r\n"));
}

static void answer_write_header(struct buf *out, struct str name, struct str value)
{
    const size_t size = name.len + value.len + 4;
    char *to = value.len > 0 ? buf_reserve(out, size) : NULL;
    if (!to)
        return;
    memcpy(to, name.at, name.len);
    memcpy(to + name.len, ": ", 2);
    memcpy(to + name.len + 2, value.at, value.len);
    memcpy(to + size - 2, "\r\n", 2);
    out->len += size;
}

void answer_write(const struct response *response, const struct answer_frame *frame, struct buf *out)
{
    const struct str body = buf_str(&response->body);
    bool has_body = response->status != 204 && response->status != 304;
    answer_write_status(out, response->status);
    answer_write_header(out, STR("Date"), frame->date);
    answer_write_header(out, STR("Content-Type"), response->content_type);
    answer_write_header(out, STR("Cache-Control"), response->cache_control);
    answer_write_header(out, STR("X-Request-Id"), frame->request_id);
    for (size_t i = 0; i < response->header_count; i++)
        answer_write_header(out, response->headers[i].name, response->headers[i].value);
    if (frame->close)
        buf_add(out, STR("Connection: close\r\n"));
    else if (frame->keep_alive)
        buf_add(out, STR("Connection: keep-alive\r\n"));
    if (has_body) { /* RFC 9110 section 8.6: none in a 204 */
        buf_add(out, STR("Content-Length: "));
        buf_add_int(out, (int64_t)body.len);
        buf_add(out, STR("\r\n"));
    }
    buf_add(out, STR("\r\n"));
    if (has_body && !frame->to_head)
        buf_add(out, body);
}

void answer_date(int64_t at_s, char to[HTTP_DATE_ROOM])
{
    struct tm tm;
    time_t at = (time_t)at_s;
    strftime(to, HTTP_DATE_ROOM, "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&at, &tm));
}
