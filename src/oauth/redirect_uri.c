/* oauth/redirect_uri.c: what a redirect URI must be, which registered one it is, and the answer at its end. */
#include "oauth/redirect_uri.h"
#include "base/hex.h"
#include "service/client_uri.h"
#include "wire/uri.h"

/* --- what nobody is redirected to --------------------------------------------------------------------------------- */

/* What a browser would run, show as ours, or open from the user's disk. */
static const struct str bad_schemes[] = { STR_INIT("javascript"), STR_INIT("vbscript"),   STR_INIT("data"),
                                          STR_INIT("blob"),       STR_INIT("file"),       STR_INIT("about"),
                                          STR_INIT("filesystem"), STR_INIT("view-source") };

static bool redirect_uri_is_bad_scheme(struct str scheme)
{
    for (size_t i = 0; i < sizeof bad_schemes / sizeof *bad_schemes; i++)
        if (str_eq_nocase(scheme, bad_schemes[i]))
            return true;
    return false;
}

/* Of schemes other than the web's nothing more is known: `com.example.app:/answer` has no authority. */
static bool redirect_uri_is_fit(struct str text)
{
    struct uri uri;
    if (text.len > REDIRECT_URI_MAX || !uri_split(text, &uri) || redirect_uri_is_bad_scheme(uri.scheme) ||
        client_uri_has_response_parameter(uri.query) || str_has(uri.authority, '@'))
        return false;
    const bool is_web = str_eq_nocase(uri.scheme, STR("https")) || str_eq_nocase(uri.scheme, STR("http"));
    return !is_web || (uri.authority.len > 0 && uri.authority.at[0] != ':');
}

/* --- which one it is ---------------------------------------------------------------------------------------------- */

/* `http` on a loopback address: the address in the one spelling that counts, and what follows the port. */
struct loopback {
    struct str origin, rest;
};

/* ":" and a number of 1 to 65535 in one spelling, or nothing, at the beginning of *rest. */
static bool redirect_uri_take_port(struct str *rest)
{
    int64_t port = 0;
    size_t len = 0;
    if (rest->len == 0 || rest->at[0] != ':')
        return true;
    const struct str digits = { rest->at + 1, rest->len - 1 };
    while (len < digits.len && char_is_digit(digits.at[len]))
        len++;
    if (!str_number((struct str){ digits.at, len }, 65535, &port) || digits.at[0] == '0')
        return false;
    *rest = (struct str){ digits.at + len, digits.len - len };
    return true;
}

static bool redirect_uri_read_loopback(struct str text, struct loopback *out)
{
    static const struct str origins[] = { STR_INIT("http://127.0.0.1"), STR_INIT("http://[::1]") };
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        if (!str_has_prefix(text, origins[i]))
            continue;
        struct str rest = { text.at + origins[i].len, text.len - origins[i].len };
        if (!redirect_uri_take_port(&rest))
            return false;
        *out = (struct loopback){ origins[i], rest };
        return rest.len == 0 || rest.at[0] == '/' || rest.at[0] == '?';
    }
    return false;
}

static bool redirect_uri_is_same_but_for_port(struct str registered, struct str presented)
{
    struct loopback one, other;
    return redirect_uri_read_loopback(registered, &one) && redirect_uri_read_loopback(presented, &other) &&
           str_eq(one.origin, other.origin) && str_eq(one.rest, other.rest);
}

bool redirect_uri_find(const struct str *registered, size_t count, bool is_native, struct str presented,
                       struct redirect_uri *out)
{
    if (!redirect_uri_is_fit(presented))
        return false;
    for (size_t i = 0; i < count; i++)
        if (str_eq(registered[i], presented) ||
            (is_native && redirect_uri_is_same_but_for_port(registered[i], presented))) {
            *out = (struct redirect_uri){ presented };
            return true;
        }
    return false;
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static void redirect_uri_add_encoded(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (hex_is_unreserved(text.at[i]))
            buf_add_char(out, text.at[i]);
        else
            hex_add_percent(out, (unsigned char)text.at[i]);
}

/* What must stand before the next parameter. */
static struct str redirect_uri_separator(const struct buf *out)
{
    struct str query = buf_str(out), before;
    if (!str_cut(&query, '?', &before))
        return STR("?");
    return query.len == 0 || query.at[query.len - 1] == '&' ? STR("") : STR("&");
}

struct err redirect_uri_with(struct arena *arena, const struct redirect_uri *to,
                             const struct redirect_parameter *parameters, size_t count, struct str *out)
{
    struct buf uri;
    buf_init(&uri, arena, 512, REDIRECT_MAX);
    buf_add(&uri, to->text);
    for (size_t i = 0; i < count; i++) {
        if (!parameters[i].value.at)
            continue;
        buf_add(&uri, redirect_uri_separator(&uri));
        redirect_uri_add_encoded(&uri, parameters[i].name);
        buf_add_char(&uri, '=');
        redirect_uri_add_encoded(&uri, parameters[i].value);
    }
    if (uri.overflowed)
        return failed(ERR_TOO_LARGE, "the answer is too long for a redirect");
    *out = buf_str(&uri);
    return OK;
}
