/* http/loop.c: epoll, told of edges alone, so a connection costs one registration in its life.
 *
 * The way of a request: receive() until exchange.c says that it is whole, then dispatch(). What the loop can answer it
 * answers; the rest goes to a worker, and, when it has something to record, from there to the group commit; whoever
 * ends it puts it on the loop's list of answered ones and wakes the loop, which sends the answer. advance() takes a
 * connection as far as it goes without waiting. */
#include "http/loop.h"
#include "base/random.h"
#include "http/exchange.h"
#include "observe/log.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 256,
    WAIT_MS = 250,         /* how soon a loop sees that it should stop */
    CUT_INTERVAL_MS = 500, /* how exact deadlines are */
    GATHER_JOBS = 16,      /* waiting for workers: then they have plenty */
    GATHER_NS = 1000000,
    GATHER_PAUSE_MS = 200,          /* after an answer of its own, how long a loop does not gather */
    LATE_MS = 1000,                 /* for a client that was late to read so */
    LISTEN_GRACE_MS = 250,          /* once stopping, what was on its way is still taken */
    TURN_STEPS = 64,                /* of one connection, before others have their turn */
    DISCARD_MAX = 16 * 1024 * 1024, /* of a body that is too long, so that its 413 is not lost */
    REQUEST_ID_MAX = 64,
    ANSWER_MAX = 16 * 1024 * 1024,
};

#define CONNECTION_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

struct loop {
    struct loop_options options;
    int epoll_fd, listen_fd, wake_fd;    /* wake_fd: an eventfd that is written to and never read: edges are enough */
    bool is_listening;                   /* not while it has all the connections it may have */
    _Atomic(struct exchange *) answered; /* newest first */
    atomic_int waking;                   /* threads that are just waking it; it may not be freed under them */
    pthread_t thread;
    struct connections connections;
    struct exchange_pool pool;
    int64_t gather_from_ms; /* see gather() */
    uint64_t next_id;
    int64_t date_s; /* of `date` */
    char date[HTTP_DATE_ROOM];
};

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static const struct settings *settings_of(const struct loop *loop)
{
    return loop->options.service->settings;
}

/* --- listening --------------------------------------------------------------------------------------------------- */

static void listen_more(struct loop *loop, bool more)
{
    struct epoll_event event = { .events = more ? EPOLLIN : 0, .data.ptr = &loop->listen_fd };
    if (loop->listen_fd < 0 || loop->is_listening == more)
        return;
    loop->is_listening = more;
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, loop->listen_fd, &event);
}

static void add_connection(struct loop *loop, int fd, const struct sockaddr *address)
{
    struct connection *connection = connection_add(&loop->connections, fd, loop->options.tls, address);
    struct epoll_event event = { .events = CONNECTION_EVENTS, .data.ptr = connection };
    if (!connection)
        return;
    atomic_fetch_add_explicit(&loop->options.service->connections, 1, memory_order_relaxed);
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event); /* what is there already counts as an edge */
}

static void accept_all(struct loop *loop)
{
    struct sockaddr_storage address;
    while (loop->connections.count < loop->options.connections_max) {
        socklen_t len = sizeof address;
        int fd = accept4(loop->listen_fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM))
            break; /* cut_overdue() tries again in a while */
        if (fd < 0 && errno != ECONNABORTED && errno != EINTR)
            return;
        if (fd >= 0)
            add_connection(loop, fd, (struct sockaddr *)&address);
    }
    listen_more(loop, false); /* further clients wait in the kernel's queue */
}

