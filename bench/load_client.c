/* bench/load_client.c: as much of HTTP/1.1 as the service's answers need: a head, and a body of the length that it
 * says. Anything else is a connection that is cut off. */
#include "bench/load_client.h"
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { REQUEST_HEAD_MAX = 8192 };

void client_close(struct client *client)
{
    if (client->state != CLIENT_CLOSED)
        close(client->fd);
    client->state = CLIENT_CLOSED;
}

/* `flags` of the socket. */
static bool client_open(struct client *client, int epoll_fd, const struct sockaddr_in *to, int flags, uint32_t events)
{
    const int yes = 1;
    struct epoll_event event = { .events = events, .data.ptr = client };
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (client->fd < 0)
        return false;
    client->state = CLIENT_CONNECTING;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if ((connect(client->fd, (const struct sockaddr *)to, sizeof *to) == 0 || errno == EINPROGRESS) &&
        epoll_ctl(epoll_fd, EPOLL_CTL_ADD, client->fd, &event) == 0)
        return true;
    client_close(client);
    return false;
}

bool client_connect(struct client *client, int epoll_fd, const struct sockaddr_in *to)
{
    if (!client_open(client, epoll_fd, to, 0, EPOLLIN))
        return false;
    client->state = CLIENT_IDLE;
    return true;
}

static bool client_send(struct client *client)
{
    char head[REQUEST_HEAD_MAX];
    const int len = snprintf(head, sizeof head, "%.*s%zu\r\n\r\n", (int)client->kind->head.len, client->kind->head.at,
                             client->body.len);
    struct iovec parts[] = { { head, (size_t)len }, { (void *)client->body.at, client->body.len } };
    const struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };
    client->in_len = client->left = 0;
    client->head_is_whole = false;
    client->state = CLIENT_ASKING;
    return sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)(parts[0].iov_len + parts[1].iov_len);
}

bool client_ask(struct client *client, int epoll_fd, const struct sockaddr_in *to)
{
    if (client->state == CLIENT_CLOSED) /* the request follows when the connection is there */
        return client_open(client, epoll_fd, to, SOCK_NONBLOCK, EPOLLIN | EPOLLOUT | EPOLLET);
    return client_send(client);
}

/* The value of that field, or NULL; `in` ends with a NUL. */
static const char *client_field(const struct client *client, const char *name)
{
    const char *field = strcasestr(client->in, name);
    return field ? field + strlen(name) : NULL;
}

/* When the head is whole: what it says. False: it says nothing that is understood here. */
static bool client_read_head(struct client *client)
{
    char *end = strstr(client->in, "\r\n\r\n");
    if (!end)
        return client->in_len < sizeof client->in - 1;
    const size_t head_len = (size_t)(end + 4 - client->in);
    *end = '\0'; /* the fields are those of the head */
    const char *length = client_field(client, "\r\nContent-Length: ");
    const char *later = client_field(client, "\r\nRetry-After: ");
    const size_t body_len = length ? strtoul(length, NULL, 10) : 0;
    client->head_is_whole = true;
    client->status = strncmp(client->in, "HTTP/1.1 ", 9) == 0 ? (int)strtol(client->in + 9, NULL, 10) : 0;
    client->closes = client_field(client, "\r\nConnection: close") != NULL;
    client->retry_after_s = later ? strtol(later, NULL, 10) : 0;
    if (client->in_len - head_len > body_len)
        return false;
    client->left = body_len - (client->in_len - head_len);
    return client->status != 0;
}

/* One recv, into the head or into nothing: its result. */
static ssize_t client_receive_some(struct client *client)
{
    static char unread[65536];
    if (client->head_is_whole)
        return recv(client->fd, unread, client->left < sizeof unread ? client->left : sizeof unread, MSG_DONTWAIT);
    return recv(client->fd, client->in + client->in_len, sizeof client->in - 1 - client->in_len, MSG_DONTWAIT);
}

/* `len` more bytes. False: they are none of an answer. */
static bool client_take(struct client *client, size_t len)
{
    if (client->head_is_whole) {
        client->left -= len;
        return true;
    }
    client->in_len += len;
    client->in[client->in_len] = '\0';
    return client_read_head(client);
}

static enum client_news client_receive(struct client *client)
{
    do {
        const ssize_t got = client_receive_some(client);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            return CLIENT_WAITS;
        if (got <= 0 || !client_take(client, (size_t)got))
            return CLIENT_IS_CUT_OFF;
    } while (!client->head_is_whole || client->left > 0);
    return CLIENT_HAS_ANSWER;
}

enum client_news client_look(struct client *client)
{
    char byte;
    if (client->state == CLIENT_CONNECTING) {
        int error = 0;
        socklen_t len = sizeof error;
        getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &len);
        return !error && client_send(client) ? CLIENT_WAITS : CLIENT_IS_CUT_OFF;
    }
    if (client->state == CLIENT_ASKING)
        return client_receive(client);
    if (client->state == CLIENT_IDLE && recv(client->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN)
        return CLIENT_WAITS;
    return CLIENT_IS_CUT_OFF; /* closed by the other side, or what came was not asked for */
}
