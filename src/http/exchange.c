/* http/exchange.c: one request and its answer. */
#include "http/exchange.h"
#include "http/headers.h"
#include "observe/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { EXCHANGE_ROOM = 15 * 1024, SPARE_MAX = 64, REQUEST_ID_MAX = 64 };

struct exchange {
    struct job job;          /* for the workers; first, so that a job is its exchange */
    struct commit_item item; /* for the group commit */
    struct exchange *spare_next;
    struct loop *loop;
    struct MHD_Connection *handle;
    struct connection *connection;
    struct request request;
    struct response response;
    int64_t started_ns;
    char *body; /* request.body's bytes, in the arena */
    size_t body_room, discarded;
    bool is_chunked, is_too_large;
    bool is_answered; /* response is final */
    char id[17];
    struct arena arena;
    _Alignas(max_align_t) char room[EXCHANGE_ROOM];
};

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static struct exchange *exchange_new(struct loop *loop, struct MHD_Connection *handle)
{
    struct exchange *exchange = loop->spare;
    if (exchange) {
        loop->spare = exchange->spare_next;
        loop->spare_count--;
    } else {
        exchange = mem_alloc(sizeof *exchange);
    }
    memset(exchange, 0, offsetof(struct exchange, room));
    arena_init(&exchange->arena, exchange->room, sizeof exchange->room);
    exchange->loop = loop;
    exchange->handle = handle;
    exchange->connection = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
    exchange->started_ns = clock_ns();
    return exchange;
}

void exchange_completed(void *cls, struct MHD_Connection *handle, void **context, enum MHD_RequestTerminationCode code)
{
    struct loop *loop = cls;
    struct exchange *exchange = *context;
    (void)handle;
    (void)code;
    if (!exchange)
        return;
    *context = NULL;
    connection_enter(&loop->connections, exchange->connection, PHASE_IDLE);
    arena_wipe(&exchange->arena, exchange->room, sizeof exchange->room); /* it may hold tokens and secrets */
    arena_release(&exchange->arena);
    if (loop->spare_count >= SPARE_MAX) {
        free(exchange);
        return;
    }
    exchange->spare_next = loop->spare;
    loop->spare = exchange;
    loop->spare_count++;
}

void exchanges_free(struct loop *loop)
{
    while (loop->spare) {
        struct exchange *exchange = loop->spare;
        loop->spare = exchange->spare_next;
        free(exchange);
    }
}

/* --- the request -------------------------------------------------------------------------------------------------- */

static enum method method_of(const char *method)
{
    static const struct {
        const char *name;
        enum method method;
    } known[] = {
        { "POST", METHOD_POST }, { "GET", METHOD_GET }, { "HEAD", METHOD_HEAD }, { "OPTIONS", METHOD_OPTIONS }
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(method, known[i].name) == 0)
            return known[i].method;
    return METHOD_OTHER;
}

