/* http/server.c: libmicrohttpd to message and back. Each loop is a thread with a daemon, a listening socket and the
 * connections that the kernel gave it; nothing is shared between loops but the service.
 *
 * The way of a request: begin() at its headers, take_body() for each piece, dispatch() when it is complete. What the
 * loop can answer, it answers; the rest is suspended, goes to a worker, and, when it has something to record, from
 * there to the group commit; whoever ends it resumes the connection, and the loop sends the answer. */
#include "http/server.h"
#include "base/random.h"
#include "http/connections.h"
#include "http/exchange.h"
#include "http/listen.h"
#include "http/tls.h"
#include "http/workers.h"
#include "observe/log.h"
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LOOP_WAIT_MS = 250,       /* how soon a loop sees a signal to stop */
    CUT_INTERVAL_MS = 500,    /* how exact deadlines are */
    ENDED_INTERVAL_MS = 2000, /* how soon a client's end is noticed that libmicrohttpd missed */
    GATHER_JOBS = 16,         /* waiting for workers: then they have plenty */
    GATHER_NS = 1000000,
    LISTEN_GRACE_MS = 250, /* after the signal, what was on its way is still taken */
    LISTEN_ADDRESS_LEN = sizeof(struct sockaddr_storage),
};

struct server {
    struct service *service;
    struct workers *workers;
    struct tls_files tls;
    atomic_bool stopping;
    size_t count, started;
    struct loop loops[];
};

/* --- one loop ---------------------------------------------------------------------------------------------------- */

static void on_connection(void *cls, struct MHD_Connection *handle, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct loop *loop = cls;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        int fd = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        *context = connection_add(&loop->connections, fd,
                                  MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr);
        atomic_fetch_add_explicit(&loop->service->connections, 1, memory_order_relaxed);
    } else {
        connection_remove(&loop->connections, *context);
        *context = NULL;
        atomic_fetch_sub_explicit(&loop->service->connections, 1, memory_order_relaxed);
    }
}

__attribute__((format(printf, 2, 0))) static void on_log(void *cls, const char *format, va_list args)
{
    char text[256];
    (void)cls;
    int len = vsnprintf(text, sizeof text, format, args);
    while (len > 0 && ((size_t)len >= sizeof text || text[len - 1] == '\n'))
        len = (size_t)len >= sizeof text ? (int)sizeof text - 1 : len - 1;
    LOG(LOG_DEBUG, "http_library", LOG_STR("message", ((struct str){ text, len > 0 ? (size_t)len : 0 })));
}

/* Paths are compared as they were sent: a percent code never means a route's name. */
static size_t keep_as_sent(void *cls, struct MHD_Connection *handle, char *text)
{
    (void)cls;
    (void)handle;
    return strlen(text);
}

#if MHD_VERSION >= 0x00097600
#define STRICTNESS MHD_OPTION_CLIENT_DISCIPLINE_LVL, 2
#else
#define STRICTNESS MHD_OPTION_STRICT_FOR_CLIENT, 0 /* headers.c is stricter, and answers better */
#endif

static struct MHD_Daemon *daemon_start(struct loop *loop, const struct server *server, int listen_fd)
{
    const struct settings *settings = loop->service->settings;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO | MHD_USE_ERROR_LOG;
    const struct MHD_OptionItem tls[] = {
        { server->tls.cert.at ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, server->tls.cert.at },
        { MHD_OPTION_HTTPS_MEM_KEY, 0, server->tls.key.at },
        { MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES },
        { MHD_OPTION_END, 0, NULL },
    };
    unsigned limit = (unsigned)(settings->connections / settings->loops);
    return MHD_start_daemon(flags | (server->tls.cert.at ? MHD_USE_TLS : 0), 0, NULL, NULL, exchange_handle, loop,
                            MHD_OPTION_EXTERNAL_LOGGER, on_log, NULL, MHD_OPTION_LISTEN_SOCKET, listen_fd,
                            MHD_OPTION_NOTIFY_CONNECTION, on_connection, loop, MHD_OPTION_NOTIFY_COMPLETED,
                            exchange_completed, loop, MHD_OPTION_UNESCAPE_CALLBACK, keep_as_sent, NULL, STRICTNESS,
                            MHD_OPTION_CONNECTION_LIMIT, limit > 0 ? limit : 1U, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
                            (size_t)settings->header_max_bytes + CONNECTION_ROOM, MHD_OPTION_CONNECTION_TIMEOUT,
                            (unsigned)(settings->idle_timeout_s + settings->request_timeout_s), MHD_OPTION_ARRAY, tls,
                            MHD_OPTION_END);
}

