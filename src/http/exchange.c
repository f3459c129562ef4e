/* http/exchange.c: collects a request. A body that has arrived with its headers is used in place; a longer or chunked
 * one is collected in the arena, which grows only as bytes arrive. */
#include "http/exchange.h"
#include "wire/lines.h"
#include <stdlib.h>

enum {
    SPARE_MAX = 64,
    LEAST_REQUESTS = 4, /* of the largest size, always have room in a pool */
};

static const struct err too_large = { ERR_TOO_LARGE, "the body is too large" };
static const struct err too_many = { ERR_UNAVAILABLE, "too much is being sent to the service at once; try again" };

/* --- room -------------------------------------------------------------------------------------------------------- */

/* A body that grows has lain in rooms of half its size before. */
static size_t exchange_most_of_one(const struct exchange_pool *pool)
{
    return sizeof(struct exchange) + pool->in_room + 2 * pool->body_max;
}

void exchange_pool_init(struct exchange_pool *pool, size_t head_max, size_t body_max, size_t bytes_max)
{
    *pool =
        (struct exchange_pool){ .head_max = head_max, .body_max = body_max, .in_room = head_max + BODY_IN_PLACE_MAX };
    const size_t least = LEAST_REQUESTS * exchange_most_of_one(pool);
    pool->bytes_max = bytes_max > least ? bytes_max : least;
}

bool exchange_pool_is_full(const struct exchange_pool *pool)
{
    return pool->bytes > pool->bytes_max;
}

void exchange_count(struct exchange_pool *pool, struct exchange *exchange)
{
    const size_t now = sizeof *exchange + pool->in_room + exchange->arena.heap;
    pool->bytes += now - exchange->counted; /* modulo SIZE_MAX + 1: also when it is less */
    exchange->counted = now;
}

static void exchange_pool_drop(struct exchange_pool *pool, size_t count)
{
    for (; count > 0; count--, pool->count--) {
        struct exchange *exchange = pool->spare;
        pool->spare = exchange->next;
        free(exchange);
    }
}

void exchange_pool_release(struct exchange_pool *pool)
{
    exchange_pool_drop(pool, pool->count);
}

void exchange_pool_shrink(struct exchange_pool *pool)
{
    exchange_pool_drop(pool, pool->least / 2);
    pool->least = pool->count;
}

static void exchange_clear(struct exchange *exchange)
{
    memset(exchange, 0, offsetof(struct exchange, room));
    arena_init(&exchange->arena, exchange->room, sizeof exchange->room);
}

static void exchange_wipe(struct exchange *exchange)
{
    arena_wipe(&exchange->arena, exchange->room, sizeof exchange->room);
    arena_release(&exchange->arena);
    mem_wipe(exchange->in, exchange->touched);
}

struct exchange *exchange_take(struct exchange_pool *pool)
{
    struct exchange *exchange = pool->spare;
    if (exchange) {
        pool->spare = exchange->next;
        pool->count--;
        pool->least = pool->count < pool->least ? pool->count : pool->least;
    } else {
        exchange = mem_alloc(sizeof *exchange + pool->in_room);
    }
    exchange_clear(exchange);
    exchange_count(pool, exchange);
    return exchange;
}

void exchange_give_back(struct exchange_pool *pool, struct exchange *exchange)
{
    exchange_wipe(exchange);
    pool->bytes -= exchange->counted;
    if (pool->count >= SPARE_MAX) {
        free(exchange);
        return;
    }
    exchange->next = pool->spare;
    pool->spare = exchange;
    pool->count++;
}

bool exchange_begin_next(struct exchange_pool *pool, struct exchange *exchange)
{
    size_t rest = exchange->received - exchange->used;
    struct exchange *next;
    if (rest == 0)
        return false;
    next = exchange_take(pool);
    memcpy(next->in, exchange->in + exchange->used, rest);
    exchange_received(next, rest);
    next->loop = exchange->loop;
    next->connection = exchange->connection;
    exchange->connection->exchange = next;
    exchange_give_back(pool, exchange);
    return true;
}

size_t exchange_room_left(const struct exchange_pool *pool, const struct exchange *exchange)
{
    return pool->in_room - exchange->received;
}

void exchange_received(struct exchange *exchange, size_t count)
{
    exchange->received += count;
    if (exchange->received > exchange->touched)
        exchange->touched = exchange->received;
}

/* --- the body ---------------------------------------------------------------------------------------------------- */

/* A quarter of the memory is left to requests that need no room for a body. */
static bool exchange_may_grow(const struct exchange_pool *pool, size_t room)
{
    return pool->bytes + room <= pool->bytes_max / 4 * 3;
}

static struct err exchange_grow_body(struct exchange_pool *pool, struct exchange *exchange, size_t needed)
{
    size_t room = exchange->body_room ? exchange->body_room * 2 : BODY_IN_PLACE_MAX * 2;
    while (room < needed)
        room *= 2;
    if (room > pool->body_max)
        room = pool->body_max;
    if (!exchange_may_grow(pool, room)) {
        metrics_count(COUNT_MEMORY_FULL, 1);
        return too_many;
    }
    char *larger = arena_alloc(&exchange->arena, room);
    if (exchange->body_len > 0)
        memcpy(larger, exchange->body, exchange->body_len);
    exchange->body = larger;
    exchange->body_room = room;
    exchange_count(pool, exchange);
    return OK;
}

