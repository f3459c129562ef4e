/* base/settings_forms.c: what numbers and texts of settings must look like. */
#include "base/settings_rows.h"
#include "base/address.h"

/* Only digits: no sign, space, leading zero or unit; 18 of them can't overflow. */
bool settings_is_number(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!char_is_digit(text.at[i]))
            return false;
    return text.len > 0 && (text.at[0] != '0' || text.len == 1);
}

bool settings_number(struct str text, int64_t min, int64_t max, int64_t *out)
{
    return settings_is_number(text) && str_number(text, max, out) && *out >= min;
}

/* host[:port] with an IPv6 address in brackets; *port has at == NULL when there is none. */
static bool settings_forms_split_authority(struct str text, struct str *host, struct str *port)
{
    const char *colon = text.len > 0 ? memrchr(text.at, ':', text.len) : NULL;
    *host = text;
    *port = (struct str){ 0, 0 };
    if (colon && !memchr(colon, ']', text.len - (size_t)(colon - text.at))) {
        *host = (struct str){ text.at, (size_t)(colon - text.at) };
        *port = (struct str){ colon + 1, text.len - host->len - 1 };
    }
    bool bracketed = host->len > 2 && host->at[0] == '[' && host->at[host->len - 1] == ']';
    struct str inner = bracketed ? (struct str){ host->at + 1, host->len - 2 } : *host;
    return inner.len < 256 && str_has_only(inner, bracketed ? STR(":.%") : STR("-._")) &&
           (!bracketed || str_has(inner, ':'));
}

const char *settings_fault_of_listen(struct str text)
{
    struct str host, port;
    int64_t number;
    if (!settings_forms_split_authority(text, &host, &port))
        return "its host is not a name or an address";
    if (!port.at)
        return "it has no port";
    return settings_number(port, 0, 65535, &number) ? NULL : "its port is not a number from 0 to 65535";
}

/* After "scheme://" and before a path. */
static bool settings_forms_is_authority(struct str text, struct str *port)
{
    struct str host;
    int64_t number;
    return settings_forms_split_authority(text, &host, port) && host.len > 0 &&
           (!port->at || settings_number(*port, 1, 65535, &number));
}

const char *settings_fault_of_issuer(struct str text)
{
    const struct str schemes[] = { STR("https://"), STR("http://") };
    struct str rest = { 0, 0 }, authority, port;
    for (size_t i = 0; i < 2 && !rest.at; i++)
        if (str_has_prefix(text, schemes[i]))
            rest = (struct str){ text.at + schemes[i].len, text.len - schemes[i].len };
    if (!rest.at)
        return "it does not begin with https:// or http://";
    for (size_t i = 0; i < rest.len; i++)
        if (rest.at[i] <= ' ' || rest.at[i] > '~' || strchr("\"<>\\^`{|}", rest.at[i])) /* RFC 3986 section 2 */
            return "it has characters that are not allowed in a URL";
    if (str_has(rest, '?') || str_has(rest, '#'))
        return "it has a query or a fragment";
    if (!str_cut(&rest, '/', &authority))
        authority = rest;
    if (str_has(authority, '@'))
        return "it has a user or a password before an @";
    return settings_forms_is_authority(authority, &port) ? NULL : "its host or port is malformed";
}

/* A service key goes there with each call. Unencrypted it may go no further than this machine. */
const char *settings_fault_of_supabase_url(struct str text)
{
    static const struct str near[] = { STR_INIT("127.0.0.1"), STR_INIT("localhost"), STR_INIT("[::1]") };
    const char *fault = settings_fault_of_issuer(text);
    struct str rest = text, host = text;
    if (fault || !str_has_prefix(text, STR("http://")))
        return fault;
    for (size_t i = 0; i < 2; i++) /* "http:" and nothing */
        (void)str_cut(&rest, '/', &host);
    host = rest;
    (void)str_cut(&rest, '/', &host);
    for (size_t i = 0; i < sizeof near / sizeof *near; i++)
        if (str_has_prefix(host, near[i]) && (host.len == near[i].len || host.at[near[i].len] == ':'))
            return NULL;
    return "it is neither https nor on this machine";
}

