/* http/advance.c: the steps of a connection: receive, parse, process, send, and again. */
#include "http/advance.h"
#include "base/clock.h"
#include "http/dispatch.h"
#include <sys/epoll.h>

enum {
    TURN_STEPS = 64,                /* of one connection, before others have their turn */
    DISCARD_MAX = 16 * 1024 * 1024, /* of a body that is too long, so that its 413 is not lost */
};

/* What a step leaves: more to do at once, nothing before the next event, or no connection. */
enum progress { PROGRESS_MORE, PROGRESS_NONE, PROGRESS_GONE };

static enum progress advance_close_now(struct loop *loop, struct connection *connection)
{
    loop_close_connection(loop, connection);
    return PROGRESS_GONE;
}

/* PROGRESS_NONE: nothing has come. */
static enum progress advance_receive(struct loop *loop, struct connection *connection)
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
            return advance_close_now(loop, connection);
        dispatch_refusal(loop, exchange, failed(ERR_INVALID_REQUEST, "the request ended before it was complete"));
        return PROGRESS_MORE;
    case TRANSPORT_BROKEN:
        break;
    }
    return advance_close_now(loop, connection);
}

/* The first bytes of a request begin its time; the first request's began when the connection did. */
static void advance_begin_request(struct loop *loop, struct connection *connection)
{
    int64_t deadline_ms = connection->deadline_ms;
    connection->exchange->started_ns = clock_ns();
    connection_enter(&loop->connections, connection, PHASE_RECEIVING);
    if (connection->is_fresh)
        connection->deadline_ms = deadline_ms;
}

static void advance_send_continue(struct connection *connection)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    size_t done;
    /* if it does not fit, the client still sends its body after a while */
    (void)transport_send(&connection->transport, text, sizeof text - 1, &done);
}

/* Nothing of it is read, so that it goes as soon as its answer has. */
static void advance_refuse_for_memory(struct loop *loop, struct exchange *exchange)
{
    metrics_count(COUNT_MEMORY_FULL, 1);
    dispatch_refusal(loop, exchange,
                     failed(ERR_UNAVAILABLE, "the service has too many requests in progress; try again"));
}

/* Bytes are there that have not been looked at. */
static void advance_read_on(struct loop *loop, struct connection *connection)
{
    struct err failure = OK;
    struct exchange *exchange = connection->exchange;
    const bool is_new = connection->phase == PHASE_IDLE;
    if (is_new)
        advance_begin_request(loop, connection);
    if (is_new && exchange_pool_is_full(&loop->pool)) {
        advance_refuse_for_memory(loop, exchange);
        return;
    }
    switch (exchange_read(&loop->pool, exchange, &failure)) {
    case EXCHANGE_EXPECTING:
        advance_send_continue(connection);
        break;
    case EXCHANGE_PARTIAL:
        break;
    case EXCHANGE_WHOLE:
        dispatch(loop, exchange);
        break;
    case EXCHANGE_BAD:
        dispatch_refusal(loop, exchange, failure);
        break;
    }
}

static void advance_take_exchange(struct loop *loop, struct connection *connection)
{
    connection->exchange = exchange_take(&loop->pool);
    connection->exchange->loop = loop;
    connection->exchange->connection = connection;
}

static enum progress advance_take_request(struct loop *loop, struct connection *connection)
{
    bool has_bytes = connection->phase == PHASE_IDLE && connection->exchange; /* that came behind the last request */
    if (!connection->exchange)
        advance_take_exchange(loop, connection);
    enum progress step = has_bytes ? PROGRESS_MORE : advance_receive(loop, connection);
    if (step == PROGRESS_NONE && connection->phase == PHASE_IDLE) { /* an idle connection holds no memory */
        exchange_give_back(&loop->pool, connection->exchange);
        connection->exchange = NULL;
    }
    if (step == PROGRESS_MORE && connection->phase != PHASE_SENDING)
        advance_read_on(loop, connection);
    return step;
}

/* The answer is sent. */
static void advance_end_exchange(struct loop *loop, struct connection *connection)
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

static enum progress advance_send_answer(struct loop *loop, struct connection *connection)
{
    struct exchange *exchange = connection->exchange;
    size_t done = 0;
    if (!exchange || !connection->transport.writable)
        return PROGRESS_NONE;
    switch (transport_send(&connection->transport, exchange->out.at + exchange->sent,
                           exchange->out.len - exchange->sent, &done)) {
    case TRANSPORT_SOME:
        exchange->sent += done;
        if (exchange->sent == exchange->out.len)
            advance_end_exchange(loop, connection);
        return PROGRESS_MORE;
    case TRANSPORT_LATER:
        return PROGRESS_NONE;
    case TRANSPORT_ENDED:
    case TRANSPORT_BROKEN:
        break;
    }
    return advance_close_now(loop, connection);
}

static enum progress advance_discard(struct loop *loop, struct connection *connection)
{
    size_t done = 0;
    enum transport_result result = transport_discard(&connection->transport, DISCARD_MAX, &done);
    connection->discarded += done;
    return result == TRANSPORT_LATER && connection->discarded < DISCARD_MAX ? PROGRESS_NONE
                                                                            : advance_close_now(loop, connection);
}

/* One client's pipelined requests must not keep the others waiting: the next event comes at once, and last. */
static void advance_yield(struct loop *loop, struct connection *connection)
{
    struct epoll_event event = { .events = LOOP_CONNECTION_EVENTS, .data.ptr = connection };
    epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, connection->transport.fd, &event);
}

bool advance(struct loop *loop, struct connection *connection)
{
    enum progress step = PROGRESS_MORE;
    for (int steps = 0; step == PROGRESS_MORE; steps++) {
        if (steps == TURN_STEPS) {
            advance_yield(loop, connection);
            return true;
        }
        switch (connection->phase) {
        case PHASE_IDLE:
        case PHASE_RECEIVING:
            step = advance_take_request(loop, connection);
            break;
        case PHASE_SENDING:
            step = advance_send_answer(loop, connection);
            break;
        case PHASE_ENDING:
            step = advance_discard(loop, connection);
            break;
        case PHASE_WORKING:
            step = PROGRESS_NONE;
            break;
        }
    }
    return step != PROGRESS_GONE;
}

bool advance_refuse(struct loop *loop, struct connection *connection)
{
    advance_take_exchange(loop, connection);
    connection->exchange->started_ns = clock_ns();
    dispatch_refusal(loop, connection->exchange,
                     failed(ERR_UNAVAILABLE, "the service has too many connections in use; try again"));
    return advance(loop, connection);
}
