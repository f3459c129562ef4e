/* http/headers.c: reads headers strictly out of a lenient parser.
 *
 * Lenience between two parsers is what request smuggling lives on (CWE-444), and libmicrohttpd 0.9.75 takes bare LF,
 * folded lines, NUL in a value and lines without a name for good. It leaves its views in the bytes as they came, with
 * each CR and LF overwritten by NUL; so what it forgave can be seen: between the end of one line and the next name must
 * lie exactly two NULs, and behind the last line four. Later versions refuse all that by themselves (server.c asks them
 * to), and may lay their memory out in another way: there the gaps are not looked at. */
#include "http/headers.h"
#include <stdint.h>

enum { HEADERS_MAX = 64, LENGTH_DIGITS_MAX = 18 };

static const struct {
    struct str name;
    size_t offset;
} wanted[] = {
#define WANTED(text, member)                                                                                           \
    {                                                                                                                  \
        { text, sizeof text - 1 }, offsetof(struct headers, member)                                                    \
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

/* RFC 9110 section 5.6.2, tchar: a bit for each ASCII character. */
static bool is_token_char(unsigned char c)
{
    static const uint64_t allowed[2] = {
        UINT64_C(0x03ff6cfa00000000), /* ! # $ % & ' * + - . 0-9 */
        UINT64_C(0x57ffffffc7fffffe), /* A-Z ^ _ ` a-z | ~ */
    };
    return c < 0x80 && (allowed[c >> 6] >> (c & 63) & 1);
}

static bool is_name(struct str name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!is_token_char((unsigned char)name.at[i]))
            return false;
    return name.len > 0;
}

/* RFC 9110 section 5.5: no control character but the tab. */
static bool is_value(struct str value)
{
    unsigned bad = 0;
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.at[i];
        bad |= (unsigned)((c < 0x20) & (c != '\t')) | (unsigned)(c == 0x7f);
    }
    return bad == 0;
}

/* RFC 3986: visible ASCII alone. */
static bool is_target(const char *url)
{
    while (*url > ' ' && *url < 0x7f)
        url++;
    return *url == '\0';
}

static bool leaves_gaps(void)
{
    return strcmp(MHD_get_version(), "0.9.75") == 0;
}

/* Where the next line begins, if this one ends with CR LF. */
static const char *line_after(const char *end)
{
    return end[0] == '\0' && end[1] == '\0' ? end + 2 : NULL;
}

static enum MHD_Result take(void *cls, enum MHD_ValueKind kind, const char *key, size_t key_len, const char *value,
                            size_t value_len)
{
    struct headers *headers = cls;
    struct str name = { key, key_len }, text = { value ? value : "", value ? value_len : 0 };
    (void)kind;
    headers->size += key_len + value_len + 4; /* colon, space, CR LF */
    if (++headers->count > HEADERS_MAX || !is_name(name) || !is_value(text))
        headers->is_bad = true;
    if (headers->next) {
        headers->is_bad = headers->is_bad || key != headers->next || !value;
        headers->next = headers->is_bad ? NULL : line_after(value + value_len);
        headers->is_bad = headers->is_bad || !headers->next;
    }
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        if (!str_eq_nocase(name, wanted[i].name))
            continue;
        struct str *to = (void *)((char *)headers + wanted[i].offset);
        if (to->at)
            headers->is_bad = true;
        *to = text;
    }
    return headers->is_bad ? MHD_NO : MHD_YES;
}

static struct err read_length(struct headers *headers)
{
    const struct str text = headers->content_length;
    if (!text.at)
        return OK;
    bool good = text.len > 0 && text.len <= LENGTH_DIGITS_MAX;
    for (size_t i = 0; good && i < text.len; i++) {
        good = text.at[i] >= '0' && text.at[i] <= '9';
        headers->length = headers->length * 10 + (size_t)(text.at[i] - '0');
    }
    return good ? OK : failed(ERR_INVALID_REQUEST, "the request's Content-Length is not a number");
}

struct err headers_read(struct MHD_Connection *handle, const char *url, const char *version, size_t size_max,
                        struct headers *out)
{
    bool gaps = leaves_gaps();
    *out = (struct headers){ .next = gaps ? line_after(version + strlen(version)) : NULL,
                             .size = strlen(url) + strlen(version) + 8 };
    out->is_bad = gaps && !out->next;
    if (!out->is_bad)
        MHD_get_connection_values_n(handle, MHD_HEADER_KIND, take, out);
    if (out->is_bad || (gaps && !line_after(out->next)))
        return failed(ERR_INVALID_REQUEST, "a header is malformed, comes twice, or is one too many");
    if (!is_target(url) || (strcmp(version, MHD_HTTP_VERSION_1_1) != 0 && strcmp(version, MHD_HTTP_VERSION_1_0) != 0))
        return failed(ERR_INVALID_REQUEST, "the request line is malformed");
    if (out->size > size_max)
        return failed(ERR_HEADERS_TOO_LARGE, "the request line and headers are too large");
    if (!out->host.at && strcmp(version, MHD_HTTP_VERSION_1_1) == 0)
        return failed(ERR_INVALID_REQUEST, "an HTTP/1.1 request needs a Host");
    if (out->content_length.at && out->transfer_encoding.at)
        return failed(ERR_INVALID_REQUEST, "the request has both Content-Length and Transfer-Encoding");
    out->is_chunked = out->transfer_encoding.at != NULL;
    if (out->is_chunked && !str_eq_nocase(out->transfer_encoding, STR("chunked")))
        return failed(ERR_INVALID_REQUEST, "the request's Transfer-Encoding is not chunked");
    return read_length(out);
}
