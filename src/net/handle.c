/* net/handle.c: libcurl's easy interface. It passes on a response's header lines and pieces of the body, and that is
 * where a response that is too long is cut off. libcurl decides where a body ends. */
#include "net/handle.h"
#include "net/guard.h"
#include "wire/lines.h"
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

enum {
    HEAD_MAX = 16 * 1024,
    HEADERS_MAX = 64,
    INTERIM_MAX = 8,
    TEXT_MAX = 256, /* of a header that is kept */
    FIRST_BODY = 4096,
    SECONDS_DIGITS_MAX = 6,
    IDLE_S = 60,    /* a connection is not used again after that: something on the way may have forgotten it */
    AGE_S = 5 * 60, /* nor after that: the name may lead elsewhere by now */
};

/* --- an answer, as it comes -------------------------------------------------------------------------------------- */

struct coming {
    const struct guard *guard; /* NULL: none */
    bool is_kept_away;         /* from an address that its name leads to */
    struct arena *arena;
    struct buf body;
    struct net_answer answer;
    struct str date;     /* with a NUL behind it */
    size_t lines, bytes; /* of this head, and of trailers */
    unsigned interim;
    bool has_head;
    const char *refused; /* why no more of it is taken; static, or NULL */
};

static const char malformed[] = "the response is not HTTP/1.1, or one of its headers is malformed",
                  ended[] = "the connection ended before the response",
                  coded[] = "the response has a content coding that was not asked for";

/* A number of seconds. A date (RFC 9110 section 10.2.3) says nothing here. */
static int64_t handle_seconds_of(struct str text)
{
    size_t seconds = 0;
    return text.len <= SECONDS_DIGITS_MAX && wire_read_length(text, &seconds) ? (int64_t)seconds : 0;
}

static void handle_keep_text(const struct coming *coming, struct str value, struct str *out)
{
    if (value.len <= TEXT_MAX)
        *out = arena_copy(coming->arena, value);
}

static void handle_keep_list(const struct coming *coming, struct str value, struct str *out)
{
    if (out->len > 0 && value.len <= TEXT_MAX)
        *out = arena_printf(coming->arena, "%.*s, %.*s", (int)out->len, out->at, (int)value.len, value.at);
    else
        handle_keep_text(coming, value, out);
}

static const char *handle_take_header(struct coming *coming, struct str name, struct str value)
{
    struct net_answer *answer = &coming->answer;
    if (str_eq_nocase(name, STR("Transfer-Encoding")) && !str_eq_nocase(value, STR("chunked")))
        return coded; /* which libcurl could undo */
    if (str_eq_nocase(name, STR("Date")))
        handle_keep_text(coming, value, &coming->date);
    else if (str_eq_nocase(name, STR("x-amzn-RequestId")) || str_eq_nocase(name, STR("x-amz-request-id")))
        handle_keep_text(coming, value, &answer->request_id);
    else if (str_eq_nocase(name, STR("x-amzn-ErrorType")))
        handle_keep_text(coming, value, &answer->error_type);
    else if (str_eq_nocase(name, STR("Content-Type")))
        handle_keep_list(coming, value, &answer->content_type);
    else if (str_eq_nocase(name, STR("Cache-Control")))
        handle_keep_list(coming, value, &answer->cache_control);
    else if (str_eq_nocase(name, STR("Retry-After")))
        answer->retry_after_s = handle_seconds_of(value);
    return NULL;
}

/* HTTP-version SP 3DIGIT (RFC 9112 section 4). */
static const char *handle_take_status(struct coming *coming, struct str line)
{
    size_t status = 0;
    if (line.len < 12 || !str_has_prefix(line, STR("HTTP/1.")) || line.at[8] != ' ' ||
        !wire_read_length((struct str){ line.at + 9, 3 }, &status) || status < 100)
        return malformed;
    coming->answer.status = (int)status;
    return NULL;
}

/* An interim response (1xx, RFC 9110 section 15.2) is skipped: the response starts over after it. */
static const char *handle_end_head(struct coming *coming)
{
    coming->has_head = coming->answer.status >= 200;
    if (coming->has_head)
        return NULL;
    if (coming->answer.status == 101)
        return "the response changes the protocol";
    if (++coming->interim > INTERIM_MAX)
        return "there are too many interim responses";
    coming->lines = coming->bytes = 0;
    coming->date = (struct str){ 0, 0 };
    coming->answer = (struct net_answer){ 0 };
    return NULL;
}

