/* http/answer.c: status line and headers of a response, line by line. */
#include "http/answer.h"
#include <time.h>

/* RFC 9110 section 15, RFC 6585. */
static const struct {
    int status;
    struct str reason;
} reasons[] = {
#define REASON(status, text)                                                                                           \
    {                                                                                                                  \
        status,                                                                                                        \
        {                                                                                                              \
            text, sizeof text - 1                                                                                      \
        }                                                                                                              \
    }
    REASON(200, "OK"),
    REASON(201, "Created"),
    REASON(202, "Accepted"),
    REASON(203, "Non-Authoritative Information"),
    REASON(204, "No Content"),
    REASON(205, "Reset Content"),
    REASON(206, "Partial Content"),
    REASON(300, "Multiple Choices"),
    REASON(301, "Moved Permanently"),
    REASON(302, "Found"),
    REASON(303, "See Other"),
    REASON(304, "Not Modified"),
    REASON(305, "Use Proxy"),
    REASON(307, "Temporary Redirect"),
    REASON(308, "Permanent Redirect"),
    REASON(400, "Bad Request"),
    REASON(401, "Unauthorized"),
    REASON(402, "Payment Required"),
    REASON(403, "Forbidden"),
    REASON(404, "Not Found"),
    REASON(405, "Method Not Allowed"),
    REASON(406, "Not Acceptable"),
    REASON(407, "Proxy Authentication Required"),
    REASON(408, "Request Timeout"),
    REASON(409, "Conflict"),
    REASON(410, "Gone"),
    REASON(411, "Length Required"),
    REASON(412, "Precondition Failed"),
    REASON(413, "Content Too Large"),
    REASON(414, "URI Too Long"),
    REASON(415, "Unsupported Media Type"),
    REASON(416, "Range Not Satisfiable"),
    REASON(417, "Expectation Failed"),
    REASON(421, "Misdirected Request"),
    REASON(422, "Unprocessable Content"),
    REASON(426, "Upgrade Required"),
    REASON(428, "Precondition Required"),
    REASON(429, "Too Many Requests"),
    REASON(431, "Request Header Fields Too Large"),
    REASON(500, "Internal Server Error"),
    REASON(501, "Not Implemented"),
    REASON(502, "Bad Gateway"),
    REASON(503, "Service Unavailable"),
    REASON(504, "Gateway Timeout"),
    REASON(505, "HTTP Version Not Supported"),
    REASON(511, "Network Authentication Required"),
#undef REASON
};

/* A status without a row needs no reason, but the space before it (RFC 9112 section 4). */
static void answer_write_status(struct buf *out, int status)
{
    buf_add(out, STR("HTTP/1.1 "));
    buf_add_int(out, status);
    buf_add_char(out, ' ');
    for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
        if (reasons[i].status == status)
            buf_add(out, reasons[i].reason);
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