const char *settings_fault_of_list(struct str text)
{
    struct str one;
    if (text.at[text.len - 1] == ',')
        return "an item of the list is empty";
    while (str_next_item(&text, ',', &one))
        if (str_trim(one).len == 0)
            return "an item of the list is empty";
    return NULL;
}

const char *settings_fault_of_audience(struct str text)
{
    size_t commas = 0;
    for (size_t i = 0; i < text.len; i++)
        commas += text.at[i] == ',';
    return commas >= SETTINGS_AUDIENCE_MAX ? "the list is too long" : settings_fault_of_list(text);
}

/* As a browser sends it (RFC 6454 section 6.2): lower case, without the scheme's default port, no path. They are
 * compared as texts, so any other form would silently never match. */
static const char *settings_forms_fault_of_origin(struct str origin)
{
    const char *end = memmem(origin.at, origin.len, "://", 3);
    struct str port;
    if (str_eq(origin, STR("*")))
        return NULL;
    if (!end || end == origin.at)
        return "an origin has no scheme";
    struct str scheme = { origin.at, (size_t)(end - origin.at) };
    struct str authority = { end + 3, origin.len - scheme.len - 3 };
    if (str_has_capital(origin))
        return "an origin is not in lower case";
    if (!char_is_letter(scheme.at[0]) || !str_has_only(scheme, STR("+-.")))
        return "an origin's scheme is malformed";
    if (!settings_forms_is_authority(authority, &port))
        return "an origin's host or port is malformed, or it has a path";
    if ((str_eq(scheme, STR("https")) && str_eq(port, STR("443"))) ||
        (str_eq(scheme, STR("http")) && str_eq(port, STR("80"))))
        return "an origin names its scheme's default port, which browsers leave out";
    return NULL;
}

const char *settings_fault_of_origins(struct str text)
{
    struct str one;
    const char *fault = settings_fault_of_list(text);
    while (!fault && str_next_item(&text, ',', &one))
        fault = settings_forms_fault_of_origin(str_trim(one));
    return fault;
}

const char *settings_fault_of_networks(struct str text)
{
    struct networks networks;
    const char *fault = settings_fault_of_list(text);
    return fault ? fault : networks_read(text, &networks);
}

/* Compared with paths as they are sent, so it has no percent code, and no segment that somebody might resolve. */
const char *settings_fault_of_path_prefix(struct str text)
{
    struct str rest = { text.at + 1, text.len - 1 }, segment;
    if (text.at[0] != '/' || text.len == 1 || text.at[text.len - 1] == '/')
        return "it does not begin with a slash, or ends with one";
    if (!str_has_only(text, STR("/-._~$")))
        return "it has characters other than letters, digits, / - . _ ~ and $";
    while (str_next_item(&rest, '/', &segment))
        if (segment.len == 0 || str_eq(segment, STR(".")) || str_eq(segment, STR("..")))
            return "a segment of it is empty, . or ..";
    return NULL;
}

/* Who guesses it can try subjects one after the other. */
const char *settings_fault_of_salt(struct str text)
{
    return text.len < SETTINGS_SALT_MIN ? "it is shorter than 32 bytes" : NULL;
}

/* It becomes part of a host's name and of what is signed. */
const char *settings_fault_of_region(struct str text)
{
    if (!str_has_only(text, STR("-")) || str_has_capital(text))
        return "it has other characters";
    return text.at[0] == '-' || text.at[text.len - 1] == '-' ? "it begins or ends with a hyphen" : NULL;
}

const char *settings_fault_of_bus(struct str text)
{
    const bool is_arn = str_has_prefix(text, STR("arn:"));
    if (!str_has_only(text, is_arn ? STR("/.-_:") : STR("/.-_")))
        return "it has other characters";
    return is_arn && !memmem(text.at, text.len, ":event-bus/", 11) ? "it is an ARN, but not of an event bus" : NULL;
}

/* It stands in JSON as it is (observe/emf.c); CloudWatch would take more. */
const char *settings_fault_of_service(struct str text)
{
    if (!str_has_only(text, STR("-_.:/")))
        return "it has other characters";
    return text.at[0] == ':' ? "it begins with a colon" : NULL;
}
