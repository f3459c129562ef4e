/* http/head.c: one pass over the lines, then the checks that concern several of them. */
#include "http/head.h"
#include "wire/target.h"
#include "wire/fields.h"
#include "wire/lines.h"

enum { HEADERS_FIRST = 16, HEADERS_MAX = 64 };

/* Two of one of these would have two meanings. */
static const struct str once[] = { STR_INIT("Host"),         STR_INIT("Content-Length"), STR_INIT("Transfer-Encoding"),
                                   STR_INIT("Content-Type"), STR_INIT("Authorization"),  STR_INIT("Origin") };

static const struct err malformed = { ERR_INVALID_REQUEST, "the request line or a header is malformed" };

/* HTTP-version = "HTTP/" DIGIT "." DIGIT (RFC 9112 section 2.3). */
static struct err head_read_version(struct str version, struct head *out)
{
    const struct str name = STR("HTTP/");
    if (version.len != name.len + 3 || !str_has_prefix(version, name) || version.at[6] != '.')
        return malformed;
    char major = version.at[5], minor = version.at[7];
    if (major < '0' || major > '9' || minor < '0' || minor > '9')
        return malformed;
    if (major != '1')
        return failed(ERR_VERSION, "the request's HTTP version is not supported");
    out->is_http_1_0 = minor == '0';
    return OK;
}

static struct err head_read_request_line(struct str line, struct head *out)
{
    struct str text, version = line;
    struct target target;
    if (!str_cut(&version, ' ', &out->method) || !str_cut(&version, ' ', &text) || !wire_is_token(out->method))
        return malformed;
    TRY(head_read_version(version, out));
    if (!target_read(out->method, text, &target))
        return failed(ERR_INVALID_REQUEST, "the request's target is not a path");
    out->path = target.path;
    out->query = target.query;
    return OK;
}

static struct err head_read_headers(struct arena *arena, struct str rest, struct headers *out)
{
    struct str line;
    struct buf list;
    buf_init(&list, arena, HEADERS_FIRST * sizeof(struct header), HEADERS_MAX * sizeof(struct header));
    while (wire_next_line(&rest, &line)) {
        *out = (struct headers){ (const void *)list.at, list.len / sizeof(struct header) };
        if (line.len == 0)
            return rest.len == 0 ? OK : malformed;
        struct header *header = (void *)buf_reserve(&list, sizeof *header);
        if (!header)
            return failed(ERR_HEADERS_TOO_LARGE, "the request has too many headers");
        if (!wire_read_header(line, &header->name, &header->value))
            return malformed;
        list.len += sizeof *header;
    }
    return malformed;
}

/* RFC 9112 sections 6.1 and 6.3: where the body ends has one meaning, or none. */
static struct err head_read_framing(struct arena *arena, struct head *out)
{
    const struct str length = headers_value(out->headers, arena, STR("Content-Length"));
    const struct str encoding = headers_value(out->headers, arena, STR("Transfer-Encoding"));
    if (length.at && encoding.at)
        return failed(ERR_INVALID_REQUEST, "the request has both Content-Length and Transfer-Encoding");
    out->is_chunked = encoding.at != NULL;
    if (out->is_chunked && (out->is_http_1_0 || !str_eq_nocase(encoding, STR("chunked"))))
        return failed(ERR_INVALID_REQUEST, "the request's Transfer-Encoding is not chunked");
    return !length.at || wire_read_length(length, &out->length)
               ? OK
               : failed(ERR_INVALID_REQUEST, "the request's Content-Length is not a number");
}

/* What the headers say of the connection, and of how the request comes (RFC 9110 sections 7.2, 7.6.1 and 10.1.1). */
static struct err head_read_meaning(struct arena *arena, struct head *out)
{
    const struct str host = headers_value(out->headers, arena, STR("Host"));
    const struct str connection = headers_value(out->headers, arena, STR("Connection"));
    if (!host.at && !out->is_http_1_0)
        return failed(ERR_INVALID_REQUEST, "an HTTP/1.1 request needs a Host header");
    if (host.len > 0 && !target_is_authority(host)) /* it may be empty */
        return failed(ERR_INVALID_REQUEST, "the Host header is malformed");
    out->wants_close = field_has(connection, STR("close"));
    out->wants_keep_alive = field_has(connection, STR("keep-alive"));
    out->wants_continue = !out->is_http_1_0 &&
                          field_has(headers_value(out->headers, arena, STR("Expect")), STR("100-continue"));
    return head_read_framing(arena, out);
}

struct err head_read(struct arena *arena, struct str bytes, struct head *out)
{
    struct str rest = bytes, line;
    *out = (struct head){ 0 };
    if (!wire_next_line(&rest, &line))
        return malformed;
    TRY(head_read_request_line(line, out));
    TRY(head_read_headers(arena, rest, &out->headers));
    for (size_t i = 0; i < sizeof once / sizeof *once; i++)
        if (headers_count(out->headers, once[i]) > 1)
            return failed(ERR_INVALID_REQUEST, "a header that may occur only once occurs twice");
    return head_read_meaning(arena, out);
}
