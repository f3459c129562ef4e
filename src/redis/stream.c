/* redis/stream.c: sockets stay non-blocking, and each step that can't go on waits in poll() until the deadline: so
 * connecting, the TLS handshake, sending and receiving share one way of keeping time. */
#include "redis/stream.h"
#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct stream_tls {
    SSL_CTX *context;
};

struct stream {
    int fd;
    SSL *ssl; /* NULL: plain */
};

struct err stream_tls_open(const char *ca_file, struct stream_tls **out)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    bool good = context && SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
                (ca_file[0] ? SSL_CTX_load_verify_locations(context, ca_file, NULL)
                            : SSL_CTX_set_default_verify_paths(context)) == 1;
    ERR_clear_error();
    if (!good) {
        SSL_CTX_free(context);
        return failed(ERR_INVALID_REQUEST, "the file of trusted certificates can't be read, or holds none in PEM");
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_clear_mode(context,
                       SSL_MODE_AUTO_RETRY); /* tickets and key updates without an end would keep us in there */
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    struct stream_tls *tls = mem_alloc(sizeof *tls);
    tls->context = context;
    *out = tls;
    return OK;
}

struct err stream_tls_present(struct stream_tls *tls, const char *cert_file, const char *key_file)
{
    const char *fault = NULL;
    if (SSL_CTX_use_certificate_chain_file(tls->context, cert_file) != 1)
        fault = "the certificate can't be read, or is not in PEM";
    else if (SSL_CTX_use_PrivateKey_file(tls->context, key_file, SSL_FILETYPE_PEM) != 1)
        fault = "the private key can't be read, is not in PEM, or belongs to another certificate";
    ERR_clear_error();
    return fault ? failed(ERR_INVALID_REQUEST, fault) : OK;
}

