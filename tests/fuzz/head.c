/* fuzz/head.c: HTTP requests from bytes, head and body. However the bytes are cut on their way, the same request comes
 * of them, or the same refusal; and a request that is taken says where it ends. */
#include "fuzz.h"
#include "http/exchange.h"
#include "wire/lines.h"

enum { HEAD_MAX = 1024, BODY_MAX = 20000 };

struct outcome {
    enum exchange_state state;
    enum err_code code;
    struct head head;
    struct str path, body; /* copies */
    size_t taken;          /* bytes of the input that were given by then */
    size_t left;           /* of them, behind the request */
};

/* Nothing in the list could end a line, and a value is found by its name. */
static void check_headers(struct arena *arena, struct headers headers)
{
    PROMISE(headers.count <= 64);
    for (size_t i = 0; i < headers.count; i++) {
        const struct header *header = &headers.at[i];
        const size_t count = headers_count(headers, header->name);
        const struct str value = headers_value(headers, arena, header->name);
        PROMISE(wire_is_token(header->name) && wire_is_value(value));
        PROMISE(count > 1 ? value.len >= header->value.len : count == 1 && value.at == header->value.at);
    }
}

static struct outcome read_in_steps(struct exchange_pool *pool, struct arena *arena, struct str input, size_t step)
{
    struct exchange *exchange = exchange_take(pool);
    struct outcome outcome = { .state = EXCHANGE_PARTIAL };
    bool expected = false;
    while (outcome.state == EXCHANGE_PARTIAL && outcome.taken < input.len) {
        struct err failure;
        size_t room = exchange_room_left(pool, exchange), more = input.len - outcome.taken;
        PROMISE(room > 0);
        more = more < step ? more : step;
        more = more < room ? more : room;
        memcpy(exchange->in + exchange->received, input.at + outcome.taken, more);
        exchange_received(exchange, more);
        outcome.taken += more;
        outcome.state = exchange_read(pool, exchange, &failure);
        outcome.code = failure.code;
        PROMISE((outcome.state == EXCHANGE_BAD) == (failure.code != ERR_OK));
        PROMISE(exchange->used <= exchange->received && exchange->received <= pool->in_room);
        if (outcome.state == EXCHANGE_EXPECTING) {
            PROMISE(!expected && exchange->head.wants_continue);
            expected = true;
            outcome.state = EXCHANGE_PARTIAL;
        }
    }
    outcome.head = exchange->head;
    if (outcome.state == EXCHANGE_WHOLE) {
        outcome.path = arena_copy(arena, exchange->head.path);
        outcome.body = arena_copy(arena, exchange->request.body);
        outcome.left = exchange->received - exchange->used;
        PROMISE(outcome.body.len <= BODY_MAX && exchange->head_len <= HEAD_MAX);
        PROMISE(exchange->head.is_chunked || outcome.body.len == exchange->head.length);
        const struct headers headers = exchange->head.headers;
        PROMISE(!exchange->head.is_chunked || headers_count(headers, STR("content-length")) == 0);
        PROMISE(exchange->head.is_http_1_0 || headers_count(headers, STR("host")) == 1);
        check_headers(arena, headers);
    }
    exchange_give_back(pool, exchange);
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct exchange_pool pool;
    struct arena arena;
    if (size < 1)
        return 0;
    const struct str input = input_of(data + 1, size - 1);
    exchange_pool_init(&pool, HEAD_MAX, BODY_MAX, 0);
    arena_init(&arena, NULL, 0);
    const struct outcome whole = read_in_steps(&pool, &arena, input, SIZE_MAX);
    const struct outcome cut = read_in_steps(&pool, &arena, input, (size_t)data[0] + 1);
    PROMISE(whole.state == cut.state && whole.code == cut.code);
    if (whole.state == EXCHANGE_WHOLE) {
        PROMISE(str_eq(whole.path, cut.path) && str_eq(whole.body, cut.body));
        PROMISE(whole.taken - whole.left == cut.taken - cut.left);
    }
    exchange_pool_release(&pool);
    arena_release(&arena);
    return 0;
}