static void stop_listening(struct loop *loop)
{
    accept_all(loop); /* what was already accepted by the kernel would be reset with the listening socket */
    close(loop->listen_fd);
    loop->listen_fd = -1;
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

static void close_connection(struct loop *loop, struct connection *connection)
{
    if (connection->exchange)
        exchange_give_back(&loop->pool, connection->exchange);
    connection_remove(&loop->connections, connection);
    atomic_fetch_sub_explicit(&loop->options.service->connections, 1, memory_order_relaxed);
    listen_more(loop, loop->connections.count < loop->options.connections_max);
}

static struct str date_of(struct loop *loop, int64_t now_s)
{
    if (loop->date_s != now_s) {
        answer_date(now_s, loop->date);
        loop->date_s = now_s;
    }
    return str_of(loop->date);
}

/* The response is final: makes an answer of it, which advance() sends. */
static void begin_answer(struct loop *loop, struct exchange *exchange)
{
    const struct response *response = &exchange->response;
    const struct head *head = &exchange->head;
    bool stopping = atomic_load_explicit(loop->options.stopping, memory_order_relaxed);
    exchange->close = response->close || head->wants_close || stopping ||
                      (head->is_http_1_0 && !head->wants_keep_alive);
    const struct answer_frame frame = { .date = date_of(loop, exchange->request.now_s),
                                        .request_id = exchange->request.id,
                                        .to_head = exchange->request.method == METHOD_HEAD,
                                        .close = exchange->close,
                                        .keep_alive = head->is_http_1_0 };
    buf_init(&exchange->out, &exchange->arena, response->body.len + 1024, ANSWER_MAX);
    answer_write(response, &frame, &exchange->out);
    service_account(&exchange->request, response, clock_ns() - exchange->started_ns);
    connection_enter(&loop->connections, exchange->connection, PHASE_SENDING);
}

static enum method method_of(struct str method)
{
    static const struct {
        struct str name;
        enum method method;
    } known[] = { { { "POST", 4 }, METHOD_POST },
                  { { "GET", 3 }, METHOD_GET },
                  { { "HEAD", 4 }, METHOD_HEAD },
                  { { "OPTIONS", 7 }, METHOD_OPTIONS } };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_eq(method, known[i].name))
            return known[i].method;
    return METHOD_OTHER;
}

/* A caller's own request id is kept when it is harmless, so that one id follows a request through the platform. */
static struct str request_id(struct loop *loop, struct exchange *exchange, struct str given)
{
    bool harmless = given.len > 0 && given.len <= REQUEST_ID_MAX;
    for (size_t i = 0; harmless && i < given.len; i++)
        harmless = (given.at[i] >= 'a' && given.at[i] <= 'z') || (given.at[i] >= 'A' && given.at[i] <= 'Z') ||
                   (given.at[i] >= '0' && given.at[i] <= '9') || given.at[i] == '-' || given.at[i] == '_' ||
                   given.at[i] == '.';
    if (harmless)
        return given;
    static const char digits[] = "0123456789abcdef";
    uint64_t id = loop->next_id++ * UINT64_C(0x9e3779b97f4a7c15); /* one to one, and spread */
    for (size_t i = 0; i < 16; i++)
        exchange->id[i] = digits[id >> (60 - 4 * i) & 15];
    return (struct str){ exchange->id, 16 };
}

/* What a handler is told of a request; its body is there already. Of one that could not be read little is known. */
static void fill_request(struct loop *loop, struct exchange *exchange)
{
    const struct head *head = &exchange->head;
    const struct connection *connection = exchange->connection;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    exchange->request = (struct request){ .arena = &exchange->arena,
                                          .method = method_of(head->method),
                                          .path = head->path,
                                          .authorization = head->authorization,
                                          .content_type = head->content_type,
                                          .if_none_match = head->if_none_match,
                                          .origin = head->origin,
                                          .body = exchange->request.body,
                                          .peer = str_of(connection->peer),
                                          .peer_is_loopback = connection->peer_is_loopback,
                                          .now_s = now.tv_sec,
                                          .now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
                                          .id = request_id(loop, exchange, head->request_id) };
}

static void refuse(struct loop *loop, struct exchange *exchange, struct err err)
{
    if (err.code != ERR_TOO_LARGE) /* after a bad head, nothing that it says is to be relied on */
        exchange->head = (struct head){ 0 };
    fill_request(loop, exchange);
    response_init(&exchange->response, &exchange->arena);
    response_fail(&exchange->response, &exchange->arena, err);
    exchange->response.close = true; /* what follows on this connection may not be a request */
    begin_answer(loop, exchange);
}

/* --- workers and the group commit -------------------------------------------------------------------------------- */

/* On whichever thread has ended the work. The loop may have the exchange again at once: nothing may touch it after. */
static void hand_back(struct exchange *exchange)
{
    const uint64_t one = 1;
    struct loop *loop = exchange->loop;
    atomic_fetch_add(&loop->waking, 1);
    struct exchange *first = atomic_load_explicit(&loop->answered, memory_order_relaxed);
    do
        exchange->next = first;
    while (!atomic_compare_exchange_weak(&loop->answered, &first, exchange));
    if (!first && write(loop->wake_fd, &one, sizeof one) != sizeof one) /* else somebody has woken it already */
        LOG(LOG_ERROR, "loop_not_woken", LOG_INT("errno", errno));
    atomic_fetch_sub(&loop->waking, 1);
}

/* On the commit thread. */
static void committed(struct commit_item *item, struct err failure)
{
    struct exchange *exchange = (void *)((char *)item - offsetof(struct exchange, item));
    if (failure.code)
        response_fail(&exchange->response, &exchange->arena, failure);
    hand_back(exchange);
}

