/* wire/target.c: characters first, then the forms. */
#include "wire/target.h"
#include "base/hex.h"
#include "wire/lines.h"
#include <arpa/inet.h>

/* RFC 3986 section 3.3, pchar without percent codes: a bit for each ASCII character. */
static bool target_is_path_char(char c)
{
    static const uint64_t allowed[2] = {
        UINT64_C(0x2fff7fd200000000), /* ! $ & ' ( ) * + , - . 0-9 : ; = */
        UINT64_C(0x47fffffe87ffffff), /* @ A-Z _ a-z ~ */
    };
    unsigned char byte = (unsigned char)c;
    return byte < 0x80 && (allowed[byte >> 6] >> (byte & 63) & 1);
}

/* Characters of a path, and those of `also`; none of `never`. */
static bool target_is_encoded(struct str text, struct str also, struct str never)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] == '%') {
            if (hex_percent(text, i) < 0)
                return false;
            i += 2;
        } else if (str_has(never, text.at[i]) || !(target_is_path_char(text.at[i]) || str_has(also, text.at[i]))) {
            return false;
        }
    }
    return true;
}

/* "[" IPv6address "]" with what follows it. The form for addresses of the future (IPvFuture) has none to this day. */
static bool target_is_ip_literal(struct str text, struct str *port)
{
    char address[INET6_ADDRSTRLEN + 1] = { 0 };
    unsigned char bytes[16];
    struct str inner, rest = { text.at + 1, text.len - 1 };
    if (!str_cut(&rest, ']', &inner) || inner.len >= sizeof address)
        return false;
    memcpy(address, inner.at, inner.len);
    *port = rest;
    return !str_has(inner, '\0') && inet_pton(AF_INET6, address, bytes) == 1;
}

/* *( DIGIT ), which may be none, behind a colon; or nothing. */
static bool target_is_port(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (i == 0 ? text.at[i] != ':' : !char_is_digit(text.at[i]))
            return false;
    return true;
}

bool target_is_authority(struct str text)
{
    struct str name = text, port = { 0, 0 };
    const char *colon = text.len > 0 ? memchr(text.at, ':', text.len) : NULL;
    if (text.len > 0 && text.at[0] == '[')
        return target_is_ip_literal(text, &port) && target_is_port(port);
    if (colon) {
        name.len = (size_t)(colon - text.at);
        port = (struct str){ colon, text.len - name.len };
    }
    return name.len > 0 && target_is_encoded(name, STR(""), STR(":@")) && target_is_port(port);
}

static bool target_read_path(struct str text, struct target *out)
{
    struct str query = text, path;
    if (str_cut(&query, '?', &path))
        out->query = query;
    else
        path = text;
    out->path = path;
    return path.len > 0 && path.at[0] == '/' && target_is_encoded(path, STR("/"), STR("")) && !str_has(out->query, '#');
}

/* scheme "://" authority path-abempty [ "?" query ] */
static bool target_read_absolute(struct str text, struct target *out)
{
    static const struct str schemes[] = { STR_INIT("http://"), STR_INIT("https://") };
    struct str rest = { 0, 0 };
    for (size_t i = 0; i < 2; i++)
        if (text.len > schemes[i].len && str_eq_nocase((struct str){ text.at, schemes[i].len }, schemes[i]))
            rest = (struct str){ text.at + schemes[i].len, text.len - schemes[i].len };
    size_t len = 0;
    while (len < rest.len && rest.at[len] != '/' && rest.at[len] != '?')
        len++;
    out->authority = (struct str){ rest.at, len };
    if (!target_is_authority(out->authority))
        return false;
    rest = (struct str){ rest.at + len, rest.len - len };
    if (rest.len > 0 && rest.at[0] == '/')
        return target_read_path(rest, out);
    out->path = STR("/"); /* RFC 9110 section 4.2.3: the same as no path */
    if (rest.len > 0)
        out->query = (struct str){ rest.at + 1, rest.len - 1 };
    return !str_has(out->query, '#');
}

bool target_read(struct str method, struct str text, struct target *out)
{
    *out = (struct target){ 0 };
    if (!wire_is_visible(text) || str_eq(method, STR("CONNECT")))
        return false;
    if (str_eq(text, STR("*"))) {
        out->path = text;
        return str_eq(method, STR("OPTIONS"));
    }
    return text.at[0] == '/' ? target_read_path(text, out) : target_read_absolute(text, out);
}
