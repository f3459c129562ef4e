/* http/dispatch.c: the loop answers what it can at once. What costs a signature waits for its turn on a loop, what may
 * have to wait goes to a worker; and when there is something to record, from there to the group commit. */
#include "http/dispatch.h"
#include "base/clock.h"
#include "base/settings.h"
#include "wire/peer.h"
#include "service/service.h"
#include <time.h>

enum { ANSWER_MAX = 16 * 1024 * 1024 };

/* --- answers ----------------------------------------------------------------------------------------------------- */

static struct str dispatch_date_of(struct loop *loop, int64_t now_s)
{
    if (loop->date_s != now_s) {
        answer_date(now_s, loop->date);
        loop->date_s = now_s;
    }
    return str_of(loop->date);
}

void dispatch_answer(struct loop *loop, struct exchange *exchange)
{
    const struct response *response = &exchange->response;
    const struct head *head = &exchange->head;
    bool stopping = atomic_load_explicit(loop->options.stopping, memory_order_relaxed);
    exchange->close = exchange->close || head->wants_close || stopping ||
                      (head->is_http_1_0 && !head->wants_keep_alive);
    const struct answer_frame frame = { .date = dispatch_date_of(loop, exchange->request.now_s),
                                        .request_id = exchange->request.id,
                                        .to_head = exchange->request.method == METHOD_HEAD,
                                        .close = exchange->close,
                                        .keep_alive = head->is_http_1_0 };
    buf_init(&exchange->out, &exchange->arena, response->body.len + 1024, ANSWER_MAX);
    answer_write(response, &frame, &exchange->out);
    exchange_count(&loop->pool, exchange); /* until the client has read it */
    service_account(&exchange->request, response, clock_ns() - exchange->started_ns);
    exchange->connection->put_off_ms = response->is_put_off ? clock_coarse_ms() : 0;
    connection_enter(&loop->connections, exchange->connection, PHASE_SENDING);
}

/* The caller's own, or one of ours. */
static struct str dispatch_request_id(struct loop *loop, struct exchange *exchange, struct str given)
{
    if (request_id_is_harmless(given))
        return given;
    static const char digits[] = "0123456789abcdef";
    uint64_t id = loop->next_id++ * UINT64_C(0x9e3779b97f4a7c15); /* one to one, and spread */
    for (size_t i = 0; i < 16; i++)
        exchange->id[i] = digits[id >> (60 - 4 * i) & 15];
    return (struct str){ exchange->id, 16 };
}

static struct peer dispatch_peer_of(const struct loop *loop, struct exchange *exchange)
{
    const struct connection *connection = exchange->connection;
    const struct peer other_side = { .address = str_of(connection->peer),
                                     .is_on_this_machine = connection->peer_is_loopback,
                                     .is_https = loop->options.tls != NULL };
    return peer_find(&other_side, exchange->head.headers, loop->options.trusted_proxies, &exchange->arena);
}

/* What a handler is told of a request; its body is there already. Of one that could not be read little is known. */
static void dispatch_fill_request(struct loop *loop, struct exchange *exchange)
{
    const struct head *head = &exchange->head;
    const struct peer peer = dispatch_peer_of(loop, exchange);
    const struct str id = headers_value(head->headers, &exchange->arena, STR("X-Request-Id"));
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    exchange->request = (struct request){ .arena = &exchange->arena,
                                          .method = method_named(head->method),
                                          .path = head->path,
                                          .query = head->query,
                                          .headers = head->headers,
                                          .body = exchange->request.body,
                                          .peer = peer.address,
                                          .is_on_this_machine = peer.is_on_this_machine,
                                          .is_https = peer.is_https,
                                          .now_s = now.tv_sec,
                                          .now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
                                          .id = dispatch_request_id(loop, exchange, id) };
}

/* Whoever is refused for want of time or room is told when to come again, and heard then: shares.h. */
static void dispatch_fail(struct service *service, struct exchange *exchange, struct err err)
{
    if (err.code == ERR_UNAVAILABLE) {
        exchange->response.retry_after_s = service_retry_after_s(service);
        exchange->response.is_put_off = true;
    }
    response_fail(&exchange->response, &exchange->arena, err);
}

void dispatch_refusal(struct loop *loop, struct exchange *exchange, struct err err)
{
    const struct str begin = { exchange->in, exchange->received };
    if (err.code != ERR_TOO_LARGE) /* after a bad head, nothing that it says is to be relied on */
        exchange->head = (struct head){ 0 };
    dispatch_fill_request(loop, exchange);
    if (str_has_prefix(begin, STR("HEAD "))) /* whatever else is wrong: no body may follow (RFC 9110 section 9.3.2) */
        exchange->request.method = METHOD_HEAD;
    response_init(&exchange->response, &exchange->arena);
    dispatch_fail(loop->options.service, exchange, err);
    exchange->close = true; /* what follows on this connection may not be a request */
    dispatch_answer(loop, exchange);
}

