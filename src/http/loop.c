/* http/loop.c: accepts, waits for events, closes what is overdue, and drains at the end. */
#include "http/loop.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/settings.h"
#include "http/advance.h"
#include "http/dispatch.h"
#include "http/shares.h"
#include "observe/log.h"
#include "service/service.h"
#include <errno.h>
#include <limits.h>
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
    EVENTS_BESIDE = 32,    /* at once, while others wait for their turn */
    ANSWERS_A_TURN = 16,   /* of others' making */
    HELD_MS = 1,           /* how soon a loop looks at the connections that it holds */
    LATE_MS = 1000,        /* for a client that was late to read so */
    REST_MS = 250,         /* after an accept that failed for lack of resources */
    ACCEPTS_A_TURN = 1024,
    LISTEN_GRACE_MS = 250, /* once stopping, what was on its way is still taken */
};

/* --- listening --------------------------------------------------------------------------------------------------- */

static void loop_listen_more(struct loop *loop, bool more)
{
    struct epoll_event event = { .events = more ? EPOLLIN : 0, .data.ptr = &loop->listeners };
    if (loop->is_listening == more)
        return;
    loop->is_listening = more;
    for (size_t i = 0; i < loop->listeners.count; i++)
        epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, loop->listeners.fds[i], &event);
}

/* A connection that this loop has accepted, and that another one is to have. */
struct newcomer {
    struct newcomer *next;
    int fd;
    struct sockaddr_storage address;
};

/* The kernel spreads connections by chance, and a few of them badly. One more is counted for the loop that has fewest:
 * others may be choosing as well, so it must still have as many as it was chosen for. */
static struct loop *loop_claim_place(struct loop *loop)
{
    for (;;) {
        struct loop *best = loop;
        size_t fewest = atomic_load(&loop->taken);
        for (size_t i = 0; i < loop->options.loop_count; i++) {
            const size_t taken = atomic_load(&loop->options.loops[i]->taken);
            if (taken < fewest) {
                best = loop->options.loops[i];
                fewest = taken;
            }
        }
        if (atomic_compare_exchange_strong(&best->taken, &fewest, fewest + 1))
            return best;
    }
}

/* False: it is this loop's own, and has a place there. A loop that stops is given none. */
static bool loop_give_away(struct loop *loop, int fd, const struct sockaddr_storage *address)
{
    struct loop *to = loop_claim_place(loop);
    if (to == loop)
        return false;
    struct newcomer *newcomer = mem_alloc(sizeof *newcomer);
    *newcomer = (struct newcomer){ .fd = fd, .address = *address };
    atomic_fetch_add(&to->waking, 1); /* before it is looked whether that one stops: loop_drain() waits for it */
    const bool gives = !atomic_load(to->options.stopping);
    if (gives) {
        newcomer->next = atomic_load_explicit(&to->newcomers, memory_order_relaxed);
        while (!atomic_compare_exchange_weak(&to->newcomers, &newcomer->next, newcomer))
            continue;
        loop_wake(to);
    } else {
        free(newcomer);
        atomic_fetch_sub(&to->taken, 1);
        atomic_fetch_add(&loop->taken, 1);
    }
    atomic_fetch_sub(&to->waking, 1);
    return gives;
}

/* Its place is claimed; on failure it is free again. */
static struct connection *loop_add_connection(struct loop *loop, int fd, struct tls *tls,
                                              const struct sockaddr *address)
{
    struct connection *connection = connection_add(&loop->connections, fd, tls, address);
    struct epoll_event event = { .events = LOOP_CONNECTION_EVENTS, .data.ptr = connection };
    if (!connection) {
        atomic_fetch_sub(&loop->taken, 1);
        return NULL;
    }
    atomic_fetch_add_explicit(&loop->options.service->state.connections, 1, memory_order_relaxed);
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event); /* what is there already counts as an edge */
    return connection;
}

/* All are in use: it is told so, and ended. A TLS client sees its connection closed, since to tell it more would take a
 * handshake, which a flood must not get. */
