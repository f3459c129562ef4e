/* service/client_uri.c: the URIs that a client registers. They are compared as strings later (RFC 9700 section 2.1),
 * so what is refused here is what browsers, proxies and clients read differently from what it looks like. */
#include "service/client_uri.h"
#include "base/address.h"
#include "base/hex.h"
#include "wire/uri.h"

/* Decoded into a header or a log it would end a line. */
static bool client_uri_has_control_code(struct str uri)
{
    for (size_t i = 0; i < uri.len; i++) {
        const int code = hex_percent(uri, i);
        if ((code >= 0 && code < 32) || code == 127)
            return true;
    }
    return false;
}

/* Schemes are compared as strings, so they are in lower case, as they are written (RFC 3986 section 3.1). */
static bool client_uri_split(struct str text, struct uri *out)
{
    return uri_split(text, out) && !str_has_capital(out->scheme);
}

/* Of an authority without user information: its host, and what follows the colon (at == NULL: no colon). */
static struct str client_uri_split_port(struct str authority, struct str *port)
{
    const char *bracket = authority.len > 0 ? memchr(authority.at, ']', authority.len) : NULL;
    const size_t from = bracket ? (size_t)(bracket - authority.at) : 0;
    const char *colon = authority.len > 0 ? memchr(authority.at + from, ':', authority.len - from) : NULL;
    *port = (struct str){ 0, 0 };
    if (!colon)
        return authority;
    *port = (struct str){ colon + 1, authority.len - (size_t)(colon + 1 - authority.at) };
    return (struct str){ authority.at, (size_t)(colon - authority.at) };
}

static bool client_uri_read_literal(struct str host, struct address *out)
{
    bool is_bracketed = host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    struct str inner = is_bracketed ? (struct str){ host.at + 1, host.len - 2 } : host;
    return str_has(inner, ':') == is_bracketed && address_read(inner, out);
}

/* A name, or an address as it is usually written: what ends in a number is read as an IPv4 address by browsers
 * (WHATWG URL, "ends in a number"), in octal and other forms too. */
static bool client_uri_is_host(struct str host)
{
    struct address address;
    if (client_uri_read_literal(host, &address))
        return true;
    if (!str_has_only(host, STR("-._")) || host.len == 0 || host.len > 253 || host.at[0] == '.' ||
        host.at[host.len - 1] == '.')
        return false;
    size_t label = host.len;
    while (label > 0 && host.at[label - 1] != '.')
        label--;
    return !char_is_digit(host.at[label]);
}

static bool client_uri_is_port(struct str port)
{
    int64_t number;
    return port.len > 0 && port.at[0] != '0' && str_number(port, 65535, &number);
}

/* This machine: RFC 8252 section 7.3, and "localhost", which resolves to nothing else (RFC 6761 section 6.3). */
static bool client_uri_is_loopback(struct str host)
{
    struct address address;
    return str_eq(host, STR("localhost")) || (client_uri_read_literal(host, &address) && address_is_loopback(&address));
}

/* "." and "..", encoded too: a browser leaves them out, and arrives somewhere else. */
static bool client_uri_has_dots(struct str path)
{
    struct str segment;
    while (str_next_item(&path, '/', &segment)) {
        size_t dots = 0, at = 0;
        for (; at < segment.len; dots++) {
            if (segment.at[at] == '.')
                at += 1;
            else if (hex_percent(segment, at) == '.')
                at += 3;
            else
                break;
        }
        if (at == segment.len && (dots == 1 || dots == 2))
            return true;
    }
    return false;
}

static const char *client_uri_fault_of_authority(const struct uri *uri, struct str *host)
{
    struct str port;
    *host = client_uri_split_port(uri->authority, &port);
    if (!client_uri_is_host(*host))
        return "its host is missing or malformed";
    return !port.at || client_uri_is_port(port) ? NULL : "its port is not a number from 1 to 65535";
}

