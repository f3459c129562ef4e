/* http/transport.c: recv and send, or OpenSSL over them. OpenSSL reads ahead, so that a record costs one recv and not
 * two, for its header and the rest; and a BIO of ours remembers that the socket had no more, which spares the one that
 * would only learn this. */
#include "http/transport.h"
#include "observe/metrics.h"
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- the socket below TLS ---------------------------------------------------------------------------------------- */

static BIO_METHOD *transport_method; /* made once */
static pthread_once_t transport_method_once = PTHREAD_ONCE_INIT;

static bool transport_is_later(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

static int transport_bio_read(BIO *bio, char *to, int room)
{
    struct transport *transport = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    ssize_t got = -1;
    if (!transport->is_drained) {
        got = recv(transport->fd, to, (size_t)room, 0);
        transport->is_drained = got < 0 ? transport_is_later(errno) : got < room && !transport->at_end;
    }
    if (got < 0 && transport->is_drained)
        BIO_set_retry_read(bio);
    transport->has_ended = got == 0;
    return (int)got;
}

static int transport_bio_write(BIO *bio, const char *from, int len)
{
    const struct transport *transport = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    const ssize_t put = send(transport->fd, from, (size_t)len, MSG_NOSIGNAL);
    if (put < 0 && transport_is_later(errno))
        BIO_set_retry_write(bio);
    return (int)put;
}

static long transport_bio_ctrl(BIO *bio, int command, long number, void *at)
{
    const struct transport *transport = BIO_get_data(bio);
    (void)number, (void)at;
    return command == BIO_CTRL_FLUSH ? 1 : command == BIO_CTRL_EOF ? transport->has_ended : 0;
}

static void transport_make_method(void)
{
    transport_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "transport");
    if (!transport_method || BIO_meth_set_read(transport_method, transport_bio_read) != 1 ||
        BIO_meth_set_write(transport_method, transport_bio_write) != 1 ||
        BIO_meth_set_ctrl(transport_method, transport_bio_ctrl) != 1)
        abort(); /* as mem_alloc() does */
}

static bool transport_begin_tls(struct transport *transport, struct tls *tls)
{
    pthread_once(&transport_method_once, transport_make_method);
    BIO *bio = BIO_new(transport_method);
    transport->ssl = bio ? tls_accept(tls) : NULL;
    if (!transport->ssl) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, transport);
    BIO_set_init(bio, 1);
    SSL_set_bio(transport->ssl, bio, bio);
    return true;
}

/* --- both -------------------------------------------------------------------------------------------------------- */

bool transport_open(struct transport *transport, int fd, struct tls *tls)
{
    *transport = (struct transport){ .fd = fd, .readable = true, .writable = true };
    if (!tls || transport_begin_tls(transport, tls))
        return true;
    ERR_clear_error();
    close(fd);
    return false;
}

void transport_wake(struct transport *transport, bool at_end)
{
    transport->readable = transport->writable = true;
    transport->is_drained = false;
    transport->at_end = transport->at_end || at_end;
}

/* Once for each handshake that a request has followed, or that has failed. */
static void transport_count_handshake(struct transport *transport, bool failed)
{
    if (transport->is_counted)
        return;
    transport->is_counted = true;
    metrics_count(failed                                    ? COUNT_TLS_FAILED
                  : SSL_session_reused(transport->ssl) == 1 ? COUNT_TLS_RESUMED
                                                            : COUNT_TLS_FULL,
                  1);
}

/* After a call of SSL_read or SSL_write that moved nothing. Either may wait for either direction. */
static enum transport_result transport_ssl_result(struct transport *transport, int returned)
{
    int error = SSL_get_error(transport->ssl, returned);
    ERR_clear_error();
    switch (error) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        transport->readable = transport->writable = false;
        return TRANSPORT_LATER;
    case SSL_ERROR_ZERO_RETURN:
        return TRANSPORT_ENDED;
    default:
        if (!SSL_is_init_finished(transport->ssl))
            transport_count_handshake(transport, true);
        return TRANSPORT_BROKEN;
    }
}

static enum transport_result transport_socket_result(ssize_t returned, bool *possible)
{
    if (returned == 0)
        return TRANSPORT_ENDED;
    if (!transport_is_later(errno))
        return TRANSPORT_BROKEN;
    *possible = false;
    return TRANSPORT_LATER;
}

enum transport_result transport_receive(struct transport *transport, char *to, size_t room, size_t *done)
{
    if (transport->ssl) {
        int got = SSL_read(transport->ssl, to, room < INT_MAX ? (int)room : INT_MAX);
        if (got <= 0)
            return transport_ssl_result(transport, got);
        transport_count_handshake(transport, false);
        transport->readable = !transport->is_drained || SSL_has_pending(transport->ssl) == 1;
        *done = (size_t)got;
        return TRANSPORT_SOME;
    }
    ssize_t got = recv(transport->fd, to, room, 0);
    if (got <= 0)
        return transport_socket_result(got, &transport->readable);
    *done = (size_t)got;
    if ((size_t)got < room && !transport->at_end)
        transport->readable = false; /* that was all; whatever comes now is another edge */
    return TRANSPORT_SOME;
}

enum transport_result transport_send(struct transport *transport, const char *from, size_t len, size_t *done)
{
    if (transport->ssl) {
        int put = SSL_write(transport->ssl, from, len < INT_MAX ? (int)len : INT_MAX);
        if (put <= 0)
            return transport_ssl_result(transport, put);
        *done = (size_t)put;
        return TRANSPORT_SOME;
    }
    ssize_t put = send(transport->fd, from, len, MSG_NOSIGNAL);
    if (put < 0)
        return transport_socket_result(put, &transport->writable);
    *done = (size_t)put;
    return TRANSPORT_SOME;
}

bool transport_has_more(const struct transport *transport)
{
    char first;
    if (transport->ssl && transport->readable) /* a record that was read ahead; a part of one is nothing yet */
        return true;
    return recv(transport->fd, &first, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void transport_end(struct transport *transport)
{
    if (transport->ssl) {
        (void)SSL_shutdown(transport->ssl); /* close_notify; the other side's is not waited for */
        ERR_clear_error();
    }
    shutdown(transport->fd, SHUT_WR);
}

enum transport_result transport_discard(struct transport *transport, size_t max, size_t *done)
{
    *done = 0;
    while (*done < max) {
        char dropped[4096]; /* MSG_TRUNC would need no buffer, but exists only for TCP */
        ssize_t got = recv(transport->fd, dropped, sizeof dropped, 0);
        if (got <= 0)
            return transport_socket_result(got, &transport->readable);
        *done += (size_t)got;
    }
    return TRANSPORT_SOME;
}

void transport_close(struct transport *transport)
{
    SSL_free(transport->ssl);
    transport->ssl = NULL;
    close(transport->fd);
}
