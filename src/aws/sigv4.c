/* aws/sigv4.c: AWS Signature Version 4. The steps bear the names of AWS's description of it. */
#include "aws/sigv4.h"
#include "base/hex.h"
#include "jose/hmac.h"
#include "jose/jws.h"
#include <stdlib.h>
#include <time.h>

enum { CANONICAL_MAX = 256 * 1024, QUERY_MAX = 64, SEGMENTS_MAX = 128 };

void sigv4_time(int64_t at_s, char out[SIGV4_TIME_LEN + 1])
{
    struct tm tm = { 0 };
    const time_t at = (time_t)at_s;
    gmtime_r(&at, &tm);
    if (strftime(out, SIGV4_TIME_LEN + 1, "%Y%m%dT%H%M%SZ", &tm) != SIGV4_TIME_LEN)
        memcpy(out, "19700101T000000Z", SIGV4_TIME_LEN + 1);
}

/* Percent-encodes all but unreserved characters and, of what is sent encoded already, the percent signs where
 * `encodes_percent`; upper-case digits. */
static void sigv4_add_encoded(struct buf *out, struct str text, char also_plain, bool encodes_percent)
{
    for (size_t i = 0; i < text.len; i++) {
        const char c = text.at[i];
        if (hex_is_unreserved(c) || c == also_plain || (c == '%' && !encodes_percent))
            buf_add_char(out, c);
        else
            hex_add_percent(out, (unsigned char)c);
    }
}

/* --- the path ---------------------------------------------------------------------------------------------------- */

/* RFC 3986 section 5.2.4, and no empty segments. */
static struct err sigv4_normalize(struct arena *arena, struct str path, struct str *out)
{
    struct str segments[SEGMENTS_MAX], rest = path, segment;
    size_t count = 0;
    while (str_next_item(&rest, '/', &segment)) {
        if (segment.len == 0 || str_eq(segment, STR(".")))
            continue;
        if (str_eq(segment, STR(".."))) {
            count -= count > 0;
            continue;
        }
        if (count == SEGMENTS_MAX)
            return failed(ERR_INTERNAL, "a path to be signed has too many parts");
        segments[count++] = segment;
    }
    struct buf buf;
    buf_init(&buf, arena, path.len + 2, path.len + 2);
    for (size_t i = 0; i < count; i++) {
        buf_add_char(&buf, '/');
        buf_add(&buf, segments[i]);
    }
    if (count == 0 || (path.len > 0 && path.at[path.len - 1] == '/'))
        buf_add_char(&buf, '/');
    *out = buf_str(&buf);
    return OK;
}

/* --- the query --------------------------------------------------------------------------------------------------- */

struct pair {
    struct str name, value;
};

static int sigv4_compare_bytes(struct str a, struct str b)
{
    size_t len = a.len < b.len ? a.len : b.len;
    int order = len > 0 ? memcmp(a.at, b.at, len) : 0;
    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static int sigv4_compare_pairs(const void *left, const void *right)
{
    const struct pair *a = left, *b = right;
    int order = sigv4_compare_bytes(a->name, b->name);
    return order != 0 ? order : sigv4_compare_bytes(a->value, b->value);
}

static struct str sigv4_encoded(struct arena *arena, struct str text)
{
    struct buf buf;
    buf_init(&buf, arena, text.len + 1, 3 * text.len + 1);
    sigv4_add_encoded(&buf, text, '\0', false);
    return buf_str(&buf);
}

/* Sorted by name and value, as they look encoded. */
static struct err sigv4_add_query(struct arena *arena, struct buf *out, struct str query)
{
    struct pair pairs[QUERY_MAX];
    struct str item, name;
    size_t count = 0;
    while (str_next_item(&query, '&', &item)) {
        if (item.len == 0)
            continue;
        if (count == QUERY_MAX)
            return failed(ERR_INTERNAL, "a query to be signed has too many parts");
        struct str value = item;
        if (!str_cut(&value, '=', &name)) {
            name = item;
            value = (struct str){ 0, 0 };
        }
        pairs[count++] = (struct pair){ sigv4_encoded(arena, name), sigv4_encoded(arena, value) };
    }
    if (count > 1)
        qsort(pairs, count, sizeof *pairs, sigv4_compare_pairs);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add_char(out, '&');
        buf_add(out, pairs[i].name);
        buf_add_char(out, '=');
        buf_add(out, pairs[i].value);
    }
    return OK;
}