/* https, or where it may be, http; `kind` says which. */
static const char *client_uri_fault_of_web(const struct uri *uri, enum client_uri kind)
{
    struct str host;
    const char *fault = client_uri_fault_of_authority(uri, &host);
    if (fault || str_eq(uri->scheme, STR("https")) || kind == CLIENT_URI_RESOURCE)
        return fault;
    if (kind == CLIENT_URI_FETCHED)
        return "it is not https";
    return client_uri_is_loopback(host) ? NULL : "it is neither https nor on the loopback interface";
}

/* RFC 8252 section 7.1: a name that belongs to the application's maker has a period; "javascript", "data" and their
 * like have none. */
static const char *client_uri_fault_of_private_scheme(const struct uri *uri)
{
    return str_has(uri->scheme, '.') ? NULL
                                     : "its scheme is neither https nor http nor a private-use scheme, which has a "
                                       "period";
}

/* Whether the encoded `name` is `parameter`. */
static bool client_uri_is_parameter(struct str name, struct str parameter)
{
    size_t at = 0;
    for (size_t i = 0; i < parameter.len; i++, at++) {
        if (at == name.len)
            return false;
        const int code = hex_percent(name, at);
        if ((code >= 0 ? (char)code : name.at[at]) != parameter.at[i])
            return false;
        at += code >= 0 ? 2 : 0;
    }
    return at == name.len;
}

static bool client_uri_is_response_parameter(struct str name)
{
    static const struct str parameters[] = {
        STR_INIT("code"),          STR_INIT("state"),         STR_INIT("iss"),      STR_INIT("error"),
        STR_INIT("response"),      STR_INIT("error_uri"),     STR_INIT("scope"),    STR_INIT("error_description"),
        STR_INIT("access_token"),  STR_INIT("token_type"),    STR_INIT("id_token"), STR_INIT("expires_in"),
        STR_INIT("session_state"), STR_INIT("refresh_token"),
    };
    for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++)
        if (client_uri_is_parameter(name, parameters[i]))
            return true;
    return false;
}

/* Parameters end at '&', for some readers at ';' as well. */
bool client_uri_has_response_parameter(struct str query)
{
    struct str outer, inner, name;
    while (str_next_item(&query, '&', &outer))
        while (str_next_item(&outer, ';', &inner)) {
            if (!str_cut(&inner, '=', &name))
                name = inner;
            if (client_uri_is_response_parameter(name))
                return true;
        }
    return false;
}

static const char *client_uri_fault_of_scheme(const struct uri *uri, enum client_uri kind)
{
    if (str_eq(uri->scheme, STR("https")) || str_eq(uri->scheme, STR("http")))
        return client_uri_fault_of_web(uri, kind);
    if (uri->path.len == 0 && uri->authority.len == 0)
        return "nothing follows its scheme";
    if (kind == CLIENT_URI_RESOURCE) /* a name: nobody goes there */
        return NULL;
    return kind == CLIENT_URI_NATIVE ? client_uri_fault_of_private_scheme(uri) : "it is not https";
}

const char *client_uri_fault(struct str text, enum client_uri kind)
{
    struct uri uri;
    if (text.len == 0 || text.len > CLIENT_URI_MAX)
        return "it is empty, or longer than 2048 bytes";
    const char *fault = uri_fault_of_bytes(text);
    if (fault)
        return fault;
    if (client_uri_has_control_code(text))
        return "it has an encoded control character";
    if (!client_uri_split(text, &uri))
        return "it is not absolute, or its scheme is not in lower case";
    if (str_has(uri.authority, '@'))
        return "it has user information";
    fault = client_uri_fault_of_scheme(&uri, kind);
    if (fault)
        return fault;
    if (str_has(uri.path, '[') || str_has(uri.path, ']') || str_has(uri.query, '[') || str_has(uri.query, ']'))
        return "it has characters that are not allowed in a URI";
    if (client_uri_has_dots(uri.path))
        return "its path has dot segments";
    if ((kind == CLIENT_URI_REDIRECT || kind == CLIENT_URI_NATIVE) && client_uri_has_response_parameter(uri.query))
        return "its query has a parameter that a response has";
    return NULL;
}

struct str client_uri_host(struct str text)
{
    struct uri uri;
    struct str port;
    return client_uri_split(text, &uri) ? client_uri_split_port(uri.authority, &port) : STR("");
}