/* On a worker. */
static void work(struct job *job)
{
    struct exchange *exchange = (void *)job;
    struct service *service = exchange->loop->options.service;
    (void)service_answer(service, &exchange->request, true, &exchange->response);
    if (exchange->response.records) {
        exchange->item.records = exchange->response.records;
        exchange->item.done = committed;
        commit_submit(service->commit, &exchange->item);
    } else {
        hand_back(exchange);
    }
    commit_expect(service->commit, -1);
}

/* The request is whole. */
static void dispatch(struct loop *loop, struct exchange *exchange)
{
    struct service *service = loop->options.service;
    fill_request(loop, exchange);
    if (service_answer(service, &exchange->request, false, &exchange->response) == ANSWERED) {
        loop->gather_from_ms = clock_coarse_ms() + GATHER_PAUSE_MS;
        begin_answer(loop, exchange);
        return;
    }
    connection_enter(&loop->connections, exchange->connection, PHASE_WORKING);
    exchange->job.run = work;
    commit_expect(service->commit, 1);
    if (workers_submit(loop->options.workers, &exchange->job))
        return;
    commit_expect(service->commit, -1);
    metrics_count(COUNT_QUEUE_FULL, 1);
    response_fail(&exchange->response, &exchange->arena,
                  failed(ERR_UNAVAILABLE, "the service has more to do than it can; try again"));
    begin_answer(loop, exchange);
}

/* --- one connection ---------------------------------------------------------------------------------------------- */

/* What a step leaves: more to do at once, nothing before the next event, or no connection. */
enum progress { PROGRESS_MORE, PROGRESS_NONE, PROGRESS_GONE };

static enum progress close_now(struct loop *loop, struct connection *connection)
{
    close_connection(loop, connection);
    return PROGRESS_GONE;
}

/* PROGRESS_NONE: nothing has come. */
static enum progress receive(struct loop *loop, struct connection *connection)
{
    struct exchange *exchange = connection->exchange;
    size_t got = 0, room = exchange_room_left(&loop->pool, exchange);
    if (!connection->transport.readable)
        return PROGRESS_NONE;
    switch (transport_receive(&connection->transport, exchange->in + exchange->received, room, &got)) {
    case TRANSPORT_SOME:
        exchange_received(exchange, got);
        return PROGRESS_MORE;
    case TRANSPORT_LATER:
        return PROGRESS_NONE;
    case TRANSPORT_ENDED:
        if (connection->phase == PHASE_IDLE)
            return close_now(loop, connection);
        refuse(loop, exchange, failed(ERR_INVALID_REQUEST, "the request ended before it was whole"));
        return PROGRESS_MORE;
    case TRANSPORT_BROKEN:
        break;
    }
    return close_now(loop, connection);
}

/* The first bytes of a request begin its time; the first request's began when the connection did. */
static void begin_request(struct loop *loop, struct connection *connection)
{
    int64_t deadline_ms = connection->deadline_ms;
    connection->exchange->started_ns = clock_ns();
    connection_enter(&loop->connections, connection, PHASE_RECEIVING);
    if (connection->is_fresh)
        connection->deadline_ms = deadline_ms;
}

static void send_continue(struct connection *connection)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t done;
    /* where it doesn't fit, the client sends its body after a while all the same */
    (void)transport_send(&connection->transport, text, sizeof text - 1, &done);
}

/* Bytes are there that have not been looked at. */
static void read_on(struct loop *loop, struct connection *connection)
{
    struct err failure = OK;
    struct exchange *exchange = connection->exchange;
    if (connection->phase == PHASE_IDLE)
        begin_request(loop, connection);
    switch (exchange_read(&loop->pool, exchange, &failure)) {
    case EXCHANGE_EXPECTING:
        send_continue(connection);
        break;
    case EXCHANGE_PARTIAL:
        break;
    case EXCHANGE_WHOLE:
        dispatch(loop, exchange);
        break;
    case EXCHANGE_BAD:
        refuse(loop, exchange, failure);
        break;
    }
}

static enum progress take_request(struct loop *loop, struct connection *connection)
{
    bool has_bytes = connection->phase == PHASE_IDLE && connection->exchange; /* that came behind the last request */
    if (!connection->exchange) {
        connection->exchange = exchange_take(&loop->pool);
        connection->exchange->loop = loop;
        connection->exchange->connection = connection;
    }
    enum progress step = has_bytes ? PROGRESS_MORE : receive(loop, connection);
    if (step == PROGRESS_NONE && connection->phase == PHASE_IDLE) { /* an idle connection holds no memory */
        exchange_give_back(&loop->pool, connection->exchange);
        connection->exchange = NULL;
    }
    if (step == PROGRESS_MORE && connection->phase != PHASE_SENDING)
        read_on(loop, connection);
    return step;
}