/* --- the headers ------------------------------------------------------------------------------------------------- */

/* Names in lower case; order: by name, and of one name as sent. */
struct named {
    struct str name, value;
    size_t place;
};

static int sigv4_compare_headers(const void *left, const void *right)
{
    const struct named *a = left, *b = right;
    int order = sigv4_compare_bytes(a->name, b->name);
    return order != 0 ? order : (a->place > b->place) - (a->place < b->place);
}

static struct str sigv4_in_lower_case(struct arena *arena, struct str name)
{
    char *to = arena_alloc(arena, name.len + 1);
    for (size_t i = 0; i < name.len; i++)
        to[i] = (char)(name.at[i] >= 'A' && name.at[i] <= 'Z' ? name.at[i] | 0x20 : name.at[i]);
    return (struct str){ to, name.len };
}

static bool sigv4_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Without blanks around it, and one space for each run of them within it (also of a folded line). */
static void sigv4_add_trimmed(struct buf *out, struct str value)
{
    bool begun = false;
    for (size_t i = 0, end; i < value.len; i = end) {
        while (i < value.len && sigv4_is_blank(value.at[i]))
            i++;
        for (end = i; end < value.len && !sigv4_is_blank(value.at[end]); end++)
            continue;
        if (begun && end > i)
            buf_add_char(out, ' ');
        buf_add(out, (struct str){ value.at + i, end - i });
        begun = begun || end > i;
    }
}

static void sigv4_add_headers(struct buf *out, struct buf *names, const struct named *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        bool is_more = i > 0 && str_eq(headers[i].name, headers[i - 1].name);
        if (!is_more) {
            if (i > 0) {
                buf_add_char(out, '\n');
                buf_add_char(names, ';');
            }
            buf_add(out, headers[i].name);
            buf_add(names, headers[i].name);
        }
        buf_add_char(out, is_more ? ',' : ':');
        sigv4_add_trimmed(out, headers[i].value);
    }
    buf_add_char(out, '\n');
}

/* --- the steps --------------------------------------------------------------------------------------------------- */

static void sigv4_add_hash(struct buf *out, struct str bytes)
{
    unsigned char digest[32];
    char text[2 * sizeof digest + 1];
    sha256(bytes, digest);
    buf_add(out, hex_write(digest, sizeof digest, text));
}

struct err sigv4_canonical_request(struct arena *arena, const struct sigv4_request *request, struct str *out,
                                   struct str *signed_headers)
{
    struct named headers[SIGV4_HEADERS_MAX] = { 0 };
    struct str path = request->path;
    struct buf buf, names;
    if (request->header_count > SIGV4_HEADERS_MAX)
        return failed(ERR_INTERNAL, "a request to be signed has too many headers");
    for (size_t i = 0; i < request->header_count; i++)
        headers[i] = (struct named){ sigv4_in_lower_case(arena, request->headers[i].name), request->headers[i].value,
                                     i };
    qsort(headers, request->header_count, sizeof *headers, sigv4_compare_headers);
    if (request->normalize_path)
        TRY(sigv4_normalize(arena, path, &path));
    buf_init(&buf, arena, 1024, CANONICAL_MAX);
    buf_init(&names, arena, 128, CANONICAL_MAX);
    buf_add(&buf, request->method);
    buf_add_char(&buf, '\n');
    sigv4_add_encoded(&buf, path, '/', true); /* encoded once more than it is sent */
    buf_add_char(&buf, '\n');
    TRY(sigv4_add_query(arena, &buf, request->query));
    buf_add_char(&buf, '\n');
    sigv4_add_headers(&buf, &names, headers, request->header_count);
    buf_add_char(&buf, '\n');
    buf_add(&buf, buf_str(&names));
    buf_add_char(&buf, '\n');
    sigv4_add_hash(&buf, request->body);
    if (buf.overflowed || names.overflowed)
        return failed(ERR_INTERNAL, "a request to be signed is too large");
    *out = buf_str(&buf);
    *signed_headers = buf_str(&names);
    return OK;
}

