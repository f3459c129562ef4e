/* wire/https_url.c: characters first, then the parts from left to right. */
#include "wire/https_url.h"
#include "base/hex.h"
#include "wire/lines.h"

enum { NAME_MAX_LEN = 253, LABEL_MAX = 63, PORT_MAX = 65535 };

static const struct str scheme = STR_INIT("https://");

static bool https_url_is_hex(char c)
{
    return hex_digit(c) >= 0;
}

static bool https_url_all(struct str text, bool (*is)(char))
{
    for (size_t i = 0; i < text.len; i++)
        if (!is(text.at[i]))
            return false;
    return text.len > 0;
}

/* RFC 3986 section 2: what may stand in a URL at all, and each % with its two digits. */
static bool https_url_has_good_characters(struct str text)
{
    if (!wire_is_visible(text))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (strchr("\"<>\\^`{|}", text.at[i]))
            return false;
        if (text.at[i] == '%' && hex_percent(text, i) < 0)
            return false;
    }
    return true;
}

static bool https_url_is_label(struct str label)
{
    return label.len > 0 && label.len <= LABEL_MAX && str_has_only(label, STR("-")) && label.at[0] != '-' &&
           label.at[label.len - 1] != '-';
}

/* RFC 1123 section 2.1. *last: its last label. str_next_item() has no empty item at the end, so a dot there is looked
 * for. */
static bool https_url_is_name(struct str name, struct str *last)
{
    struct str rest = name;
    if (name.len == 0 || name.len > NAME_MAX_LEN || name.at[name.len - 1] == '.')
        return false;
    while (str_next_item(&rest, '.', last))
        if (!https_url_is_label(*last))
            return false;
    return true;
}

/* Whether a name with this last label is an address to inet_aton(), and so to most resolvers: no top-level domain is a
 * number. */
static bool https_url_is_number(struct str label)
{
    if (label.len < 2 || label.at[0] != '0' || (label.at[1] != 'x' && label.at[1] != 'X'))
        return https_url_all(label, char_is_digit);
    const struct str digits = { label.at + 2, label.len - 2 };
    return digits.len == 0 || https_url_all(digits, https_url_is_hex);
}

static const char *https_url_read_host(struct str host, struct https_url *out)
{
    struct str last = { 0, 0 };
    const bool is_bracketed = host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
    out->host = is_bracketed ? (struct str){ host.at + 1, host.len - 2 } : host;
    out->is_address = is_bracketed;
    if (is_bracketed)
        return str_has(out->host, ':') && address_read(out->host, &out->address)
                   ? NULL
                   : "what stands in brackets is not an IPv6 address";
    if (!https_url_is_name(host, &last))
        return "its host is not a name or an address";
    out->is_address = https_url_is_number(last);
    return !out->is_address || address_read(host, &out->address) ? NULL
                                                                 : "its host is not an IPv4 address in its usual form";
}

/* Behind the last colon that does not stand in brackets. */
static const char *https_url_read_authority(struct str authority, struct https_url *out)
{
    int64_t port = HTTPS_PORT;
    struct str host = authority;
    const char *colon = memrchr(authority.at, ':', authority.len);
    if (colon && authority.at[authority.len - 1] != ']') {
        host.len = (size_t)(colon - authority.at);
        const struct str digits = { colon + 1, authority.len - host.len - 1 };
        if (digits.len == 0 || digits.at[0] == '0' || !str_number(digits, PORT_MAX, &port))
            return "its port is not a number from 1 to 65535";
    }
    out->port = (int)port;
    return https_url_read_host(host, out);
}

const char *https_url_read(struct str text, struct https_url *out)
{
    struct https_url url = { .port = 0 };
    if (text.len > HTTPS_URL_MAX)
        return "it is longer than 2048 bytes";
    if (text.len <= scheme.len || !str_eq_nocase((struct str){ text.at, scheme.len }, scheme))
        return "it does not begin with https://";
    if (!https_url_has_good_characters(text))
        return "it has characters that are not allowed in a URL";
    if (str_has(text, '#'))
        return "it has a fragment";
    struct str authority = { text.at + scheme.len, 0 };
    while (authority.len < text.len - scheme.len && !strchr("/?", authority.at[authority.len]))
        authority.len++;
    url.target = (struct str){ authority.at + authority.len, text.len - scheme.len - authority.len };
    if (authority.len == 0)
        return "it has no host";
    if (str_has(authority, '@'))
        return "it has a user or a password";
    const char *fault = https_url_read_authority(authority, &url);
    if (!fault)
        *out = url;
    return fault;
}
