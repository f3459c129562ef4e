/* wire/uri.c: which bytes a URI has, and where it is divided. */
#include "wire/uri.h"
#include "base/hex.h"

/* Unreserved characters, those that delimit (section 2.2) but for the fragment's, and percent codes. */
const char *uri_fault_of_bytes(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.at[i];
        if (c == '#')
            return "it has a fragment";
        if (c != '%' && !hex_is_unreserved(c) && !str_has(STR(":/?[]@!$&'()*+,;="), c))
            return "it has characters that are not allowed in a URI";
        if (c == '%' && hex_percent(text, i) < 0)
            return "it has a percent sign without two hexadecimal digits";
    }
    return NULL;
}

/* Section 3.1. */
static bool uri_is_scheme(struct str text)
{
    return text.len > 0 && char_is_letter(text.at[0]) && str_has_only(text, STR("+-."));
}

/* What `rest` begins with, up to one of `ends`, which stay there. */
static struct str uri_take_until(struct str *rest, struct str ends)
{
    size_t len = 0;
    while (len < rest->len && !str_has(ends, rest->at[len]))
        len++;
    const struct str taken = { rest->at, len };
    *rest = (struct str){ rest->at + len, rest->len - len };
    return taken;
}

bool uri_split(struct str text, struct uri *out)
{
    struct uri parts = { .query = { 0, 0 } };
    struct str rest = text;
    if (uri_fault_of_bytes(text) || !str_cut(&rest, ':', &parts.scheme) || !uri_is_scheme(parts.scheme))
        return false;
    if (str_has_prefix(rest, STR("//"))) {
        rest = (struct str){ rest.at + 2, rest.len - 2 };
        parts.authority = uri_take_until(&rest, STR("/?"));
    }
    parts.path = uri_take_until(&rest, STR("?"));
    if (rest.len > 0)
        parts.query = (struct str){ rest.at + 1, rest.len - 1 };
    *out = parts;
    return true;
}