static const char *handle_read_line(struct coming *coming, struct str text)
{
    struct str line, name, value;
    coming->bytes += text.len;
    if (coming->bytes > HEAD_MAX || coming->lines > HEADERS_MAX + 1)
        return "the response's headers are too long";
    if (!wire_next_line(&text, &line))
        return malformed;
    if (coming->lines++ == 0)
        return handle_take_status(coming, line);
    if (line.len == 0)
        return handle_end_head(coming);
    if (!wire_read_header(line, &name, &value))
        return malformed;
    return coming->has_head ? NULL : handle_take_header(coming, name, value); /* trailers say nothing */
}

/* CURLOPT_HEADERFUNCTION: the status line, a header, or the empty line. Another number than it was given ends all. */
static size_t handle_take_line(char *at, size_t size, size_t count, void *arg)
{
    struct coming *coming = arg;
    coming->refused = handle_read_line(coming, (struct str){ at, size * count });
    return coming->refused ? 0 : size * count;
}

/* CURLOPT_WRITEFUNCTION */
static size_t handle_take_body(char *at, size_t size, size_t count, void *arg)
{
    struct coming *coming = arg;
    buf_add(&coming->body, (struct str){ at, size * count });
    if (!coming->body.overflowed)
        return size * count;
    coming->refused = "the response is too long";
    return 0;
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* CURLOPT_OPENSOCKETFUNCTION. libcurl connects to the very address that is judged here, so it makes no difference what
 * the name meant earlier, or means to somebody else. After a refusal it tries the name's next address. */
static curl_socket_t handle_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct coming *coming = arg;
    (void)purpose;
    if (guard_allows(coming->guard, &to->addr, to->addrlen))
        return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
    coming->is_kept_away = true;
    return CURL_SOCKET_BAD;
}

/* A new TLS connection: the certificates that all share, and no decrypted byte left in OpenSSL's buffers. */
static CURLcode handle_prepare_tls(CURL *curl, void *ssl_ctx, void *arg)
{
    const struct net_common *common = arg;
    (void)curl;
    common->calls->set_cert_store(ssl_ctx, common->trusted);
    common->calls->set_options(ssl_ctx, SSL_OP_CLEANSE_PLAINTEXT);
    return CURLE_OK;
}

