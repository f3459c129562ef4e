/* net/plain.c: a socket that doesn't block, and poll(). */
#include "net/plain.h"
#include "base/clock.h"
#include "wire/chunks.h"
#include "wire/fields.h"
#include "wire/lines.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT_MS = 5000, PIECE = 16 * 1024, HOST_ROOM = 256, BODY_FIRST = 8 * 1024 };

static const struct err stopped = { ERR_UNAVAILABLE, "the connection is no longer wanted" };
static const struct err too_late = { ERR_UNAVAILABLE, "there was no answer in time" };
static const struct err broken = { ERR_UNAVAILABLE, "the connection broke before the answer was whole" };
static const struct err nonsense = { ERR_INVALID_REQUEST, "the answer is not HTTP/1.1" };

struct plain {
    const char *authority;
    int stop_fd;
    int fd; /* -1: not connected */
};

/* Bytes that were received and not used yet, of one answer. */
struct inflow {
    struct plain *plain;
    int64_t until_ns;
    char at[PIECE];
    size_t len, used;
    bool has_any; /* a byte of the answer has come */
};

struct plain *plain_new(const char *authority, int stop_fd)
{
    struct plain *plain = mem_alloc(sizeof *plain);
    *plain = (struct plain){ .authority = authority, .stop_fd = stop_fd, .fd = -1 };
    return plain;
}

static void plain_hang_up(struct plain *plain)
{
    if (plain->fd >= 0)
        close(plain->fd);
    plain->fd = -1;
}

void plain_free(struct plain *plain)
{
    if (!plain)
        return;
    plain_hang_up(plain);
    free(plain);
}

/* Until the socket is ready for `events`. */
static struct err plain_wait(const struct plain *plain, short events, int64_t until_ns)
{
    const bool has_limit = until_ns != INT64_MAX;
    struct pollfd fds[] = { { plain->fd, events, 0 }, { plain->stop_fd, POLLIN, 0 } };
    for (;;) {
        const int64_t left_ns = has_limit ? until_ns - clock_ns() : 0;
        if (left_ns < 0)
            return too_late;
        const int64_t left_ms = left_ns / 1000000 + 1;
        const int count = poll(fds, has_limit ? 1 : 2,
                               !has_limit            ? -1
                               : left_ms > INT32_MAX ? INT32_MAX
                                                     : (int)left_ms);
        if (count < 0 && errno != EINTR)
            return broken;
        if (count > 0 && !has_limit && fds[1].revents)
            return stopped;
        if (count > 0)
            return OK;
    }
}

/* --- connecting -------------------------------------------------------------------------------------------------- */