/* A caller's own request id is kept when it is harmless, so that one id follows a request through the platform. */
static struct str request_id(struct exchange *exchange, struct str given)
{
    bool harmless = given.len > 0 && given.len <= REQUEST_ID_MAX;
    for (size_t i = 0; harmless && i < given.len; i++)
        harmless = (given.at[i] >= 'a' && given.at[i] <= 'z') || (given.at[i] >= 'A' && given.at[i] <= 'Z') ||
                   (given.at[i] >= '0' && given.at[i] <= '9') || given.at[i] == '-' || given.at[i] == '_' ||
                   given.at[i] == '.';
    if (harmless)
        return given;
    static const char digits[] = "0123456789abcdef";
    uint64_t id = exchange->loop->next_id++ * UINT64_C(0x9e3779b97f4a7c15); /* one to one, and spread */
    for (size_t i = 0; i < 16; i++)
        exchange->id[i] = digits[id >> (60 - 4 * i) & 15];
    return (struct str){ exchange->id, 16 };
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

static void add_header(struct MHD_Response *to, const char *name, struct str value)
{
    char text[512];
    if (value.len == 0 || value.len >= sizeof text)
        return;
    memcpy(text, value.at, value.len);
    text[value.len] = '\0';
    MHD_add_response_header(to, name, text); /* it refuses CR and LF, so no value can add a header */
}

/* One directive with a number of seconds; a zero needs none. */
static void add_directive(char *text, size_t size, const char *name, int64_t seconds)
{
    size_t len = strlen(text);
    if (seconds > 0)
        snprintf(text + len, size - len, ", %s=%lld", name, (long long)seconds);
}

/* RFC 9111 section 5.2.2, RFC 5861. */
static void add_cache_control(struct MHD_Response *to, const struct response *response)
{
    char text[160];
    if (response->max_age_s >= 0) {
        snprintf(text, sizeof text, "public, max-age=%lld", (long long)response->max_age_s);
        add_directive(text, sizeof text, "stale-while-revalidate", response->stale_while_revalidate_s);
        add_directive(text, sizeof text, "stale-if-error", response->stale_if_error_s);
        MHD_add_response_header(to, "Cache-Control", text);
    } else if (response->max_age_s == -1) {
        MHD_add_response_header(to, "Cache-Control", "no-store");
    }
}

static void add_cors(struct MHD_Response *to, const struct response *response)
{
    if (response->cors_origin.len == 0)
        return;
    add_header(to, "Access-Control-Allow-Origin", response->cors_origin);
    if (!str_eq(response->cors_origin, STR("*")))
        MHD_add_response_header(to, "Vary", "Origin");
    if (!response->cors_preflight)
        return;
    MHD_add_response_header(to, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    MHD_add_response_header(to, "Access-Control-Allow-Headers", "Content-Type, Authorization");
    MHD_add_response_header(to, "Access-Control-Max-Age", "600");
}

static void add_headers(struct MHD_Response *to, const struct exchange *exchange)
{
    static const char *const types[] = { [CONTENT_JSON] = "application/json",
                                         [CONTENT_JWKS] = "application/jwk-set+json",
                                         [CONTENT_PROMETHEUS] = "text/plain; version=0.0.4; charset=utf-8",
                                         [CONTENT_NONE] = NULL };
    const struct response *response = &exchange->response;
    if (types[response->content])
        MHD_add_response_header(to, "Content-Type", types[response->content]);
    add_cache_control(to, response);
    add_header(to, "X-Request-Id", exchange->request.id);
    add_header(to, "WWW-Authenticate", response->challenge);
    add_header(to, "ETag", response->etag);
    add_header(to, "Allow", response->allow);
    if (response->retry_after_s > 0) {
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)response->retry_after_s);
        MHD_add_response_header(to, "Retry-After", text);
    }
    add_cors(to, response);
    /* libmicrohttpd reads chunks leniently: nothing that follows them is taken for a request */
    if (response->close || exchange->is_chunked || atomic_load_explicit(exchange->loop->stopping, memory_order_relaxed))
        MHD_add_response_header(to, "Connection", "close");
}

static enum MHD_Result send_answer(struct exchange *exchange)
{
    const struct response *response = &exchange->response;
    connection_enter(&exchange->loop->connections, exchange->connection, PHASE_SENDING);
    /* the body lies in the exchange's arena, which lives until the request has ended */
    struct MHD_Response *to = MHD_create_response_from_buffer(response->body.len, response->body.at,
                                                              MHD_RESPMEM_PERSISTENT);
    if (!to)
        return MHD_NO;
    add_headers(to, exchange);
    service_account(&exchange->request, response, clock_ns() - exchange->started_ns);
    enum MHD_Result result = MHD_queue_response(exchange->handle, (unsigned)response->status, to);
    MHD_destroy_response(to);
    return result;
}

static enum MHD_Result refuse(struct exchange *exchange, struct err err)
{
    response_init(&exchange->response, &exchange->arena);
    response_fail(&exchange->response, &exchange->arena, err);
    exchange->response.close = true; /* what follows on this connection may not be a request */
    return send_answer(exchange);
}

/* --- the way of a request ---------------------------------------------------------------------------------------- */

static const struct err too_large = { ERR_TOO_LARGE, "the body is too large" };

static enum MHD_Result begin(struct exchange *exchange, const char *url, const char *method, const char *version)
{
    struct request *request = &exchange->request;
    struct headers headers;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct err err = headers_read(exchange->handle, url, version,
                                  (size_t)exchange->loop->service->settings->header_max_bytes, &headers);
    *request = (struct request){ .arena = &exchange->arena,
                                 .method = method_of(method),
                                 .path = str_of(url),
                                 .authorization = headers.authorization,
                                 .content_type = headers.content_type,
                                 .if_none_match = headers.if_none_match,
                                 .origin = headers.origin,
                                 .peer = str_of(exchange->connection->peer),
                                 .peer_is_loopback = exchange->connection->peer_is_loopback,
                                 .now_s = now.tv_sec,
                                 .now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000,
                                 .id = request_id(exchange, headers.request_id) };
    connection_enter(&exchange->loop->connections, exchange->connection, PHASE_RECEIVING);
    if (err.code)
        return refuse(exchange, err);
    size_t length = headers.length;
    exchange->is_chunked = headers.is_chunked;
    exchange->is_too_large = length > (size_t)exchange->loop->service->settings->body_max_bytes;
    /* a client that waits for "100 Continue", or would send more than we are ready to drop, hears it now */
    if (exchange->is_too_large && (headers.expect.at || length > DISCARD_MAX))
        return refuse(exchange, too_large);
    if (length > 0 && !exchange->is_too_large) {
        exchange->body = arena_alloc(&exchange->arena, length);
        exchange->body_room = length;
    }
    return MHD_YES;
}