static bool handle_set_up_tls(const struct net_common *common, CURL *curl)
{
    CURLcode (*set)(CURL *, CURLoption, ...) = common->calls->easy_setopt;
    bool good = !set(curl, CURLOPT_SSL_VERIFYPEER, 1L) && !set(curl, CURLOPT_SSL_VERIFYHOST, 2L) &&
                !set(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (common->trusted)
        return good && !set(curl, CURLOPT_CAINFO, NULL) && !set(curl, CURLOPT_CAPATH, NULL) &&
               !set(curl, CURLOPT_SSL_CTX_FUNCTION, handle_prepare_tls) && !set(curl, CURLOPT_SSL_CTX_DATA, common);
    return good && (!common->ca_file[0] || !set(curl, CURLOPT_CAINFO, common->ca_file));
}

static bool handle_set_up(const struct net_common *common, CURL *curl, bool is_direct)
{
    CURLcode (*set)(CURL *, CURLoption, ...) = common->calls->easy_setopt;
    /* A look-up of a name that hangs is left to its thread at the time limit. libcurl 7.87 knows how; an older one
     * waits for it. */
    (void)set(curl, CURLOPT_QUICK_EXIT, 1L);
    /* No signals: libcurl would time name look-ups out with SIGALRM, which no thread may use. A tunnel: a proxy passes
     * on what is sent, for http as for https, and what it says is no answer. */
    return !set(curl, CURLOPT_NOSIGNAL, 1L) &&
           !set(curl, CURLOPT_PROTOCOLS_STR, common->guard ? "https" : "http,https") &&
           (!common->guard || !set(curl, CURLOPT_OPENSOCKETFUNCTION, handle_open_socket)) &&
           !set(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) && !set(curl, CURLOPT_TCP_NODELAY, 1L) &&
           !set(curl, CURLOPT_FOLLOWLOCATION, 0L) && !set(curl, CURLOPT_SHARE, common->share) &&
           !set(curl, CURLOPT_USERAGENT, "token-service") &&
           !set(curl, CURLOPT_PROXY, is_direct || common->guard ? "" : NULL) &&
           !set(curl, CURLOPT_HTTPPROXYTUNNEL, 1L) && !set(curl, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L) &&
           !set(curl, CURLOPT_MAXCONNECTS, 1L) && !set(curl, CURLOPT_MAXAGE_CONN, (long)IDLE_S) &&
           !set(curl, CURLOPT_MAXLIFETIME_CONN, (long)AGE_S) && !set(curl, CURLOPT_HEADERFUNCTION, handle_take_line) &&
           !set(curl, CURLOPT_WRITEFUNCTION, handle_take_body) && handle_set_up_tls(common, curl);
}

struct err handle_open(const struct net_common *common, struct str origin, bool is_direct, struct net_handle **out)
{
    CURL *curl = common->calls->easy_init();
    if (!curl || !handle_set_up(common, curl, is_direct)) {
        common->calls->easy_cleanup(curl); /* NULL allowed */
        return failed(ERR_INTERNAL, "libcurl could not be set up");
    }
    struct net_handle *handle = mem_alloc(sizeof *handle + origin.len);
    char *at = (char *)(handle + 1);
    memcpy(at, origin.at, origin.len);
    *handle =
        (struct net_handle){ .common = common, .curl = curl, .is_direct = is_direct, .origin = { at, origin.len } };
    *out = handle;
    return OK;
}

void handle_close(struct net_handle *handle)
{
    handle->common->calls->easy_cleanup(handle->curl);
    free(handle);
}

/* Over TLS, bytes that wait may be the server's session tickets. libcurl looks once a second at most. */
bool handle_is_alive(const struct net_handle *handle)
{
    struct pollfd state = { .fd = -1, .events = POLLIN | POLLRDHUP };
    curl_socket_t socket = CURL_SOCKET_BAD;
    if (handle->common->calls->easy_getinfo(handle->curl, CURLINFO_ACTIVESOCKET, &socket) != CURLE_OK)
        return false;
    state.fd = socket; /* with none, nothing is looked at */
    if (poll(&state, 1, 0) == 0)
        return true;
    return state.revents == POLLIN && str_has_prefix(handle->origin, STR("https"));
}

/* --- the request ------------------------------------------------------------------------------------------------- */

/* Headers that libcurl would add, unless the caller has them: named without a value, they are left out. */
static const char *const unasked[] = { "Accept:", "Content-Type:", "Expect:" };
enum { UNASKED = sizeof unasked / sizeof *unasked };

/* The nodes and their texts, which hold secrets, and are wiped after the request. */
struct lines {
    struct curl_slist *first, **end;
    struct curl_slist nodes[NET_HEADERS_MAX + UNASKED];
    size_t count;
    struct buf text;
};

static bool handle_is_sound(const struct net_header *header)
{
    const struct str name = str_of(header->name), value = str_of(header->value);
    return wire_is_token(name) && wire_is_value(value) && value.len > 0 && name.len + value.len <= NET_HEADER_MAX;
}

static void handle_add_line(struct lines *lines, const char *name, const char *colon, const char *value)
{
    struct curl_slist *node = &lines->nodes[lines->count++];
    *node = (struct curl_slist){ .data = lines->text.at + lines->text.len };
    *lines->end = node;
    lines->end = &node->next;
    buf_add(&lines->text, str_of(name));
    buf_add(&lines->text, str_of(colon));
    buf_add(&lines->text, str_of(value));
    buf_add_char(&lines->text, '\0');
}

/* Measured first and then written: no copy of a secret is left behind by a text that grows. */
static struct err handle_write_lines(struct arena *arena, const struct net_request *request, struct lines *out)
{
    size_t size = UNASKED * sizeof "Content-Type:";
    if (request->header_count > NET_HEADERS_MAX || !wire_is_token(str_of(request->method)))
        return failed(ERR_INTERNAL, "a request has too many headers, or no method");
    for (size_t i = 0; i < request->header_count; i++) {
        if (!handle_is_sound(&request->headers[i]))
            return failed(ERR_INTERNAL, "a request's header is malformed");
        size += strlen(request->headers[i].name) + strlen(request->headers[i].value) + sizeof ": ";
    }
    buf_init(&out->text, arena, size, size);
    out->count = 0;
    out->end = &out->first;
    for (size_t i = 0; i < UNASKED; i++)
        handle_add_line(out, unasked[i], "", "");
    for (size_t i = 0; i < request->header_count; i++)
        handle_add_line(out, request->headers[i].name, ": ", request->headers[i].value);
    return OK;
}

/* The path and the query as they stand in the URL, since they may be signed: libcurl would take dots out of them, and
 * some versions write %2f as %2F. */
static const char *handle_target_of(const struct net_handle *handle, struct arena *arena,
                                    const struct net_request *request)
{
    const char *path = request->url + handle->origin.len;
    return arena_printf(arena, "%s%.*s", *path == '/' ? "" : "/", (int)strcspn(path, "#"), path).at;
}

/* All that differs from one request to the next, so that nothing of the one before is left. */
static bool handle_prepare(const struct net_handle *handle, const struct net_request *request, struct lines *lines,
                           struct coming *coming)
{
    CURLcode (*set)(CURL *, CURLoption, ...) = handle->common->calls->easy_setopt;
    CURL *curl = handle->curl;
    const bool has_body = request->body.len > 0 || strcmp(request->method, "GET") != 0; /* RFC 9110 section 8.6 */
    const char *body = request->body.len > 0 ? request->body.at : ""; /* NULL would have it read from stdin */
    return !set(curl, CURLOPT_URL, request->url) &&
           !set(curl, CURLOPT_REQUEST_TARGET, handle_target_of(handle, coming->arena, request)) &&
           !set(curl, CURLOPT_HTTPGET, 1L) &&
           (!has_body || (!set(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) &&
                          !set(curl, CURLOPT_POSTFIELDS, body))) &&
           !set(curl, CURLOPT_CUSTOMREQUEST, request->method) && !set(curl, CURLOPT_HTTPHEADER, lines->first) &&
           !set(curl, CURLOPT_HEADERDATA, coming) && !set(curl, CURLOPT_WRITEDATA, coming) &&
           (!coming->guard || !set(curl, CURLOPT_OPENSOCKETDATA, coming)) &&
           !set(curl, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms) &&
           !set(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)request->timeout_ms);
}