/* What was already accepted by the kernel would be reset with the listening socket; take it in. */
static void stop_listening(struct loop *loop)
{
    int listen_fd = MHD_quiesce_daemon(loop->daemon);
    struct sockaddr_storage address;
    socklen_t len = LISTEN_ADDRESS_LEN;
    for (int fd; listen_fd >= 0; len = LISTEN_ADDRESS_LEN) {
        fd = accept4(listen_fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 || MHD_add_connection(loop->daemon, fd, (struct sockaddr *)&address, len) != MHD_YES)
            break;
    }
    if (listen_fd >= 0)
        close(listen_fd);
}

static void cut_overdue(struct loop *loop, bool idle_too)
{
    size_t cut = connections_cut(&loop->connections, clock_coarse_ms(), idle_too);
    if (cut > 0 && !idle_too)
        metrics_count(COUNT_TIMEOUTS, cut);
}

/* When all that is asked for is work for the workers, and they have plenty, waking for each request alone would only
 * take the processor from them: the loop sleeps a moment, and then takes many at once. Not while it has answers of its
 * own to give, whose callers would notice; and not for a second after the workers ran dry meanwhile. */
static void gather(struct loop *loop)
{
    const struct timespec moment = { .tv_nsec = GATHER_NS };
    if (atomic_load_explicit(&loop->service->jobs_waiting, memory_order_relaxed) < GATHER_JOBS ||
        clock_coarse_ms() < loop->gather_from_ms)
        return;
    nanosleep(&moment, NULL);
    if (atomic_load_explicit(&loop->service->jobs_waiting, memory_order_relaxed) == 0)
        loop->gather_from_ms = clock_coarse_ms() + 1000;
}

/* One turn: waits for libmicrohttpd's events or for a resumed connection, at most `wait_ms`, then does what is due. */
static void run_turn(struct loop *loop, int wait_ms)
{
    uint64_t times;
    MHD_UNSIGNED_LONG_LONG due_ms = 0;
    gather(loop);
    struct pollfd fds[] = { { .fd = loop->daemon_fd, .events = POLLIN }, { .fd = loop->wake_fd, .events = POLLIN } };
    if (MHD_get_timeout(loop->daemon, &due_ms) == MHD_YES && due_ms < (MHD_UNSIGNED_LONG_LONG)wait_ms)
        wait_ms = (int)due_ms;
    if (poll(fds, 2, wait_ms) > 0 && fds[1].revents) {
        if (read(loop->wake_fd, &times, sizeof times) == sizeof times)
            atomic_store(&loop->is_woken, false); /* before MHD_run looks: who resumes after that writes again */
    }
    MHD_run(loop->daemon);
}

/* Answers what is in flight. What a worker has is always waited for: its answer may already be durable. */
static void drain(struct loop *loop)
{
    int64_t now_ms = clock_coarse_ms(), grace_ms = now_ms + LISTEN_GRACE_MS;
    int64_t end_ms = now_ms + loop->service->settings->drain_timeout_s * 1000;
    stop_listening(loop);
    while (loop->connections.count > 0 && (now_ms < end_ms || loop->connections.working > 0)) {
        run_turn(loop, 20);
        connections_drop_ended(&loop->connections);
        now_ms = clock_coarse_ms();
        cut_overdue(loop, now_ms >= grace_ms);
    }
}