static void sigv4_add_scope(struct buf *out, const struct sigv4_scope *scope)
{
    buf_add(out, (struct str){ scope->time, SIGV4_DATE_LEN });
    buf_add_char(out, '/');
    buf_add(out, scope->region);
    buf_add_char(out, '/');
    buf_add(out, scope->service);
    buf_add(out, STR("/aws4_request"));
}

struct str sigv4_string_to_sign(struct arena *arena, const struct sigv4_scope *scope, struct str canonical_request)
{
    struct buf buf;
    buf_init(&buf, arena, 256, 1024 + scope->region.len + scope->service.len);
    buf_add(&buf, STR("AWS4-HMAC-SHA256\n"));
    buf_add(&buf, (struct str){ scope->time, SIGV4_TIME_LEN });
    buf_add_char(&buf, '\n');
    sigv4_add_scope(&buf, scope);
    buf_add_char(&buf, '\n');
    sigv4_add_hash(&buf, canonical_request);
    return buf_str(&buf);
}

static bool sigv4_hmac(const void *key, size_t key_len, struct str message, unsigned char out[SIGV4_KEY_LEN])
{
    return hmac_sha256((struct str){ key, key_len }, message, out);
}

struct err sigv4_derive_key(struct str secret_key, const struct sigv4_scope *scope, unsigned char key[SIGV4_KEY_LEN])
{
    char first[4 + 256];
    if (secret_key.len > sizeof first - 4)
        return failed(ERR_INVALID_REQUEST, "the AWS secret access key is too long");
    memcpy(first, "AWS4", 4);
    memcpy(first + 4, secret_key.at, secret_key.len);
    bool good = sigv4_hmac(first, 4 + secret_key.len, (struct str){ scope->time, SIGV4_DATE_LEN }, key) &&
                sigv4_hmac(key, SIGV4_KEY_LEN, scope->region, key) &&
                sigv4_hmac(key, SIGV4_KEY_LEN, scope->service, key) &&
                sigv4_hmac(key, SIGV4_KEY_LEN, STR("aws4_request"), key);
    mem_wipe(first, sizeof first);
    return good ? OK : failed(ERR_INTERNAL, "OpenSSL could not compute an HMAC");
}

struct err sigv4_signature(const unsigned char key[SIGV4_KEY_LEN], struct str string_to_sign,
                           char out[SIGV4_SIGNATURE_LEN + 1])
{
    unsigned char mac[SIGV4_KEY_LEN];
    if (!sigv4_hmac(key, SIGV4_KEY_LEN, string_to_sign, mac))
        return failed(ERR_INTERNAL, "OpenSSL could not compute an HMAC");
    (void)hex_write(mac, sizeof mac, out);
    return OK;
}

struct err sigv4_authorization(struct arena *arena, const struct sigv4_request *request,
                               const struct sigv4_scope *scope, struct str access_key,
                               const unsigned char key[SIGV4_KEY_LEN], struct str *out)
{
    struct str canonical = { 0, 0 }, signed_headers = { 0, 0 };
    char signature[SIGV4_SIGNATURE_LEN + 1];
    struct buf buf;
    TRY(sigv4_canonical_request(arena, request, &canonical, &signed_headers));
    TRY(sigv4_signature(key, sigv4_string_to_sign(arena, scope, canonical), signature));
    buf_init(&buf, arena, 384, 4096);
    buf_add(&buf, STR("AWS4-HMAC-SHA256 Credential="));
    buf_add(&buf, access_key);
    buf_add_char(&buf, '/');
    sigv4_add_scope(&buf, scope);
    buf_add(&buf, STR(", SignedHeaders="));
    buf_add(&buf, signed_headers);
    buf_add(&buf, STR(", Signature="));
    buf_add(&buf, (struct str){ signature, SIGV4_SIGNATURE_LEN });
    buf_add_char(&buf, '\0');
    if (buf.overflowed)
        return failed(ERR_INTERNAL, "a request to be signed is too large");
    *out = (struct str){ buf.at, buf.len - 1 };
    return OK;
}