/* --- turns, workers and the group commit -------------------------------------------------------------------------- */

/* On whichever thread has ended the work. The loop may have the exchange again at once: nothing may touch it after. */
static void dispatch_answered(struct exchange *exchange)
{
    struct loop *loop = exchange->loop;
    atomic_fetch_add(&loop->waking, 1);
    struct exchange *first = atomic_load_explicit(&loop->answered, memory_order_relaxed);
    do
        exchange->next = first;
    while (!atomic_compare_exchange_weak(&loop->answered, &first, exchange));
    loop_wake(loop);
    atomic_fetch_sub(&loop->waking, 1);
}

static void dispatch_fill_refusal(struct service *service, struct exchange *exchange, enum queue_verdict verdict)
{
    metrics_count(verdict == QUEUE_FULL ? COUNT_QUEUE_FULL : COUNT_QUEUE_SLOW, 1);
    dispatch_fail(service, exchange, failed(ERR_UNAVAILABLE, "the service has too much to do; try again"));
}

static enum queue_verdict dispatch_queue(struct exchange *exchange, enum err_code needs);

/* Another request was faster with what this one changes: it sees that, and is answered anew. */
static bool dispatch_goes_again(struct exchange *exchange)
{
    return ++exchange->tries < SERVICE_TRIES && dispatch_queue(exchange, ERR_NEEDS_WORKER) == QUEUE_TAKEN;
}

/* On any thread. */
static void dispatch_recorded(void *context, struct err failure)
{
    struct exchange *exchange = context;
    if (failure.code == ERR_CONFLICT && dispatch_goes_again(exchange))
        return;
    if (failure.code == ERR_CONFLICT)
        service_give_up(&exchange->request, &exchange->response);
    else if (failure.code)
        response_fail(&exchange->response, &exchange->arena, failure);
    dispatch_answered(exchange);
}

/* The exchange is not to be touched any more, unless this returns what else it needs. */
static enum err_code dispatch_work(struct service *service, struct exchange *exchange, bool may_wait)
{
    const enum err_code needs = service_go_on(service, &exchange->request, may_wait, &exchange->response);
    if (!needs)
        service_record(service, &exchange->request, &exchange->response, dispatch_recorded, exchange);
    return needs;
}

/* On a worker. */
static void dispatch_run_waiting(struct job *job)
{
    struct exchange *exchange = (void *)job;
    struct service *service = exchange->loop->options.service;
    if (job->is_late) {
        dispatch_fill_refusal(service, exchange, QUEUE_SLOW);
        dispatch_answered(exchange);
    } else {
        (void)dispatch_work(service, exchange, true);
    }
    service_expect(service, -1);
}

/* On any loop. */
static void dispatch_run_turn(struct job *job)
{
    struct exchange *exchange = (void *)job;
    struct service *service = exchange->loop->options.service;
    enum queue_verdict verdict = job->is_late ? QUEUE_SLOW : QUEUE_TAKEN;
    enum err_code needs = ERR_OK;
    if (verdict == QUEUE_TAKEN && (needs = dispatch_work(service, exchange, false)))
        verdict = dispatch_queue(exchange, needs); /* what was in memory when it came is not any more */
    if (verdict != QUEUE_TAKEN) {
        dispatch_fill_refusal(service, exchange, verdict);
        dispatch_answered(exchange);
    }
    service_expect(service, -1);
}

/* On any thread. The exchange is the queue's, if that takes it. */
static enum queue_verdict dispatch_queue(struct exchange *exchange, enum err_code needs)
{
    const struct loop_options *options = &exchange->loop->options;
    const bool is_for_turn = needs == ERR_NEEDS_TURN;
    exchange->job.run = is_for_turn ? dispatch_run_turn : dispatch_run_waiting;
    service_expect(options->service, 1);
    const enum queue_verdict verdict = is_for_turn ? turns_submit(options->turns, &exchange->job)
                                                   : workers_submit(options->workers, &exchange->job,
                                                                    needs == ERR_NEEDS_LOOKUP);
    if (verdict != QUEUE_TAKEN)
        service_expect(options->service, -1);
    return verdict;
}

void dispatch(struct loop *loop, struct exchange *exchange)
{
    struct service *service = loop->options.service;
    dispatch_fill_request(loop, exchange);
    const enum err_code needs = service_answer(service, &exchange->request, false, &exchange->response);
    if (!needs) {
        dispatch_answer(loop, exchange);
        return;
    }
    connection_enter(&loop->connections, exchange->connection, PHASE_WORKING);
    exchange->tries = 0;
    const enum queue_verdict verdict = dispatch_queue(exchange, needs);
    if (verdict == QUEUE_TAKEN)
        return;
    dispatch_fill_refusal(service, exchange, verdict);
    dispatch_answer(loop, exchange);
}
