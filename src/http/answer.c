/* http/answer.c: the head of an answer, line by line. */
#include "http/answer.h"
#include <time.h>

static const struct {
    int status;
    struct str line;
} lines[] = {
#define LINE(status, reason)                                                                                           \
    {                                                                                                                  \
        status,                                                                                                        \
        {                                                                                                              \
            "HTTP/1.1 " #status " " reason "\r\n", sizeof "HTTP/1.1 " #status " " reason "\r\n" - 1                    \
        }                                                                                                              \
    }
    LINE(200, "OK"),
    LINE(204, "No Content"),
    LINE(304, "Not Modified"),
    LINE(400, "Bad Request"),
    LINE(401, "Unauthorized"),
    LINE(403, "Forbidden"),
    LINE(404, "Not Found"),
    LINE(405, "Method Not Allowed"),
    LINE(408, "Request Timeout"),
    LINE(409, "Conflict"),
    LINE(413, "Content Too Large"),
    LINE(414, "URI Too Long"),
    LINE(415, "Unsupported Media Type"),
    LINE(429, "Too Many Requests"),
    LINE(431, "Request Header Fields Too Large"),
    LINE(503, "Service Unavailable"),
    LINE(505, "HTTP Version Not Supported"),
    LINE(500, "Internal Server Error"), /* last: what any other status becomes */
#undef LINE
};

static void write_status(struct buf *out, int status)
{
    size_t i = 0;
    while (i < sizeof lines / sizeof *lines - 1 && lines[i].status != status)
        i++;
    buf_add(out, lines[i].line);
}

static bool is_clean(struct str value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.at[i] < ' ' || value.at[i] == 0x7f)
            return false;
    return value.len > 0;
}

static void write_header(struct buf *out, struct str name, struct str value)
{
    if (!is_clean(value))
        return;
    buf_add(out, name);
    buf_add(out, STR(": "));
    buf_add(out, value);
    buf_add(out, STR("\r\n"));
}

static void write_number(struct buf *out, struct str name, int64_t value)
{
    buf_add(out, name);
    buf_add(out, STR(": "));
    buf_add_int(out, value);
    buf_add(out, STR("\r\n"));
}

static void write_content_type(struct buf *out, enum content content)
{
    static const struct str types[] = {
        [CONTENT_JSON] = { "Content-Type: application/json\r\n", 32 },
        [CONTENT_JWKS] = { "Content-Type: application/jwk-set+json\r\n", 40 },
        [CONTENT_FEED] = { "Content-Type: application/revocation-feed+jwt\r\n", 47 },
        [CONTENT_PROMETHEUS] = { "Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n", 56 },
        [CONTENT_NONE] = { "", 0 },
    };
    buf_add(out, types[content]);
}

/* One more directive; a zero needs none. */
static void write_directive(struct buf *out, struct str name, int64_t seconds)
{
    if (seconds <= 0)
        return;
    buf_add(out, name);
    buf_add_int(out, seconds);
}

/* RFC 9111 section 5.2.2, RFC 5861. */
static void write_cache_control(struct buf *out, const struct response *response)
{
    if (response->max_age_s >= 0) {
        buf_add(out, STR("Cache-Control: public, max-age="));
        buf_add_int(out, response->max_age_s);
        write_directive(out, STR(", stale-while-revalidate="), response->stale_while_revalidate_s);
        write_directive(out, STR(", stale-if-error="), response->stale_if_error_s);
        buf_add(out, STR("\r\n"));
    } else if (response->max_age_s == -1) {
        buf_add(out, STR("Cache-Control: no-store\r\n"));
    }
}

/* RFC 9110 section 12.5.5: what the answer was chosen by. */
static void write_vary(struct buf *out, const struct response *response)
{
    bool by_origin = response->cors_origin.len > 0 && !str_eq(response->cors_origin, STR("*"));
    if (by_origin)
        buf_add(out, response->varies_by_accept ? STR("Vary: Origin, Accept\r\n") : STR("Vary: Origin\r\n"));
    else if (response->varies_by_accept)
        buf_add(out, STR("Vary: Accept\r\n"));
}

static void write_cors(struct buf *out, const struct response *response)
{
    if (response->cors_origin.len == 0)
        return;
    write_header(out, STR("Access-Control-Allow-Origin"), response->cors_origin);
    if (response->cors_preflight)
        buf_add(out, STR("Access-Control-Allow-Methods: GET, POST, OPTIONS\r\n"
                         "Access-Control-Allow-Headers: Content-Type, Authorization\r\n"
                         "Access-Control-Max-Age: 600\r\n"));
}

void answer_write(const struct response *response, const struct answer_frame *frame, struct buf *out)
{
    const struct str body = buf_str(&response->body);
    bool has_body = response->status != 204 && response->status != 304;
    write_status(out, response->status);
    write_header(out, STR("Date"), frame->date);
    write_content_type(out, response->content);
    write_cache_control(out, response);
    write_header(out, STR("X-Request-Id"), frame->request_id);
    write_header(out, STR("WWW-Authenticate"), response->challenge);
    write_header(out, STR("ETag"), response->etag);
    write_header(out, STR("Allow"), response->allow);
    write_header(out, STR("Accept-Encoding"), response->accept_encoding);
    if (response->retry_after_s > 0)
        write_number(out, STR("Retry-After"), response->retry_after_s);
    write_cors(out, response);
    write_vary(out, response);
    if (frame->close)
        buf_add(out, STR("Connection: close\r\n"));
    else if (frame->keep_alive)
        buf_add(out, STR("Connection: keep-alive\r\n"));
    if (has_body) /* RFC 9110 section 8.6: none in a 204 */
        write_number(out, STR("Content-Length"), (int64_t)body.len);
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