static void loop_refuse(struct loop *loop, int fd, const struct sockaddr *address, int *refusals)
{
    metrics_count(COUNT_CONNECTIONS_REFUSED, 1);
    --*refusals;
    if (loop->options.tls) {
        atomic_fetch_sub(&loop->taken, 1);
        close(fd);
        return;
    }
    struct connection *connection = loop_add_connection(loop, fd, NULL, address);
    if (!connection)
        return;
    struct connection *out = connection_refuse(&loop->connections, connection);
    if (out)
        loop_close_connection(loop, out);
    if (advance_refuse(loop, connection))
        connection->deadline_ms = clock_coarse_ms() + LATE_MS;
}

/* Silent connections must not keep others out: the one that has been so for longest is closed. */
static bool loop_make_room(struct loop *loop)
{
    if (!connections_are_full(&loop->connections))
        return true;
    struct connection *spared = connection_to_spare(&loop->connections);
    if (!spared)
        return false;
    metrics_count(COUNT_CONNECTIONS_SPARED, 1);
    loop_close_connection(loop, spared);
    return true;
}

/* The place that was claimed for it is used, or free again. */
static void loop_admit(struct loop *loop, int fd, const struct sockaddr_storage *address, int *refusals)
{
    if (loop_make_room(loop))
        (void)loop_add_connection(loop, fd, loop->options.tls, (const struct sockaddr *)address);
    else
        loop_refuse(loop, fd, (const struct sockaddr *)address, refusals);
}

/* False: there is nothing more to be accepted at this socket, or *refusals are used up. */
static bool loop_accept_one(struct loop *loop, int listen_fd, int *refusals)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    int fd = accept4(listen_fd, (struct sockaddr *)&address, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            loop->rests_until_ms = clock_coarse_ms() + REST_MS; /* else it would be woken again at once */
        return errno == ECONNABORTED || errno == EINTR;
    }
    if (!loop_give_away(loop, fd, &address))
        loop_admit(loop, fd, &address, refusals);
    return *refusals > 0;
}

static void loop_accept_all(struct loop *loop)
{
    int refusals = CONNECTIONS_REFUSED_MAX; /* so that those who are served don't wait for them */
    loop->has_callers = false;
    for (size_t i = 0; i < loop->listeners.count; i++)
        for (int times = 0; times < ACCEPTS_A_TURN && loop_accept_one(loop, loop->listeners.fds[i], &refusals); times++)
            continue;
}

static void loop_take_newcomers(struct loop *loop)
{
    int refusals = INT_MAX; /* whoever accepted them has counted */
    struct newcomer *each = atomic_exchange(&loop->newcomers, NULL);
    while (each) {
        struct newcomer *newcomer = each;
        each = newcomer->next;
        loop_admit(loop, newcomer->fd, &newcomer->address, &refusals);
        free(newcomer);
    }
}

static void loop_stop_listening(struct loop *loop)
{
    int refusals = INT_MAX;
    for (size_t i = 0; i < loop->listeners.count; i++)
        while (loop_accept_one(loop, loop->listeners.fds[i], &refusals))
            continue; /* what the kernel has accepted already would be reset with the listening socket */
    listen_close(&loop->listeners);
}

void loop_close_connection(struct loop *loop, struct connection *connection)
{
    if (connection->exchange)
        exchange_give_back(&loop->pool, connection->exchange);
    atomic_fetch_sub_explicit(&loop->options.service->state.connections, 1, memory_order_relaxed);
    atomic_fetch_sub(&loop->taken, 1);
    connection_remove(&loop->connections, connection);
}

/* --- events ------------------------------------------------------------------------------------------------------ */

/* RFC 9110 section 15.5.9. A moment is left for the answer to be read. */
static void loop_tell_late_client(struct loop *loop, struct connection *connection)
{
    dispatch_refusal(loop, connection->exchange, failed(ERR_TIMEOUT, "the request took too long to arrive"));
    if (advance(loop, connection))
        connection->deadline_ms = clock_coarse_ms() + LATE_MS;
}

