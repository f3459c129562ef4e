/* net/connection.c: an easy handle of libcurl for each connection, which lives and dies with it. */
#include "net/connection.h"
#include "base/clock.h"
#include <errno.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdlib.h>

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* A new TLS connection: the certificates that all share, and no decrypted byte left in OpenSSL's buffers. */
static CURLcode prepare_tls(CURL *curl, void *ssl_ctx, void *arg)
{
    const struct net_common *common = arg;
    (void)curl;
    common->calls->set_cert_store(ssl_ctx, common->trusted);
    common->calls->set_options(ssl_ctx, SSL_OP_CLEANSE_PLAINTEXT);
    return CURLE_OK;
}

/* What a proxy says while it connects; libcurl would print it. */
static size_t ignore(char *at, size_t size, size_t count, void *arg)
{
    (void)at;
    (void)arg;
    return size * count;
}

static bool set_up_tls(const struct net_common *common, CURL *curl)
{
    CURLcode (*set)(CURL *, CURLoption, ...) = common->calls->easy_setopt;
    bool good = !set(curl, CURLOPT_SSL_VERIFYPEER, 1L) && !set(curl, CURLOPT_SSL_VERIFYHOST, 2L) &&
                !set(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (common->trusted)
        return good && !set(curl, CURLOPT_CAINFO, NULL) && !set(curl, CURLOPT_CAPATH, NULL) &&
               !set(curl, CURLOPT_SSL_CTX_FUNCTION, prepare_tls) && !set(curl, CURLOPT_SSL_CTX_DATA, common);
    return good && (!common->ca_file[0] || !set(curl, CURLOPT_CAINFO, common->ca_file));
}

static bool set_up(const struct net_connection *connection, int64_t timeout_ms)
{
    const struct net_common *common = connection->common;
    CURLcode (*set)(CURL *, CURLoption, ...) = common->calls->easy_setopt;
    CURL *curl = connection->curl;
    /* No signals: libcurl would time name look-ups out with SIGALRM, which no thread may use. HTTP/1.1 is what the
     * client speaks. A tunnel: a proxy passes on what is sent, for http as for https. */
    return !set(curl, CURLOPT_NOSIGNAL, 1L) && !set(curl, CURLOPT_CONNECT_ONLY, 1L) &&
           !set(curl, CURLOPT_PROTOCOLS_STR, "http,https") && !set(curl, CURLOPT_URL, connection->origin.at) &&
           !set(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) && !set(curl, CURLOPT_TCP_NODELAY, 1L) &&
           !set(curl, CURLOPT_SHARE, common->share) && !set(curl, CURLOPT_USERAGENT, "token-service") &&
           !set(curl, CURLOPT_HTTPPROXYTUNNEL, 1L) && !set(curl, CURLOPT_WRITEFUNCTION, ignore) &&
           !set(curl, CURLOPT_HEADERFUNCTION, ignore) && !set(curl, CURLOPT_PROXY, connection->is_direct ? "" : NULL) &&
           !set(curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms) &&
           !set(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms) && set_up_tls(common, curl);
}

/* Why there is no connection, in words for whoever runs the service. */
static const char *words_of(CURLcode code, long os_error)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "its name is not known";
    case CURLE_COULDNT_RESOLVE_PROXY:
        return "the name of the proxy before it (HTTPS_PROXY, HTTP_PROXY) is not known";
    case CURLE_COULDNT_CONNECT:
        return os_error == ECONNREFUSED   ? "it refuses connections: nothing listens there"
               : os_error == ENETUNREACH  ? "no way in the network leads to it"
               : os_error == EHOSTUNREACH ? "no way in the network leads to it"
                                          : "no connection to it can be made";
    case CURLE_OPERATION_TIMEDOUT:
        return "no whole answer came in time";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "its certificate is not trusted, has expired, or is another name's";
    case CURLE_SSL_CONNECT_ERROR:
        return "TLS with it failed: it hangs up, speaks another version or no TLS, or its certificate is forged";
    case CURLE_SSL_CACERT_BADFILE:
        return "the file of trusted certificates can't be read";
    default:
        return NULL;
    }
}

static struct err unavailable(const struct net_connection *connection, CURLcode code)
{
    const struct curl_calls *calls = connection->common->calls;
    long os_error = 0;
    (void)calls->easy_getinfo(connection->curl, CURLINFO_OS_ERRNO, &os_error);
    const char *words = words_of(code, os_error);
    return failed(code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE,
                  words ? words : calls->easy_strerror(code));
}