static struct err exchange_add_to_body(struct exchange_pool *pool, struct exchange *exchange, struct str piece)
{
    if (piece.len > pool->body_max - exchange->body_len)
        return too_large;
    if (piece.len > exchange->body_room - exchange->body_len)
        TRY(exchange_grow_body(pool, exchange, exchange->body_len + piece.len));
    if (piece.len > 0)
        memcpy(exchange->body + exchange->body_len, piece.at, piece.len);
    exchange->body_len += piece.len;
    return OK;
}

/* What has been dealt with makes room for what comes; the head stays. */
static void exchange_drop_used(struct exchange *exchange)
{
    memmove(exchange->in + exchange->head_len, exchange->in + exchange->used, exchange->received - exchange->used);
    exchange->received -= exchange->used - exchange->head_len;
    exchange->used = exchange->head_len;
}

static enum exchange_state exchange_read_chunks(struct exchange_pool *pool, struct exchange *exchange,
                                                struct err *failure)
{
    struct str in = { exchange->in + exchange->used, exchange->received - exchange->used };
    for (size_t before = in.len + 1; !failure->code && in.len < before && exchange->chunks.state != CHUNK_END;) {
        struct str piece;
        before = in.len;
        *failure = chunks_read(&exchange->chunks, &in, &piece);
        if (!failure->code)
            *failure = exchange_add_to_body(pool, exchange, piece);
    }
    exchange->used = exchange->received - in.len;
    if (failure->code)
        return EXCHANGE_BAD;
    if (exchange->chunks.state == CHUNK_END) {
        exchange->request.body = (struct str){ exchange->body, exchange->body_len };
        return EXCHANGE_WHOLE;
    }
    exchange_drop_used(exchange);
    return EXCHANGE_PARTIAL;
}

/* A body of known length that `in` can't hold. */
static enum exchange_state exchange_gather_body(struct exchange_pool *pool, struct exchange *exchange,
                                                struct err *failure)
{
    size_t here = exchange->received - exchange->used, missing = exchange->head.length - exchange->body_len;
    if (here > missing)
        here = missing;
    *failure = exchange_add_to_body(pool, exchange, (struct str){ exchange->in + exchange->used, here });
    exchange->used += here;
    if (failure->code)
        return EXCHANGE_BAD;
    if (exchange->body_len == exchange->head.length) {
        exchange->request.body = (struct str){ exchange->body, exchange->body_len };
        return EXCHANGE_WHOLE;
    }
    exchange_drop_used(exchange);
    return EXCHANGE_PARTIAL;
}

static enum exchange_state exchange_read_body(struct exchange_pool *pool, struct exchange *exchange,
                                              struct err *failure)
{
    size_t length = exchange->head.length;
    if (exchange->head.is_chunked)
        return exchange_read_chunks(pool, exchange, failure);
    if (length > pool->in_room - exchange->head_len)
        return exchange_gather_body(pool, exchange, failure);
    if (exchange->received - exchange->head_len < length)
        return EXCHANGE_PARTIAL;
    exchange->request.body = (struct str){ exchange->in + exchange->head_len, length };
    exchange->used = exchange->head_len + length;
    return EXCHANGE_WHOLE;
}

/* --- the head ---------------------------------------------------------------------------------------------------- */

/* RFC 9112 section 2.2: an empty line before a request is to be ignored. */
static void exchange_skip_empty_line(struct exchange *exchange)
{
    if (exchange->has_skipped || exchange->received < 2 || memcmp(exchange->in, "\r\n", 2) != 0)
        return;
    exchange->received -= 2;
    memmove(exchange->in, exchange->in + 2, exchange->received);
    exchange->searched = 0;
    exchange->has_skipped = true;
}

static enum exchange_state exchange_read_head(const struct exchange_pool *pool, struct exchange *exchange,
                                              struct err *failure)
{
    const struct str in = { exchange->in, exchange->received };
    size_t size = wire_head_size(in, exchange->searched);
    exchange->searched = in.len;
    if (size > pool->head_max || (size == 0 && in.len >= pool->head_max)) {
        const char *end = memchr(in.at, '\n', in.len < pool->head_max ? in.len : pool->head_max);
        *failure = end ? failed(ERR_HEADERS_TOO_LARGE, "the request line and headers are too large")
                       : failed(ERR_TARGET_TOO_LONG, "the request line is too long");
        return EXCHANGE_BAD;
    }
    if (size == 0)
        return EXCHANGE_PARTIAL;
    exchange->head_len = exchange->used = size;
    *failure = head_read(&exchange->arena, (struct str){ in.at, size }, &exchange->head);
    if (!failure->code && exchange->head.length > pool->body_max)
        *failure = too_large;
    return failure->code ? EXCHANGE_BAD : EXCHANGE_WHOLE;
}

enum exchange_state exchange_read(struct exchange_pool *pool, struct exchange *exchange, struct err *failure)
{
    bool is_new = exchange->head_len == 0;
    *failure = OK;
    if (is_new) {
        exchange_skip_empty_line(exchange);
        enum exchange_state state = exchange_read_head(pool, exchange, failure);
        if (state != EXCHANGE_WHOLE)
            return state;
    }
    enum exchange_state state = exchange_read_body(pool, exchange, failure);
    bool has_body_bytes = exchange->body_len > 0 || exchange->received > exchange->used;
    if (state == EXCHANGE_PARTIAL && is_new && exchange->head.wants_continue && !has_body_bytes)
        return EXCHANGE_EXPECTING;
    return state;
}