/* The answer is sent. */
static void end_exchange(struct loop *loop, struct connection *connection)
{
    struct exchange *exchange = connection->exchange;
    connection_enter(&loop->connections, connection, exchange->close ? PHASE_ENDING : PHASE_IDLE);
    if (!exchange->close && exchange_begin_next(&loop->pool, exchange))
        return;
    if (exchange->close)
        transport_end(&connection->transport);
    connection->exchange = NULL;
    exchange_give_back(&loop->pool, exchange);
}

static enum progress send_answer(struct loop *loop, struct connection *connection)
{
    struct exchange *exchange = connection->exchange;
    size_t done = 0;
    if (!connection->transport.writable)
        return PROGRESS_NONE;
    switch (transport_send(&connection->transport, exchange->out.at + exchange->sent,
                           exchange->out.len - exchange->sent, &done)) {
    case TRANSPORT_SOME:
        exchange->sent += done;
        if (exchange->sent == exchange->out.len)
            end_exchange(loop, connection);
        return PROGRESS_MORE;
    case TRANSPORT_LATER:
        return PROGRESS_NONE;
    case TRANSPORT_ENDED:
    case TRANSPORT_BROKEN:
        break;
    }
    return close_now(loop, connection);
}

static enum progress discard(struct loop *loop, struct connection *connection)
{
    size_t done = 0;
    enum transport_result result = transport_discard(&connection->transport, DISCARD_MAX, &done);
    connection->discarded += done;
    return result == TRANSPORT_LATER && connection->discarded < DISCARD_MAX ? PROGRESS_NONE
                                                                            : close_now(loop, connection);
}

/* One client's pipelined requests must not keep the others waiting: the next event comes at once, and last. */
static void yield(struct loop *loop, struct connection *connection)
{
    struct epoll_event event = { .events = CONNECTION_EVENTS, .data.ptr = connection };
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, connection->transport.fd, &event);
}

/* Takes a connection as far as it goes without waiting. False when it is gone. */
static bool advance(struct loop *loop, struct connection *connection)
{
    enum progress step = PROGRESS_MORE;
    for (int steps = 0; step == PROGRESS_MORE; steps++) {
        if (steps == TURN_STEPS) {
            yield(loop, connection);
            return true;
        }
        switch (connection->phase) {
        case PHASE_IDLE:
        case PHASE_RECEIVING:
            step = take_request(loop, connection);
            break;
        case PHASE_SENDING:
            step = send_answer(loop, connection);
            break;
        case PHASE_ENDING:
            step = discard(loop, connection);
            break;
        case PHASE_WORKING:
            step = PROGRESS_NONE;
            break;
        }
    }
    return step != PROGRESS_GONE;
}

/* --- turns ------------------------------------------------------------------------------------------------------- */

/* RFC 9110 section 15.5.9. A moment is left for the answer to be read. */
static void tell_late_client(struct loop *loop, struct connection *connection)
{
    refuse(loop, connection->exchange, failed(ERR_TIMEOUT, "the request took too long to arrive"));
    if (advance(loop, connection))
        connection->deadline_ms = clock_coarse_ms() + LATE_MS;
}

static void cut(struct loop *loop, struct connection *connection)
{
    enum phase phase = connection->phase;
    if (phase == PHASE_RECEIVING || phase == PHASE_SENDING || (phase == PHASE_IDLE && connection->is_fresh))
        metrics_count(COUNT_TIMEOUTS, 1);
    if (phase == PHASE_RECEIVING)
        tell_late_client(loop, connection);
    else
        close_connection(loop, connection);
}

/* With `idle_too`, also what stands between requests. */
static void cut_overdue(struct loop *loop, bool idle_too)
{
    int64_t now_ms = clock_coarse_ms();
    for (struct connection *each = loop->connections.first, *next; each; each = next) {
        next = each->next;
        if (connection_is_overdue(each, now_ms, idle_too))
            cut(loop, each);
    }
    listen_more(loop, loop->connections.count < loop->options.connections_max);
}

/* When all that is asked for is work for the workers, and they have plenty, waking for each request alone would only
 * take the processor from them: the loop sleeps a moment, and then takes many at once. Not while it has answers of its
 * own to give, whose callers would notice; and not for a second after the workers ran dry meanwhile. */