static struct err connect_by(struct net_connection *connection, int64_t deadline_ms)
{
    const struct curl_calls *calls = connection->common->calls;
    const int64_t left_ms = deadline_ms - clock_ms();
    curl_socket_t socket = CURL_SOCKET_BAD;
    if (left_ms <= 0)
        return failed(ERR_TIMEOUT, "there was no time left to connect");
    connection->curl = calls->easy_init();
    if (!connection->curl || !set_up(connection, left_ms))
        return failed(ERR_INTERNAL, "libcurl could not be set up");
    CURLcode code = calls->easy_perform(connection->curl);
    if (code)
        return unavailable(connection, code);
    code = calls->easy_getinfo(connection->curl, CURLINFO_ACTIVESOCKET, &socket);
    if (code || socket == CURL_SOCKET_BAD)
        return failed(ERR_UNAVAILABLE, "the connection ended at once");
    connection->socket = socket;
    connection->opened_ms = connection->used_ms = clock_ms();
    return OK;
}

struct err connection_open(const struct net_common *common, const struct net_url *url, bool is_direct,
                           int64_t deadline_ms, struct net_connection **out)
{
    struct net_connection *connection = mem_alloc(sizeof *connection + url->origin.len + 1);
    char *origin = (char *)(connection + 1);
    memset(connection, 0, offsetof(struct net_connection, answer.in));
    memcpy(origin, url->origin.at, url->origin.len);
    origin[url->origin.len] = '\0';
    connection->common = common;
    connection->is_plain = url->is_plain;
    connection->is_direct = is_direct;
    connection->origin = (struct str){ origin, url->origin.len };
    struct err err = connect_by(connection, deadline_ms);
    if (err.code)
        connection_close(connection);
    else
        *out = connection;
    return err;
}

void connection_close(struct net_connection *connection)
{
    if (connection->curl)
        connection->common->calls->easy_cleanup(connection->curl);
    answer_wipe(&connection->answer);
    free(connection);
}

/* --- using ------------------------------------------------------------------------------------------------------- */

/* Over TLS, bytes that wait may be the server's session tickets. */
bool connection_is_alive(const struct net_connection *connection)
{
    struct pollfd state = { .fd = connection->socket, .events = POLLIN | POLLRDHUP };
    if (poll(&state, 1, 0) == 0)
        return true;
    return state.revents == POLLIN && !connection->is_plain;
}

static const struct err too_late = { ERR_TIMEOUT, "no whole answer came in time" };

static struct err wait_for(const struct net_connection *connection, short events, int64_t deadline_ms)
{
    struct pollfd state = { .fd = connection->socket, .events = events };
    for (;;) {
        const int64_t left_ms = deadline_ms - clock_ms();
        const int ready = left_ms > 0 ? poll(&state, 1, (int)(left_ms < INT32_MAX ? left_ms : INT32_MAX)) : 0;
        if (ready > 0)
            return OK;
        if (ready == 0)
            return too_late;
        if (errno != EINTR)
            return failed(ERR_UNAVAILABLE, "the connection could not be waited for");
    }
}

struct err connection_send(const struct net_connection *connection, struct str text, int64_t deadline_ms)
{
    while (text.len > 0) {
        size_t sent = 0;
        CURLcode code = connection->common->calls->easy_send(connection->curl, text.at, text.len, &sent);
        if (code && code != CURLE_AGAIN)
            return unavailable(connection, code);
        text = (struct str){ text.at + sent, text.len - sent };
        if (text.len > 0)
            TRY(wait_for(connection, POLLOUT, deadline_ms));
    }
    return OK;
}

/* What TLS has read already and not yet given out makes no socket readable: so it is asked before it is waited for,
 * but for the first bytes of an answer, which can't be there yet. */
struct err connection_receive(const struct net_connection *connection, char *to, size_t room, int64_t deadline_ms,
                              size_t *got)
{
    bool asks = connection->answer.has_begun;
    if (asks && clock_ms() >= deadline_ms) /* a peer that drips always has a byte */
        return too_late;
    for (;;) {
        *got = 0;
        CURLcode code = asks ? connection->common->calls->easy_recv(connection->curl, to, room, got) : CURLE_AGAIN;
        if (code != CURLE_AGAIN)
            return code ? unavailable(connection, code) : OK;
        TRY(wait_for(connection, POLLIN, deadline_ms));
        asks = true;
    }
}
