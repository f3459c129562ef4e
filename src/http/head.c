/* http/head.c: one pass over the lines, then what holds between them. */
#include "http/head.h"
#include "wire/lines.h"

enum { HEADERS_MAX = 64 };

static const struct {
    struct str name;
    size_t offset;
} wanted[] = {
#define WANTED(text, member)                                                                                           \
    {                                                                                                                  \
        { text, sizeof text - 1 }, offsetof(struct head, member)                                                       \
    }
    WANTED("Host", host),
    WANTED("Content-Type", content_type),
    WANTED("Authorization", authorization),
    WANTED("Content-Length", content_length),
    WANTED("Transfer-Encoding", transfer_encoding),
    WANTED("Expect", expect),
    WANTED("If-None-Match", if_none_match),
    WANTED("Origin", origin),
    WANTED("X-Request-Id", request_id),
#undef WANTED
};

/* RFC 9112 section 3.2: a Host that is no uri-host with a port is refused. It may be empty. */
static bool is_host(struct str host)
{
    static const struct str never = { "/\\?#@,\"<>{}|^`", 14 };
    for (size_t i = 0; i < never.len; i++)
        if (str_has(host, never.at[i]))
            return false;
    return host.len == 0 || wire_is_visible(host);
}

/* RFC 9112 section 3.2: origin-form, absolute-form, "*", or what no route will know. */
static void read_target(struct str target, struct head *out)
{
    static const struct str schemes[] = { { "http://", 7 }, { "https://", 8 } };
    struct str path = target;
    for (size_t i = 0; i < 2; i++)
        if (target.len > schemes[i].len && str_eq_nocase((struct str){ target.at, schemes[i].len }, schemes[i])) {
            const char *root = memchr(target.at + schemes[i].len, '/', target.len - schemes[i].len);
            path = root ? (struct str){ root, target.len - (size_t)(root - target.at) } : STR("/");
        }
    struct str query = path;
    bool has_query = str_cut(&query, '?', &path);
    out->path = path;
    out->query = has_query ? query : (struct str){ 0, 0 };
}

static bool read_request_line(struct str line, struct head *out)
{
    struct str target, version = line;
    if (!str_cut(&version, ' ', &out->method) || !str_cut(&version, ' ', &target))
        return false;
    out->is_http_1_0 = str_eq(version, STR("HTTP/1.0"));
    read_target(target, out);
    return wire_is_token(out->method) && wire_is_visible(target) &&
           (out->is_http_1_0 || str_eq(version, STR("HTTP/1.1")));
}

/* Connection may come more than once, and each is a list (RFC 9110 section 7.6.1). */
static void read_connection(struct str list, struct head *out)
{
    struct str item;
    while (str_next_item(&list, ',', &item)) {
        item = str_trim(item);
        out->wants_close = out->wants_close || str_eq_nocase(item, STR("close"));
        out->wants_keep_alive = out->wants_keep_alive || str_eq_nocase(item, STR("keep-alive"));
    }
}

static bool keep(struct str name, struct str value, struct head *out)
{
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (name.len != wanted[i].name.len || !str_eq_nocase(name, wanted[i].name))
            continue;
        struct str *to = (void *)((char *)out + wanted[i].offset);
        if (to->at)
            return false;
        *to = value;
        return true;
    }
    if (str_eq_nocase(name, STR("Connection")))
        read_connection(value, out);
    return true;
}

static bool read_lines(struct str bytes, struct head *out)
{
    struct str rest = bytes, line, name, value;
    if (!wire_next_line(&rest, &line) || !read_request_line(line, out))
        return false;
    for (size_t count = 0; wire_next_line(&rest, &line); count++) {
        if (line.len == 0)
            return rest.len == 0;
        if (count == HEADERS_MAX || !wire_read_header(line, &name, &value) || !keep(name, value, out))
            return false;
    }
    return false;
}

struct err head_read(struct str bytes, struct head *out)
{
    *out = (struct head){ 0 };
    if (!read_lines(bytes, out))
        return failed(ERR_INVALID_REQUEST,
                      "a line of the head is malformed, or a header comes twice or is one too many");
    if (!out->host.at && !out->is_http_1_0)
        return failed(ERR_INVALID_REQUEST, "an HTTP/1.1 request needs a Host");
    if (out->host.at && !is_host(out->host))
        return failed(ERR_INVALID_REQUEST, "the Host is malformed");
    if (out->content_length.at && out->transfer_encoding.at)
        return failed(ERR_INVALID_REQUEST, "the request has both Content-Length and Transfer-Encoding");
    out->is_chunked = out->transfer_encoding.at != NULL;
    if (out->is_chunked && (out->is_http_1_0 || !str_eq_nocase(out->transfer_encoding, STR("chunked"))))
        return failed(ERR_INVALID_REQUEST, "the request's Transfer-Encoding is not chunked");
    out->wants_continue = !out->is_http_1_0 && str_eq_nocase(out->expect, STR("100-continue"));
    const struct str length = out->content_length;
    return !length.at || wire_read_length(length, &out->length)
               ? OK
               : failed(ERR_INVALID_REQUEST, "the request's Content-Length is not a number");
}