void stream_tls_close(struct stream_tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

/* --- waiting ----------------------------------------------------------------------------------------------------- */

static const struct err too_late = { ERR_UNAVAILABLE, "no response in time" };

static struct err stream_wait_for(int fd, short events, int64_t deadline_ms)
{
    struct pollfd poll_fd = { .fd = fd, .events = events };
    for (;;) {
        int64_t left = deadline_ms - clock_ms();
        if (left <= 0)
            return too_late;
        int ready = poll(&poll_fd, 1, left > INT32_MAX ? INT32_MAX : (int)left);
        if (ready > 0)
            return OK; /* an error shows in the call that follows */
        if (ready < 0 && errno != EINTR)
            return failed(ERR_UNAVAILABLE, "the connection can't be waited for");
    }
}

/* Why TLS ended, as far as OpenSSL or the other end has said it. */
static const char *stream_fault_of_tls(void)
{
    static const struct {
        int reason;
        const char *why;
    } faults[] = {
        { SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the server wants a client certificate" },
        { SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, "the server refused TLS; it may want a client certificate" },
        { SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the server does not trust the client certificate" },
        { SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, "the server does not accept the client certificate" },
        { SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, "the client certificate has expired" },
        { SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, "the server does not accept the client certificate" },
        { SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the server does not speak TLS 1.2 or later" },
        { SSL_R_UNSUPPORTED_PROTOCOL, "the server does not speak TLS 1.2 or later" },
        { SSL_R_WRONG_VERSION_NUMBER, "the server does not speak TLS" },
    };
    const int reason = ERR_GET_REASON(ERR_peek_last_error());
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (faults[i].reason == reason)
            return faults[i].why;
    return "the connection broke";
}

/* After a TLS call that gave `result`: waits for what it wants, or says why there is nothing to wait for. */
static struct err stream_wait_for_tls(struct stream *stream, int result, int64_t deadline_ms)
{
    int error = SSL_get_error(stream->ssl, result);
    const char *fault = stream_fault_of_tls();
    ERR_clear_error();
    switch (error) {
    case SSL_ERROR_WANT_READ:
        return stream_wait_for(stream->fd, POLLIN, deadline_ms);
    case SSL_ERROR_WANT_WRITE:
        return stream_wait_for(stream->fd, POLLOUT, deadline_ms);
    case SSL_ERROR_ZERO_RETURN:
        return failed(ERR_UNAVAILABLE, "the connection was closed");
    default:
        return failed(ERR_UNAVAILABLE, fault);
    }
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static struct err stream_no_connection(int fault)
{
    return failed(ERR_UNAVAILABLE, fault == ECONNREFUSED                           ? "the connection was refused"
                                   : fault == EHOSTUNREACH || fault == ENETUNREACH ? "there is no route to the host"
                                   : fault == ETIMEDOUT                            ? "the host does not answer"
                                                                                   : "no connection can be made");
}

static struct err stream_connect_to(int fd, const struct addrinfo *address, int64_t deadline_ms)
{
    int fault = 0;
    socklen_t len = sizeof fault;
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return OK;
    if (errno != EINPROGRESS)
        return stream_no_connection(errno);
    TRY(stream_wait_for(fd, POLLOUT, deadline_ms));
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &fault, &len) != 0)
        fault = errno;
    return fault ? stream_no_connection(fault) : OK;
}

/* The first of the host's addresses that answers. */
static struct err stream_connect_any(const char *host, uint16_t port, int64_t deadline_ms, int *out)
{
    const struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    struct err err = failed(ERR_UNAVAILABLE, "the host has no address");
    const int one = 1;
    char service[8];
    snprintf(service, sizeof service, "%u", port);
    if (getaddrinfo(host, service, &hints, &found) != 0)
        return failed(ERR_UNAVAILABLE, "the host's name is not known");
    for (const struct addrinfo *each = found; each; each = each->ai_next) {
        /* one that is silent must leave the others their time */
        int64_t now = clock_ms(), share = each->ai_next ? now + (deadline_ms - now) / 2 : deadline_ms;
        int fd = socket(each->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd < 0)
            continue;
        err = stream_connect_to(fd, each, share);
        if (!err.code) {
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
            *out = fd;
            break;
        }
        close(fd);
    }
    freeaddrinfo(found);
    return err;
}

/* The certificate must name the host as it was given: an address as an address, a name as a name. */
static bool stream_expect_host(SSL *ssl, const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static struct err stream_begin_tls(struct stream *stream, const char *host, struct stream_tls *tls, int64_t deadline_ms)
{
    stream->ssl = SSL_new(tls->context);
    if (!stream->ssl || SSL_set_fd(stream->ssl, stream->fd) != 1 || !stream_expect_host(stream->ssl, host)) {
        ERR_clear_error();
        return failed(ERR_INTERNAL, "TLS could not be started");
    }
    for (;;) {
        int result = SSL_connect(stream->ssl);
        if (result == 1)
            return OK;
        long verdict = SSL_get_verify_result(stream->ssl);
        struct err err = stream_wait_for_tls(stream, result, deadline_ms);
        if (err.code && verdict != X509_V_OK) /* "unable to get local issuer certificate", "hostname mismatch", … */
            return failed(ERR_UNAVAILABLE, X509_verify_cert_error_string(verdict));
        TRY(err);
    }
}

struct err stream_open(const char *host, uint16_t port, struct stream_tls *tls, int64_t deadline_ms,
                       struct stream **out)
{
    int fd = -1;
    TRY(stream_connect_any(host, port, deadline_ms, &fd));
    struct stream *stream = mem_alloc(sizeof *stream);
    *stream = (struct stream){ .fd = fd };
    struct err err = tls ? stream_begin_tls(stream, host, tls, deadline_ms) : OK;
    if (err.code) {
        stream_close(stream);
        return err;
    }
    *out = stream;
    return OK;
}

void stream_close(struct stream *stream)
{
    if (!stream)
        return;
    if (stream->ssl) {
        (void)SSL_shutdown(stream->ssl); /* says goodbye, and waits for no answer */
        SSL_free(stream->ssl);
        ERR_clear_error();
    }
    close(stream->fd);
    free(stream);
}

/* --- bytes ------------------------------------------------------------------------------------------------------- */

/* A server that has refused our certificate says so and hangs up (TLS 1.3: after its side of the handshake), and what
 * we send then can't leave any more: what it said is still there to read. */
static struct err stream_why_unsent(struct stream *stream, struct err err)
{
    char byte;
    size_t got;
    if (SSL_read_ex(stream->ssl, &byte, 1, &got) != 1)
        err = failed(ERR_UNAVAILABLE, stream_fault_of_tls());
    ERR_clear_error();
    return err;
}

static struct err stream_send_by_tls(struct stream *stream, struct str bytes, int64_t deadline_ms, size_t *done)
{
    int result = SSL_write_ex(stream->ssl, bytes.at, bytes.len, done);
    if (result == 1)
        return OK;
    bool is_broken = SSL_get_error(stream->ssl, result) == SSL_ERROR_SYSCALL;
    struct err err = stream_wait_for_tls(stream, result, deadline_ms);
    return is_broken ? stream_why_unsent(stream, err) : err;
}

struct err stream_send(struct stream *stream, struct str bytes, int64_t deadline_ms)
{
    while (bytes.len > 0) {
        size_t done = 0;
        if (stream->ssl) {
            TRY(stream_send_by_tls(stream, bytes, deadline_ms, &done));
        } else {
            ssize_t sent = send(stream->fd, bytes.at, bytes.len, MSG_NOSIGNAL);
            if (sent < 0 && errno != EAGAIN && errno != EINTR)
                return failed(ERR_UNAVAILABLE, "the connection broke");
            if (sent < 0)
                TRY(stream_wait_for(stream->fd, POLLOUT, deadline_ms));
            done = sent > 0 ? (size_t)sent : 0;
        }
        bytes = (struct str){ bytes.at + done, bytes.len - done };
    }
    return OK;
}

struct err stream_receive(struct stream *stream, char *to, size_t room, int64_t deadline_ms, size_t *got)
{
    if (clock_ms() >= deadline_ms) /* a peer that drips always has a byte, and never makes anybody wait */
        return too_late;
    for (;;) {
        if (stream->ssl) {
            int result = SSL_read_ex(stream->ssl, to, room, got);
            if (result == 1)
                return OK;
            TRY(stream_wait_for_tls(stream, result, deadline_ms));
        } else {
            ssize_t len = recv(stream->fd, to, room, 0);
            if (len > 0) {
                *got = (size_t)len;
                return OK;
            }
            if (len == 0)
                return failed(ERR_UNAVAILABLE, "the connection was closed");
            if (errno != EAGAIN && errno != EINTR)
                return failed(ERR_UNAVAILABLE, "the connection broke");
            TRY(stream_wait_for(stream->fd, POLLIN, deadline_ms));
        }
    }
}

bool stream_is_quiet(const struct stream *stream)
{
    struct pollfd poll_fd = { .fd = stream->fd, .events = POLLIN };
    if (!stream->ssl)
        return poll(&poll_fd, 1, 0) == 0;
    /* TLS 1.3 sends session tickets by itself: what has come must be read to know what it is */
    char byte;
    size_t got = 0;
    int result = SSL_read_ex(stream->ssl, &byte, 1, &got);
    bool quiet = result != 1 && SSL_get_error(stream->ssl, result) == SSL_ERROR_WANT_READ;
    ERR_clear_error();
    return quiet;
}
