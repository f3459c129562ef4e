/* http/transport.c: recv and send, or OpenSSL over them. */
#include "http/transport.h"
#include <errno.h>
#include <limits.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

bool transport_open(struct transport *transport, int fd, struct tls *tls)
{
    *transport = (struct transport){ .fd = fd, .readable = true, .writable = true };
    if (!tls || (transport->ssl = tls_accept(tls, fd)))
        return true;
    close(fd);
    return false;
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
        return TRANSPORT_BROKEN;
    }
}

static enum transport_result transport_socket_result(ssize_t returned, bool *possible)
{
    if (returned == 0)
        return TRANSPORT_ENDED;
    if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
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
    if (transport->ssl && SSL_pending(transport->ssl) > 0)
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