static struct err plain_connect_to(struct plain *plain, const struct addrinfo *to, int64_t until_ns)
{
    const int one = 1;
    int failure = 0;
    socklen_t size = sizeof failure;
    plain->fd = socket(to->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (plain->fd < 0)
        return failed(ERR_UNAVAILABLE, "there is no socket to be had");
    (void)setsockopt(plain->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(plain->fd, to->ai_addr, to->ai_addrlen) == 0)
        return OK;
    if (errno != EINPROGRESS)
        return failed(ERR_UNAVAILABLE, "the connection was refused");
    TRY(plain_wait(plain, POLLOUT, until_ns));
    if (getsockopt(plain->fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0 || failure != 0)
        return failed(ERR_UNAVAILABLE, "the connection was refused");
    return OK;
}

/* host:port, or [IPv6]:port. */
static bool plain_divide(const char *authority, char host[HOST_ROOM], const char **port)
{
    const char *colon = strrchr(authority, ':');
    const bool is_literal = authority[0] == '[';
    if (!colon || (is_literal && (colon == authority || colon[-1] != ']')))
        return false;
    const size_t begin = is_literal, len = (size_t)(colon - authority) - 2 * begin;
    if (len == 0 || len >= HOST_ROOM)
        return false;
    memcpy(host, authority + begin, len);
    host[len] = '\0';
    *port = colon + 1;
    return true;
}

static struct err plain_connect(struct plain *plain, int64_t until_ns)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
    struct addrinfo *found = NULL;
    char host[HOST_ROOM];
    const char *port;
    if (!plain_divide(plain->authority, host, &port))
        return failed(ERR_UNAVAILABLE, "the address to connect to is not host:port");
    if (getaddrinfo(host, port, &hints, &found) != 0)
        return failed(ERR_UNAVAILABLE, "the host to connect to has no address");
    struct err err = broken;
    for (const struct addrinfo *each = found; each && err.code; each = each->ai_next) {
        plain_hang_up(plain);
        err = plain_connect_to(plain, each, until_ns);
    }
    freeaddrinfo(found);
    if (err.code)
        plain_hang_up(plain);
    return err;
}

/* --- sending and receiving --------------------------------------------------------------------------------------- */

static struct err plain_put(struct plain *plain, struct str bytes, int64_t until_ns)
{
    while (bytes.len > 0) {
        const ssize_t sent = send(plain->fd, bytes.at, bytes.len, MSG_NOSIGNAL);
        if (sent > 0)
            bytes = (struct str){ bytes.at + sent, bytes.len - (size_t)sent };
        else if (sent < 0 && errno == EAGAIN)
            TRY(plain_wait(plain, POLLOUT, until_ns));
        else if (sent == 0 || errno != EINTR)
            return broken;
    }
    return OK;
}

/* At least one byte more, at `to`. *len 0: the other side has ended. */
static struct err plain_get(struct inflow *inflow, char *to, size_t room, size_t *len)
{
    for (;;) {
        const ssize_t got = recv(inflow->plain->fd, to, room, 0);
        if (got >= 0) {
            *len = (size_t)got;
            inflow->has_any = inflow->has_any || got > 0;
            return OK;
        }
        if (errno == EAGAIN)
            TRY(plain_wait(inflow->plain, POLLIN, inflow->until_ns));
        else if (errno != EINTR)
            return broken;
    }
}

/* --- the answer -------------------------------------------------------------------------------------------------- */

/* "HTTP/1.1 200 OK"; the phrase may be empty. */
static bool plain_read_status(struct str line, int *status)
{
    const struct str version = STR("HTTP/1.1 ");
    if (!str_has_prefix(line, version) || line.len < version.len + 3)
        return false;
    *status = 0;
    for (size_t i = version.len; i < version.len + 3; i++) {
        if (!char_is_digit(line.at[i]))
            return false;
        *status = *status * 10 + (line.at[i] - '0');
    }
    return *status >= 100 && (line.len == version.len + 3 || line.at[version.len + 3] == ' ');
}

static struct err plain_read_lines(struct arena *arena, struct str rest, struct plain_answer *out)
{
    struct header *headers = arena_alloc(arena, PLAIN_HEADERS_MAX * sizeof *headers);
    struct str line;
    *out = (struct plain_answer){ .headers = { headers, 0 } };
    if (!wire_next_line(&rest, &line) || !plain_read_status(line, &out->status))
        return nonsense;
    while (wire_next_line(&rest, &line) && line.len > 0) {
        struct header *header = &headers[out->headers.count];
        if (out->headers.count == PLAIN_HEADERS_MAX || !wire_read_header(line, &header->name, &header->value))
            return nonsense;
        out->headers.count++;
    }
    return OK;
}

/* Reads until the head is whole; what came after it stays in the inflow. */
static struct err plain_read_head(struct inflow *inflow, struct arena *arena, struct plain_answer *out)
{
    char *head = arena_alloc(arena, PLAIN_HEAD_MAX);
    size_t len = 0, searched = 0, size = 0;
    while (size == 0) {
        if (len == PLAIN_HEAD_MAX)
            return nonsense;
        size_t got;
        TRY(plain_get(inflow, head + len, PLAIN_HEAD_MAX - len, &got));
        if (got == 0)
            return broken;
        len += got;
        size = wire_head_size((struct str){ head, len }, searched);
        searched = len;
    }
    inflow->used = 0;
    inflow->len = len - size;
    memcpy(inflow->at, head + size, inflow->len);
    return plain_read_lines(arena, (struct str){ head, size }, out);
}

static struct err plain_read_known(struct inflow *inflow, struct arena *arena, size_t size, struct str *body)
{
    char *at = arena_alloc(arena, size);
    size_t len = inflow->len - inflow->used;
    if (len > size)
        len = size;
    memcpy(at, inflow->at + inflow->used, len);
    inflow->used += len;
    while (len < size) {
        size_t got;
        TRY(plain_get(inflow, at + len, size - len, &got));
        if (got == 0)
            return broken;
        len += got;
    }
    *body = (struct str){ at, size };
    return OK;
}

static struct err plain_read_chunks(struct inflow *inflow, struct arena *arena, size_t max, struct str *body)
{
    struct chunks chunks = { 0 };
    struct buf all;
    buf_init(&all, arena, BODY_FIRST, max);
    while (chunks.state != CHUNK_END) {
        struct str rest = { inflow->at + inflow->used, inflow->len - inflow->used }, piece;
        const size_t before = rest.len;
        if (chunks_read(&chunks, &rest, &piece).code)
            return nonsense;
        buf_add(&all, piece);
        if (all.overflowed)
            return failed(ERR_TOO_LARGE, "the answer is too large");
        inflow->used = inflow->len - rest.len;
        if (rest.len == before && chunks.state != CHUNK_END) {
            memmove(inflow->at, rest.at, rest.len);
            inflow->used = 0;
            inflow->len = rest.len;
            if (rest.len == sizeof inflow->at)
                return nonsense;
            size_t got;
            TRY(plain_get(inflow, inflow->at + rest.len, sizeof inflow->at - rest.len, &got));
            if (got == 0)
                return broken;
            inflow->len += got;
        }
    }
    *body = buf_str(&all);
    return OK;
}

static struct err plain_read_body(struct inflow *inflow, struct arena *arena, size_t max, struct plain_answer *out)
{
    const struct str length = headers_value(out->headers, arena, STR("Content-Length"));
    const struct str encoding = headers_value(out->headers, arena, STR("Transfer-Encoding"));
    size_t size = 0;
    if (out->status == 204 || out->status == 304)
        return OK;
    if (encoding.at)
        return !length.at && str_eq_nocase(encoding, STR("chunked")) ? plain_read_chunks(inflow, arena, max, &out->body)
                                                                     : nonsense;
    if (!length.at || !wire_read_length(length, &size))
        return nonsense;
    if (size > max)
        return failed(ERR_TOO_LARGE, "the answer is too large");
    return plain_read_known(inflow, arena, size, &out->body);
}

/* Of one try. */
static struct err plain_receive(struct inflow *inflow, struct arena *arena, size_t max, struct plain_answer *out)
{
    TRY(plain_read_head(inflow, arena, out));
    if (out->status < 200)
        return nonsense; /* nothing here asks for one */
    TRY(plain_read_body(inflow, arena, max, out));
    return inflow->used == inflow->len ? OK : nonsense; /* nothing may follow what was asked for */
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

static struct str plain_write_head(const struct plain *plain, struct arena *arena, const struct plain_request *request)
{
    struct buf head;
    buf_init(&head, arena, 512, PLAIN_HEAD_MAX);
    buf_add(&head, request->method);
    buf_add_char(&head, ' ');
    buf_add(&head, request->target);
    buf_add(&head, STR(" HTTP/1.1\r\nHost: "));
    buf_add(&head, str_of(plain->authority));
    buf_add(&head, STR("\r\nContent-Length: "));
    buf_add_int(&head, (int64_t)request->body.len);
    for (size_t i = 0; i < request->headers.count; i++) {
        buf_add(&head, STR("\r\n"));
        buf_add(&head, request->headers.at[i].name);
        buf_add(&head, STR(": "));
        buf_add(&head, request->headers.at[i].value);
    }
    buf_add(&head, STR("\r\n\r\n"));
    return head.overflowed ? (struct str){ 0, 0 } : buf_str(&head);
}

/* A small body goes out with the head: one segment, and one wake-up at the other side. */
static struct err plain_put_both(struct plain *plain, struct arena *arena, struct str head, struct str body,
                                 int64_t until_ns)
{
    if (body.len > 0 && body.len <= PIECE) {
        char *both = arena_alloc(arena, head.len + body.len);
        memcpy(both, head.at, head.len);
        memcpy(both + head.len, body.at, body.len);
        return plain_put(plain, (struct str){ both, head.len + body.len }, until_ns);
    }
    TRY(plain_put(plain, head, until_ns));
    return plain_put(plain, body, until_ns);
}

/* *is_stale: nothing has come back, so it may be tried on another connection. */
static struct err plain_try(struct plain *plain, struct arena *arena, const struct plain_request *request,
                            struct str head, struct plain_answer *out, bool *is_stale)
{
    const int64_t now_ns = clock_ns();
    const int64_t until_ns = request->timeout_ms > 0 ? now_ns + request->timeout_ms * 1000000 : INT64_MAX;
    struct inflow *inflow = arena_alloc(arena, sizeof *inflow);
    *is_stale = false;
    inflow->plain = plain;
    inflow->until_ns = until_ns;
    inflow->len = inflow->used = 0;
    inflow->has_any = false;
    if (plain->fd < 0)
        TRY(plain_connect(plain, now_ns + CONNECT_MS * INT64_C(1000000)));
    struct err err = plain_put_both(plain, arena, head, request->body, until_ns);
    if (!err.code)
        err = plain_receive(inflow, arena, request->answer_max, out);
    *is_stale = err.why == broken.why && !inflow->has_any;
    return err;
}

struct err plain_send(struct plain *plain, struct arena *arena, const struct plain_request *request,
                      struct plain_answer *out)
{
    const struct str head = plain_write_head(plain, arena, request);
    const bool was_kept = plain->fd >= 0;
    bool is_stale;
    *out = (struct plain_answer){ .status = 0 };
    if (!head.at)
        return failed(ERR_INVALID_REQUEST, "the request's headers are too large");
    struct err err = plain_try(plain, arena, request, head, out, &is_stale);
    if (is_stale && was_kept) {
        plain_hang_up(plain);
        err = plain_try(plain, arena, request, head, out, &is_stale);
    }
    if (err.code || field_has(headers_value(out->headers, arena, STR("Connection")), STR("close")))
        plain_hang_up(plain);
    return err;
}
