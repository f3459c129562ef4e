/* http/head.c: one pass over the lines, then what holds between them. */
#include "http/head.h"
#include "http/target.h"
#include "wire/fields.h"
#include "wire/lines.h"

enum { HEADERS_MAX = 64 };

static const struct {
    struct str name;
    size_t offset;
    bool is_list; /* may come on several lines */
} wanted[] = {
#define WANTED(text, member, is_list)                                                                                  \
    {                                                                                                                  \
        { text, sizeof text - 1 }, offsetof(struct head, member), is_list                                              \
    }
    WANTED("Host", host, false),
    WANTED("Content-Type", content_type, false),
    WANTED("Authorization", authorization, false),
    WANTED("Content-Length", content_length, false),
    WANTED("Transfer-Encoding", transfer_encoding, false),
    WANTED("Origin", origin, false),
    WANTED("Accept", accept, true),
    WANTED("Content-Encoding", content_encoding, true),
    WANTED("Expect", expect, true),
    WANTED("Forwarded", forwarded.forwarded, true),
    WANTED("If-None-Match", if_none_match, true),
    WANTED("X-Forwarded-For", forwarded.x_forwarded_for, true),
    WANTED("X-Forwarded-Proto", forwarded.x_forwarded_proto, true),
    WANTED("X-Request-Id", request_id, true), /* two are none that could be used, and no fault */
#undef WANTED
};
enum { WANTED_COUNT = sizeof wanted / sizeof *wanted };

static const struct err malformed = { ERR_INVALID_REQUEST, "a line of the head is malformed" };

/* HTTP-version = "HTTP/" DIGIT "." DIGIT (RFC 9112 section 2.3). */
static struct err read_version(struct str version, struct head *out)
{
    const struct str name = STR("HTTP/");
    if (version.len != name.len + 3 || !str_has_prefix(version, name) || version.at[6] != '.')
        return malformed;
    char major = version.at[5], minor = version.at[7];
    if (major < '0' || major > '9' || minor < '0' || minor > '9')
        return malformed;
    if (major != '1')
        return failed(ERR_VERSION, "the request is of another major version than HTTP/1.1");
    out->is_http_1_0 = minor == '0';
    return OK;
}

static struct err read_request_line(struct str line, struct head *out)
{
    struct str text, version = line;
    struct target target;
    if (!str_cut(&version, ' ', &out->method) || !str_cut(&version, ' ', &text) || !wire_is_token(out->method))
        return malformed;
    TRY(read_version(version, out));
    if (!target_read(out->method, text, &target))
        return failed(ERR_INVALID_REQUEST, "the request's target is no path");
    out->path = target.path;
    out->query = target.query;
    return OK;
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

/* Whether a proxy adds such a header. */
static bool tells_of_a_proxy(struct str name)
{
    static const struct str prefix = { "X-Forwarded-", 12 };
    return str_eq_nocase(name, STR("Forwarded")) || str_eq_nocase(name, STR("Via")) ||
           str_eq_nocase(name, STR("X-Real-IP")) ||
           (name.len > prefix.len && str_eq_nocase((struct str){ name.at, prefix.len }, prefix));
}

static size_t wanted_as(struct str name)
{
    size_t i = 0;
    while (i < WANTED_COUNT && (name.len != wanted[i].name.len || !str_eq_nocase(name, wanted[i].name)))
        i++;
    return i;
}

static struct str *member_of(struct head *head, size_t which)
{
    return (void *)((char *)head + wanted[which].offset);
}

/* *again gets a bit for each list that has come before. */
static struct err keep(struct str name, struct str value, struct head *out, unsigned *again)
{
    size_t which = wanted_as(name);
    out->is_forwarded = out->is_forwarded || tells_of_a_proxy(name);
    if (str_eq_nocase(name, STR("Connection")))
        read_connection(value, out);
    if (which == WANTED_COUNT)
        return OK;
    struct str *to = member_of(out, which);
    if (!to->at)
        *to = value;
    else if (wanted[which].is_list)
        *again |= 1u << which;
    else
        return failed(ERR_INVALID_REQUEST, "a header comes twice that may come once");
    return OK;
}

/* Reads the lines behind the first. */
static struct err read_headers(struct str rest, struct head *out, unsigned *again)
{
    struct str line, name, value;
    for (size_t count = 0; wire_next_line(&rest, &line); count++) {
        if (line.len == 0)
            return rest.len == 0 ? OK : malformed;
        if (count == HEADERS_MAX)
            return failed(ERR_HEADERS_TOO_LARGE, "the request has too many headers");
        if (!wire_read_header(line, &name, &value))
            return malformed;
        TRY(keep(name, value, out, again));
    }
    return malformed;
}

/* The list of several lines, in their order (RFC 9110 section 5.3). `rest`: as read_headers had it. */
static struct str join(struct arena *arena, struct str rest, size_t which)
{
    struct str line, name, value;
    struct buf all;
    buf_init(&all, arena, 256, rest.len);
    while (wire_next_line(&rest, &line) && line.len > 0 && wire_read_header(line, &name, &value))
        if (wanted_as(name) == which) {
            buf_add(&all, all.len > 0 ? STR(", ") : STR("")); /* no longer than the name that it stands for */
            buf_add(&all, value);
        }
    return buf_str(&all);
}

static struct err read_lines(struct arena *arena, struct str bytes, struct head *out)
{
    struct str rest = bytes, line;
    unsigned again = 0;
    if (!wire_next_line(&rest, &line))
        return malformed;
    TRY(read_request_line(line, out));
    TRY(read_headers(rest, out, &again));
    for (size_t i = 0; i < WANTED_COUNT; i++)
        if (again >> i & 1)
            *member_of(out, i) = join(arena, rest, i);
    return OK;
}

/* RFC 9112 sections 6.1 and 6.3: where the body ends has one meaning, or none. */
static struct err read_framing(struct head *out)
{
    if (out->content_length.at && out->transfer_encoding.at)
        return failed(ERR_INVALID_REQUEST, "the request has both Content-Length and Transfer-Encoding");
    out->is_chunked = out->transfer_encoding.at != NULL;
    if (out->is_chunked && (out->is_http_1_0 || !str_eq_nocase(out->transfer_encoding, STR("chunked"))))
        return failed(ERR_INVALID_REQUEST, "the request's Transfer-Encoding is not chunked");
    return !out->content_length.at || wire_read_length(out->content_length, &out->length)
               ? OK
               : failed(ERR_INVALID_REQUEST, "the request's Content-Length is not a number");
}

struct err head_read(struct arena *arena, struct str bytes, struct head *out)
{
    *out = (struct head){ 0 };
    TRY(read_lines(arena, bytes, out));
    if (!out->host.at && !out->is_http_1_0)
        return failed(ERR_INVALID_REQUEST, "an HTTP/1.1 request needs a Host");
    if (out->host.len > 0 && !target_is_authority(out->host)) /* it may be empty */
        return failed(ERR_INVALID_REQUEST, "the Host is malformed");
    out->wants_continue = !out->is_http_1_0 && field_has(out->expect, STR("100-continue"));
    return read_framing(out);
}