static void gather(struct loop *loop)
{
    const struct timespec moment = { .tv_nsec = GATHER_NS };
    const atomic_size_t *waiting = &loop->options.service->jobs_waiting;
    if (atomic_load_explicit(waiting, memory_order_relaxed) < GATHER_JOBS || clock_coarse_ms() < loop->gather_from_ms)
        return;
    nanosleep(&moment, NULL);
    if (atomic_load_explicit(waiting, memory_order_relaxed) == 0)
        loop->gather_from_ms = clock_coarse_ms() + 1000;
}

/* In the order in which they were answered. */
static void send_answered(struct loop *loop)
{
    struct exchange *newest = atomic_exchange(&loop->answered, NULL), *oldest = NULL;
    while (newest) {
        struct exchange *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct exchange *exchange = oldest;
        oldest = oldest->next;
        begin_answer(loop, exchange);
        (void)advance(loop, exchange->connection);
    }
}

static void take_event(struct loop *loop, const struct epoll_event *event)
{
    struct connection *connection = event->data.ptr;
    if (event->data.ptr == &loop->listen_fd) {
        accept_all(loop);
        return;
    }
    if (event->data.ptr == &loop->wake_fd)
        return;
    connection->transport.readable = connection->transport.writable = true;
    if (event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        connection->transport.at_end = true;
    (void)advance(loop, connection);
}

static void run_turn(struct loop *loop, int wait_ms)
{
    struct epoll_event events[EVENTS_MAX];
    gather(loop);
    int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, wait_ms);
    for (int i = 0; i < count; i++)
        take_event(loop, &events[i]);
    send_answered(loop); /* after the events: it may close connections that they name */
}

/* Answers what is in flight. What a worker has is always waited for: its answer may already be durable. */
static void drain(struct loop *loop)
{
    int64_t now_ms = clock_coarse_ms(), grace_ms = now_ms + LISTEN_GRACE_MS;
    int64_t end_ms = now_ms + settings_of(loop)->drain_timeout_s * 1000;
    stop_listening(loop);
    while (loop->connections.count > 0 && (now_ms < end_ms || loop->connections.working > 0)) {
        run_turn(loop, 20);
        now_ms = clock_coarse_ms();
        cut_overdue(loop, now_ms >= grace_ms);
    }
    while (loop->connections.first)
        close_connection(loop, loop->connections.first);
}

static void *run(void *arg)
{
    struct loop *loop = arg;
    int64_t cut_at_ms = 0;
    pthread_setname_np(pthread_self(), "loop");
    while (!atomic_load_explicit(loop->options.stopping, memory_order_relaxed)) {
        run_turn(loop, WAIT_MS);
        int64_t now_ms = clock_coarse_ms();
        if (now_ms < cut_at_ms)
            continue;
        cut_overdue(loop, false);
        cut_at_ms = now_ms + CUT_INTERVAL_MS;
    }
    drain(loop);
    while (atomic_load(&loop->waking) > 0)
        sched_yield();
    jws_thread_end();
    return NULL;
}

/* --- beginning and end ------------------------------------------------------------------------------------------- */

static void release(struct loop *loop)
{
    if (loop->listen_fd >= 0)
        close(loop->listen_fd);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    exchange_pool_release(&loop->pool);
    free(loop);
}

static bool watch(struct loop *loop, int *fd, uint32_t events)
{
    struct epoll_event event = { .events = events, .data.ptr = fd };
    return *fd >= 0 && epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, *fd, &event) == 0;
}

struct err loop_start(const struct loop_options *options, int listen_fd, struct loop **out)
{
    const struct settings *settings = options->service->settings;
    struct loop *loop = mem_alloc(sizeof *loop);
    *loop = (struct loop){ .options = *options,
                           .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                           .listen_fd = listen_fd,
                           .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                           .is_listening = true,
                           .connections = { .idle_ms = settings->idle_timeout_s * 1000,
                                            .request_ms = settings->request_timeout_s * 1000 } };
    exchange_pool_init(&loop->pool, (size_t)settings->header_max_bytes, (size_t)settings->body_max_bytes);
    random_bytes(&loop->next_id, sizeof loop->next_id);
    if (watch(loop, &loop->listen_fd, EPOLLIN) && watch(loop, &loop->wake_fd, EPOLLIN | EPOLLET) &&
        pthread_create(&loop->thread, NULL, run, loop) == 0) {
        *out = loop;
        return OK;
    }
    release(loop);
    return failed(ERR_INTERNAL, "an event loop could not be started");
}

void loop_join(struct loop *loop)
{
    pthread_join(loop->thread, NULL);
    release(loop);
}