static void *run_loop(void *arg)
{
    struct loop *loop = arg;
    int64_t cut_at_ms = 0, ended_at_ms = 0;
    pthread_setname_np(pthread_self(), "loop");
    while (!atomic_load_explicit(loop->stopping, memory_order_relaxed)) {
        run_turn(loop, LOOP_WAIT_MS);
        int64_t now_ms = clock_coarse_ms();
        if (now_ms < cut_at_ms)
            continue;
        cut_overdue(loop, false);
        cut_at_ms = now_ms + CUT_INTERVAL_MS;
        if (now_ms >= ended_at_ms) {
            connections_drop_ended(&loop->connections);
            ended_at_ms = now_ms + ENDED_INTERVAL_MS;
        }
    }
    drain(loop);
    while (atomic_load(&loop->waking) > 0)
        sched_yield();
    MHD_stop_daemon(loop->daemon);
    close(loop->wake_fd);
    exchanges_free(loop);
    jws_thread_end();
    return NULL;
}

/* --- all of them ------------------------------------------------------------------------------------------------- */

static struct err start_loop(struct server *server, int listen_fd)
{
    struct loop *loop = &server->loops[server->started];
    const struct settings *settings = server->service->settings;
    *loop = (struct loop){ .service = server->service,
                           .workers = server->workers,
                           .stopping = &server->stopping,
                           .connections = { .idle_ms = settings->idle_timeout_s * 1000,
                                            .request_ms = settings->request_timeout_s * 1000 } };
    random_bytes(&loop->next_id, sizeof loop->next_id);
    loop->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    loop->daemon = loop->wake_fd < 0 ? NULL : daemon_start(loop, server, listen_fd);
    if (!loop->daemon) {
        close(loop->wake_fd);
        close(listen_fd);
        return failed(ERR_INVALID_REQUEST,
                      server->tls.cert.at
                          ? "the TLS listener could not be started: TOKEN_TLS_CERT and TOKEN_TLS_KEY must be "
                            "a certificate and its key in PEM"
                          : "the HTTP server could not be started; see the log at level debug");
    }
    loop->daemon_fd = MHD_get_daemon_info(loop->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    if (pthread_create(&loop->thread, NULL, run_loop, loop) != 0) {
        MHD_stop_daemon(loop->daemon);
        close(loop->wake_fd);
        return failed(ERR_INTERNAL, "an event loop's thread could not be started");
    }
    server->started++;
    return OK;
}

static struct err start_all(struct server *server, int *port)
{
    const struct settings *settings = server->service->settings;
    int sockets[64];
    size_t count = server->count < 64 ? server->count : 64;
    TRY(tls_files_read(settings->tls_cert, settings->tls_key, &server->tls));
    TRY(workers_open((size_t)settings->workers, (size_t)settings->queue, &server->service->jobs_waiting,
                     &server->workers));
    TRY(listen_open(settings->listen, count, sockets, port));
    struct err err = OK;
    for (size_t i = 0; i < count; i++) {
        if (!err.code)
            err = start_loop(server, sockets[i]);
        else
            close(sockets[i]);
    }
    return err;
}

struct err server_open(struct service *service, struct server **out, int *port)
{
    size_t count = (size_t)service->settings->loops;
    struct server *server = mem_alloc(sizeof *server + count * sizeof *server->loops);
    *server = (struct server){ .service = service, .count = count };
    struct err err = start_all(server, port);
    if (err.code) {
        server_close(server);
        return err;
    }
    *out = server;
    return OK;
}

void server_close(struct server *server)
{
    if (!server)
        return;
    atomic_store(&server->service->draining, true);
    atomic_store(&server->stopping, true);
    for (size_t i = 0; i < server->started; i++)
        pthread_join(server->loops[i].thread, NULL);
    workers_close(server->workers); /* last: the loops wait for what the workers have */
    tls_files_release(&server->tls);
    free(server);
}