/* Keeps a piece of the body, or drops it when the body is already too large. MHD_NO ends the connection. */
static enum MHD_Result take_body(struct exchange *exchange, const char *data, size_t size)
{
    struct request *request = &exchange->request;
    size_t max = (size_t)exchange->loop->service->settings->body_max_bytes;
    if (exchange->is_too_large || size > max - request->body.len) {
        exchange->is_too_large = true;
        exchange->discarded += size;
        return exchange->discarded <= DISCARD_MAX ? MHD_YES : MHD_NO;
    }
    if (size > exchange->body_room - request->body.len) { /* chunked: its length is not known before */
        size_t room = (request->body.len + size) * 2;
        char *larger = arena_alloc(&exchange->arena, room);
        if (request->body.len > 0)
            memcpy(larger, exchange->body, request->body.len);
        exchange->body = larger;
        exchange->body_room = room;
    }
    memcpy(exchange->body + request->body.len, data, size);
    request->body = (struct str){ exchange->body, request->body.len + size };
    return MHD_YES;
}

/* From here on the loop may have the exchange again: nothing may touch it after. */
static void resume(struct exchange *exchange)
{
    const uint64_t one = 1;
    struct loop *loop = exchange->loop;
    atomic_fetch_add(&loop->waking, 1);
    exchange->is_answered = true;
    MHD_resume_connection(exchange->handle);
    if (!atomic_exchange(&loop->is_woken, true) && write(loop->wake_fd, &one, sizeof one) != sizeof one)
        atomic_store(&loop->is_woken, false); /* can't be; the loop would find it at its next turn */
    atomic_fetch_sub(&loop->waking, 1);
}

/* On the commit thread. */
static void committed(struct commit_item *item, struct err failure)
{
    struct exchange *exchange = (void *)((char *)item - offsetof(struct exchange, item));
    if (failure.code)
        response_fail(&exchange->response, &exchange->arena, failure);
    resume(exchange);
}

/* On a worker. */
static void work(struct job *job)
{
    struct exchange *exchange = (void *)job;
    struct service *service = exchange->loop->service;
    (void)service_answer(service, &exchange->request, true, &exchange->response);
    if (exchange->response.records) {
        exchange->item.records = exchange->response.records;
        exchange->item.done = committed;
        commit_submit(service->commit, &exchange->item);
    } else {
        resume(exchange);
    }
    commit_expect(service->commit, -1);
}

static enum MHD_Result dispatch(struct exchange *exchange)
{
    struct loop *loop = exchange->loop;
    if (exchange->is_too_large)
        return refuse(exchange, too_large);
    if (service_answer(loop->service, &exchange->request, false, &exchange->response) == ANSWERED) {
        loop->gather_from_ms = clock_coarse_ms() + GATHER_PAUSE_MS;
        return send_answer(exchange);
    }
    connection_enter(&loop->connections, exchange->connection, PHASE_WORKING);
    MHD_suspend_connection(exchange->handle);
    exchange->job.run = work;
    commit_expect(loop->service->commit, 1);
    if (!workers_submit(loop->workers, &exchange->job)) {
        commit_expect(loop->service->commit, -1);
        metrics_count(COUNT_QUEUE_FULL, 1);
        response_fail(&exchange->response, &exchange->arena,
                      failed(ERR_UNAVAILABLE, "the service has more to do than it can; try again"));
        resume(exchange);
    }
    return MHD_YES;
}

enum MHD_Result exchange_handle(void *cls, struct MHD_Connection *handle, const char *url, const char *method,
                                const char *version, const char *data, size_t *size, void **context)
{
    struct exchange *exchange = *context;
    if (!exchange) {
        *context = exchange = exchange_new(cls, handle);
        return begin(exchange, url, method, version);
    }
    if (*size > 0) {
        enum MHD_Result result = take_body(exchange, data, *size);
        *size = 0;
        return result;
    }
    return exchange->is_answered ? send_answer(exchange) : dispatch(exchange);
}
