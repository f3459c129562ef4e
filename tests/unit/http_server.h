/* tests/unit/http_server.h: a real HTTP server on a free port of the loopback, whose answers a test writes itself. A
 * thread accepts, and each connection has one of its own, kept alive until either side ends it. */
#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "unit.h"
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HTTP_CONNECTIONS_MAX = 64, HTTP_REQUEST_MAX = 128 * 1024 };

struct http_server {
    int listener, port;
    char url[64];
    /* Writes a whole answer; when it writes nothing, the connection is closed. Called by many threads at once. */
    void (*answer)(struct http_server *, struct str request, FILE *out);
    atomic_int connections, requests;
    pthread_mutex_t lock;
    char last[HTTP_REQUEST_MAX + 1]; /* the last request, under the lock */
    pthread_t acceptor, threads[HTTP_CONNECTIONS_MAX];
    int sockets[HTTP_CONNECTIONS_MAX];
};

struct http_connection {
    struct http_server *server;
    int socket;
};

/* The length of a whole request at the front of `text`, or 0. */
static inline size_t http_request_len(const char *text, size_t len)
{
    const char *end = memmem(text, len, "\r\n\r\n", 4);
    const char *length = end ? memmem(text, (size_t)(end - text), "Content-Length: ", 16) : NULL;
    size_t body = length ? (size_t)strtoul(length + 16, NULL, 10) : 0;
    size_t all = end ? (size_t)(end + 4 - text) + body : SIZE_MAX;
    return all <= len ? all : 0;
}

static inline bool http_answer(struct http_server *server, int to, struct str request)
{
    char *text = NULL;
    size_t size = 0, sent = 0;
    FILE *out = open_memstream(&text, &size);
    pthread_mutex_lock(&server->lock);
    memcpy(server->last, request.at, request.len);
    server->last[request.len] = '\0';
    pthread_mutex_unlock(&server->lock);
    atomic_fetch_add(&server->requests, 1);
    server->answer(server, request, out);
    fclose(out);
    for (ssize_t n; sent < size && (n = send(to, text + sent, size - sent, MSG_NOSIGNAL)) > 0;)
        sent += (size_t)n;
    free(text);
    return size > 0 && sent == size;
}

static inline void *http_serve(void *arg)
{
    struct http_connection *connection = arg;
    char *text = malloc(HTTP_REQUEST_MAX);
    size_t len = 0;
    for (ssize_t n; text && (n = read(connection->socket, text + len, HTTP_REQUEST_MAX - len)) > 0;) {
        len += (size_t)n;
        size_t whole = http_request_len(text, len);
        if (whole == 0)
            continue;
        if (!http_answer(connection->server, connection->socket, (struct str){ text, whole }))
            break;
        memmove(text, text + whole, len - whole);
        len -= whole;
    }
    shutdown(connection->socket, SHUT_RDWR);
    free(text);
    free(connection);
    return NULL;
}

static inline void *http_accept(void *arg)
{
    struct http_server *server = arg;
    for (int fd; (fd = accept(server->listener, NULL, NULL)) >= 0;) {
        int at = atomic_load(&server->connections);
        struct http_connection *connection = malloc(sizeof *connection);
        if (!connection || at == HTTP_CONNECTIONS_MAX)
            abort();
        *connection = (struct http_connection){ server, fd };
        server->sockets[at] = fd;
        atomic_fetch_add(&server->connections, 1);
        if (pthread_create(&server->threads[at], NULL, http_serve, connection) != 0)
            abort();
    }
    return NULL;
}

static inline struct http_server *http_start(void (*answer)(struct http_server *, struct str, FILE *))
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;
    struct http_server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    server->answer = answer;
    pthread_mutex_init(&server->lock, NULL);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(server->listener, 64), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", server->port);
    assert_int_equal(pthread_create(&server->acceptor, NULL, http_accept, server), 0);
    return server;
}

static inline void http_stop(struct http_server *server)
{
    shutdown(server->listener, SHUT_RDWR);
    pthread_join(server->acceptor, NULL);
    for (int i = 0; i < atomic_load(&server->connections); i++) {
        shutdown(server->sockets[i], SHUT_RDWR);
        pthread_join(server->threads[i], NULL);
        close(server->sockets[i]);
    }
    close(server->listener);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

static inline void http_write(FILE *out, int status, const char *headers, const char *body)
{
    fprintf(out, "HTTP/1.1 %d Status\r\n%sContent-Length: %zu\r\n\r\n%s", status, headers, strlen(body), body);
}

/* Whether the request has this in it: its first line, a header's line, its body. */
static inline bool http_has(struct str request, const char *text)
{
    return memmem(request.at, request.len, text, strlen(text)) != NULL;
}

#endif