/* Why there is no response, in words for operators. */
static const char *handle_words_of(CURLcode code, long os_error)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "its name is not known";
    case CURLE_COULDNT_RESOLVE_PROXY:
        return "the name of the proxy before it (HTTPS_PROXY, HTTP_PROXY) is not known";
    case CURLE_COULDNT_CONNECT:
        return os_error == ECONNREFUSED   ? "it refuses connections: nothing listens there"
               : os_error == ENETUNREACH  ? "there is no route to it"
               : os_error == EHOSTUNREACH ? "there is no route to it"
                                          : "no connection to it can be made";
    case CURLE_OPERATION_TIMEDOUT:
        return "no complete response came in time";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "its certificate is not trusted, has expired, or is for another name";
    case CURLE_SSL_CONNECT_ERROR:
        return "TLS with it failed: it hangs up, speaks another version or no TLS, or its certificate is forged";
    case CURLE_SSL_CACERT_BADFILE:
        return "the file of trusted certificates can't be read";
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
    case CURLE_SEND_ERROR:
        return ended;
    case CURLE_RECV_ERROR: /* also of chunks that are none */
        return "the connection ended before the response, or the response is malformed";
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9: no status line */
    case CURLE_WEIRD_SERVER_REPLY:
        return malformed;
    case CURLE_BAD_CONTENT_ENCODING:
        return coded;
    case CURLE_URL_MALFORMAT:
        return "the URL is malformed, or not one of http or https";
    default:
        return NULL;
    }
}

static struct err handle_unavailable(const struct net_handle *handle, CURLcode code)
{
    const struct curl_calls *calls = handle->common->calls;
    long os_error = 0, proxy = 0;
    (void)calls->easy_getinfo(handle->curl, CURLINFO_OS_ERRNO, &os_error);
    (void)calls->easy_getinfo(handle->curl, CURLINFO_HTTP_CONNECTCODE, &proxy);
    if (proxy >= 300)
        return failed(ERR_UNAVAILABLE, "the proxy before it (HTTPS_PROXY, HTTP_PROXY) refuses to connect to it");
    const char *words = handle_words_of(code, os_error);
    return failed(ERR_UNAVAILABLE, words ? words : calls->easy_strerror(code));
}

struct err handle_send(struct net_handle *handle, struct arena *arena, const struct net_request *request,
                       struct net_answer *out)
{
    struct lines lines;
    struct coming coming = { .guard = handle->common->guard, .arena = arena };
    TRY(handle_write_lines(arena, request, &lines));
    buf_init(&coming.body, arena, FIRST_BODY, request->answer_max);
    const bool is_ready = handle_prepare(handle, request, &lines, &coming);
    const CURLcode code = is_ready ? handle->common->calls->easy_perform(handle->curl) : CURLE_OK;
    mem_wipe(lines.text.at, lines.text.len);
    if (!is_ready)
        return failed(ERR_INTERNAL, "libcurl could not be set up");
    if (coming.refused)
        return failed(ERR_UNAVAILABLE, coming.refused);
    if (code == CURLE_COULDNT_CONNECT && coming.is_kept_away)
        return failed(ERR_UNAVAILABLE, "its address is for special use, and TOKEN_FETCH_ALLOW does not allow it");
    if (code)
        return handle_unavailable(handle, code);
    if (!coming.has_head) /* which is no error to libcurl */
        return failed(ERR_UNAVAILABLE, ended);
    const time_t date = coming.answer.status != 200 && coming.date.len > 0
                            ? handle->common->calls->getdate(coming.date.at, NULL)
                            : 0;
    *out = coming.answer;
    out->body = buf_str(&coming.body);
    out->date_s = date > 0 ? (int64_t)date : 0;
    return OK;
}