static void loop_cut(struct loop *loop, struct connection *connection)
{
    enum phase phase = connection->phase;
    if (phase == PHASE_RECEIVING || phase == PHASE_SENDING || (phase == PHASE_IDLE && connection->is_fresh))
        metrics_count(COUNT_TIMEOUTS, 1);
    if (phase == PHASE_RECEIVING)
        loop_tell_late_client(loop, connection);
    else
        loop_close_connection(loop, connection);
}

/* With `idle_too`, also what stands between requests. */
static void loop_cut_overdue(struct loop *loop, bool idle_too)
{
    int64_t now_ms = clock_coarse_ms();
    for (struct connection *each = loop->connections.first, *next; each; each = next) {
        next = each->next;
        if (connection_is_overdue(each, now_ms, idle_too))
            loop_cut(loop, each);
    }
}

/* In the order in which they were answered; what is more than some waits for the next turn. */
static void loop_send_answered(struct loop *loop)
{
    struct exchange *newest = atomic_exchange(&loop->answered, NULL), *oldest = NULL, *const last = newest;
    while (newest) {
        struct exchange *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    if (oldest) {
        *(loop->unsent ? &loop->unsent_last->next : &loop->unsent) = oldest;
        loop->unsent_last = last;
    }
    for (int i = 0; i < ANSWERS_A_TURN && loop->unsent; i++) {
        struct exchange *exchange = loop->unsent;
        loop->unsent = exchange->next;
        dispatch_answer(loop, exchange);
        (void)advance(loop, exchange->connection);
    }
}

static void loop_take_event(struct loop *loop, const struct epoll_event *event)
{
    struct connection *connection = event->data.ptr;
    if (event->data.ptr == &loop->listeners) {
        loop->has_callers = true;
        return;
    }
    if (event->data.ptr == &loop->wake_fd)
        return;
    transport_wake(&connection->transport, event->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    (void)advance(loop, connection);
}

/* Says what requests take. */
static void loop_tell_memory(struct loop *loop)
{
    struct service *service = loop->options.service;
    const size_t bytes = loop->pool.bytes;
    if (bytes == loop->told_bytes)
        return;
    atomic_fetch_add_explicit(&service->state.request_bytes, bytes - loop->told_bytes, memory_order_relaxed);
    loop->told_bytes = bytes;
}

/* --- turns ------------------------------------------------------------------------------------------------------- */

void loop_wake(struct loop *loop)
{
    const uint64_t one = 1;
    if (atomic_exchange(&loop->sleeps, false) && write(loop->wake_fd, &one, sizeof one) != sizeof one)
        LOG(LOG_ERROR, "loop_not_woken", LOG_INT("errno", errno));
}

static int loop_wait(struct loop *loop, struct epoll_event events[EVENTS_MAX], int wait_ms)
{
    if (loop->unsent || turns_count(loop->options.turns) > 0)
        return epoll_wait(loop->epoll_fd, events, EVENTS_BESIDE, 0);
    if (loop->connections.held.oldest)
        wait_ms = HELD_MS;
    atomic_store(&loop->sleeps, true); /* before it looks again: who came before it has seen that, or is seen */
    if (atomic_load(&loop->answered) || atomic_load(&loop->newcomers) || turns_count(loop->options.turns) > 0)
        wait_ms = 0;
    const int count = epoll_wait(loop->epoll_fd, events, EVENTS_MAX, wait_ms);
    atomic_store(&loop->sleeps, false);
    return count;
}

static void loop_run_turn(struct loop *loop, int wait_ms)
{
    struct epoll_event events[EVENTS_MAX];
    const int count = loop_wait(loop, events, wait_ms);
    const int64_t began_ns = clock_ns();
    for (int i = 0; i < count; i++)
        loop_take_event(loop, &events[i]);
    if (loop->has_callers)
        loop_accept_all(loop); /* after the events as well */
    loop_take_newcomers(loop);
    loop_listen_more(loop, clock_coarse_ms() >= loop->rests_until_ms);
    loop_send_answered(loop); /* after the events: it may close connections that they name */
    if (loop->connections.held.oldest)
        shares_hear_held(loop);
    loop_tell_memory(loop);
    if (turns_count(loop->options.turns) > 0)
        shares_give_turns(loop, count > 0, began_ns);
}

/* In this order: who is giving it a connection wakes it first. */
static bool loop_has_more(const struct loop *loop)
{
    return atomic_load(&loop->waking) > 0 || atomic_load(&loop->newcomers) || loop->connections.count > 0;
}

/* Answers what is in flight. What a worker has is always waited for: its answer may already be durable. */
static void loop_drain(struct loop *loop)
{
    int64_t now_ms = clock_coarse_ms(), grace_ms = now_ms + LISTEN_GRACE_MS;
    int64_t end_ms = now_ms + loop->options.service->settings->drain_timeout_s * 1000;
    loop_stop_listening(loop);
    while (loop_has_more(loop) && (now_ms < end_ms || loop->connections.working > 0)) {
        loop_run_turn(loop, 20);
        now_ms = clock_coarse_ms();
        loop_cut_overdue(loop, now_ms >= grace_ms);
    }
    while (loop->connections.first)
        loop_close_connection(loop, loop->connections.first);
}

static void *loop_run(void *arg)
{
    struct loop *loop = arg;
    int64_t cut_at_ms = 0;
    pthread_setname_np(pthread_self(), "loop");
    while (!atomic_load_explicit(loop->options.stopping, memory_order_relaxed)) {
        loop_run_turn(loop, WAIT_MS);
        int64_t now_ms = clock_coarse_ms();
        if (now_ms < cut_at_ms)
            continue;
        loop_cut_overdue(loop, false);
        exchange_pool_shrink(&loop->pool);
        cut_at_ms = now_ms + CUT_INTERVAL_MS;
    }
    loop_drain(loop);
    while (atomic_load(&loop->waking) > 0)
        sched_yield();
    return NULL;
}

/* --- beginning and end ------------------------------------------------------------------------------------------- */

void loop_free(struct loop *loop)
{
    listen_close(&loop->listeners);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    for (struct newcomer *each = atomic_load(&loop->newcomers), *next; each; each = next) {
        next = each->next;
        close(each->fd);
        free(each);
    }
    exchange_pool_release(&loop->pool);
    free(loop);
}

static bool loop_watch(struct loop *loop, int fd, uint32_t events, void *what)
{
    struct epoll_event event = { .events = events, .data.ptr = what };
    return fd >= 0 && epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

static bool loop_watch_all(struct loop *loop)
{
    bool good = loop_watch(loop, loop->wake_fd, EPOLLIN | EPOLLET, &loop->wake_fd);
    for (size_t i = 0; i < loop->listeners.count; i++)
        good = good && loop_watch(loop, loop->listeners.fds[i], EPOLLIN, &loop->listeners);
    return good;
}

struct err loop_open(const struct loop_options *options, const struct listeners *listeners, struct loop **out)
{
    const struct settings *settings = options->service->settings;
    struct loop *loop = mem_alloc(sizeof *loop);
    *loop = (struct loop){ .options = *options,
                           .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
                           .listeners = *listeners,
                           .wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                           .is_listening = true,
                           .connections = { .max = options->connections_max,
                                            .idle_ms = settings->idle_timeout_s * 1000,
                                            .request_ms = settings->request_timeout_s * 1000 } };
    exchange_pool_init(&loop->pool, (size_t)settings->header_max_bytes, (size_t)settings->body_max_bytes,
                       options->memory_max);
    random_bytes(&loop->next_id, sizeof loop->next_id);
    if (loop_watch_all(loop)) {
        *out = loop;
        return OK;
    }
    loop_free(loop);
    return failed(ERR_INTERNAL, "an event loop could not be made");
}

struct err loop_start(struct loop *loop)
{
    return pthread_create(&loop->thread, NULL, loop_run, loop) == 0
               ? OK
               : failed(ERR_INTERNAL, "an event loop could not be started");
}

void loop_join(struct loop *loop)
{
    pthread_join(loop->thread, NULL);
}
