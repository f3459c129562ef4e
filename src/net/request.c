/* net/request.c: measured first and then written, so that no copy of a secret is left behind by a text that grows. */
#include "net/request.h"
#include "wire/lines.h"

enum { FIXED = 256, URL_MAX = 8192 };

static bool cut(struct str text, struct str scheme, struct net_url *out)
{
    if (text.len <= scheme.len || !str_eq_nocase((struct str){ text.at, scheme.len }, scheme))
        return false;
    const char *rest = text.at + scheme.len;
    const size_t host = strcspn(rest, "/?#"), path = strcspn(rest + host, "#");
    *out = (struct net_url){ .origin = { text.at, scheme.len + host },
                             .host = { rest, host },
                             .path = { rest + host, path } };
    return host > 0;
}

struct err net_read_url(const char *url, struct net_url *out)
{
    const struct str text = str_of(url);
    struct net_url parts = { 0 };
    if (text.len > URL_MAX || !wire_is_visible(text) ||
        (!cut(text, STR("https://"), &parts) && !cut(text, STR("http://"), &parts)))
        return failed(ERR_UNAVAILABLE, "the URL is malformed, or not one of http or https");
    if (str_has(parts.host, '@')) /* and it is not logged */
        return failed(ERR_UNAVAILABLE, "a URL with a user or a password is not called");
    parts.is_plain = text.at[4] == ':';
    *out = parts;
    return OK;
}

static bool is_sound(const struct net_header *header)
{
    const struct str name = str_of(header->name), value = str_of(header->value);
    return wire_is_token(name) && wire_is_value(value) && value.len > 0 && name.len + value.len <= NET_HEADER_MAX;
}

static struct err measure(const struct net_request *request, const struct net_url *url, size_t *out)
{
    size_t size = FIXED + strlen(request->method) + url->path.len + url->host.len + request->body.len;
    if (request->header_count > NET_HEADERS_MAX || !wire_is_token(str_of(request->method)))
        return failed(ERR_INTERNAL, "a request has too many headers, or no method");
    for (size_t i = 0; i < request->header_count; i++) {
        if (!is_sound(&request->headers[i]))
            return failed(ERR_INTERNAL, "a request's header is malformed");
        size += strlen(request->headers[i].name) + strlen(request->headers[i].value) + 4;
    }
    *out = size;
    return OK;
}

static bool has_header(const struct net_request *request, struct str name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (str_eq_nocase(str_of(request->headers[i].name), name))
            return true;
    return false;
}

static void add_header(struct buf *out, struct str name, struct str value)
{
    buf_add(out, name);
    buf_add(out, STR(": "));
    buf_add(out, value);
    buf_add(out, STR("\r\n"));
}

/* RFC 9110 section 8.6: also for an empty body, where the method could have one. */
static void add_length(struct buf *out, const struct net_request *request)
{
    if (request->body.len == 0 && strcmp(request->method, "GET") == 0)
        return;
    buf_add(out, STR("Content-Length: "));
    buf_add_int(out, (int64_t)request->body.len);
    buf_add(out, STR("\r\n"));
}

struct err net_write_request(struct arena *arena, const struct net_request *request, const struct net_url *url,
                             struct str *out)
{
    size_t size = 0;
    struct buf buf;
    TRY(measure(request, url, &size));
    buf_init(&buf, arena, size, size);
    buf_add(&buf, str_of(request->method));
    buf_add_char(&buf, ' ');
    if (url->path.len == 0 || url->path.at[0] != '/')
        buf_add_char(&buf, '/');
    buf_add(&buf, url->path);
    buf_add(&buf, STR(" HTTP/1.1\r\n"));
    if (!has_header(request, STR("Host")))
        add_header(&buf, STR("Host"), url->host);
    if (!has_header(request, STR("User-Agent")))
        add_header(&buf, STR("User-Agent"), STR("token-service"));
    for (size_t i = 0; i < request->header_count; i++)
        add_header(&buf, str_of(request->headers[i].name), str_of(request->headers[i].value));
    add_length(&buf, request);
    buf_add(&buf, STR("\r\n"));
    buf_add(&buf, request->body);
    *out = buf_str(&buf);
    return buf.overflowed ? failed(ERR_INTERNAL, "a request is larger than it was measured") : OK;
}
