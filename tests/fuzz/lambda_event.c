/* fuzz/lambda_event.c: any bytes as an event: of whichever kind they are, the request that becomes of them is one that
 * the service's own server could have received, and what answers it is JSON of that kind. */
#include "fuzz.h"
#include "base/json.h"
#include "lambda/bus_event.h"
#include "lambda/event.h"
#include "lambda/http_answer.h"
#include "lambda/http_event.h"
#include "wire/lines.h"
#include "wire/target.h"

enum { HEAD_MAX = 4096, BODY_MAX = 8192, ANSWER_MAX = 1 << 20 };

static struct networks trusted;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    PROMISE(!networks_read(STR("198.51.100.0/24, 2001:db8::/32"), &trusted));
    return 0;
}

static void check_request(const struct request *request)
{
    struct target target;
    struct address address;
    PROMISE(target_read(STR("GET"), request->path, &target) || str_eq(request->path, STR("*")));
    PROMISE(request->path.len <= 3 * HEAD_MAX && request->query.len <= 3 * HEAD_MAX);
    PROMISE(request->query.len == 0 || (wire_is_visible(request->query) && !str_has(request->query, '#')));
    PROMISE(request->body.len <= BODY_MAX && !request->is_on_this_machine && !request->is_local_operator);
    PROMISE(str_eq(request->peer, STR("unknown")) || address_read(request->peer, &address));
    for (size_t i = 0; i < request->headers.count; i++)
        PROMISE(wire_is_token(request->headers.at[i].name) && wire_is_value(request->headers.at[i].value));
    PROMISE(headers_count(request->headers, STR("Authorization")) <= 1);
}

/* An answer with two cookies, and the event's own body given back: every byte of it must come through. */
static void check_answer(struct arena *arena, const struct event *event, const struct request *request)
{
    const struct json *json = NULL;
    struct response response;
    struct buf out;
    response_init(&response, arena);
    response_add_header(&response, STR("Set-Cookie"), STR("a=1"));
    response_add_header(&response, STR("Set-Cookie"), STR("b=2"));
    buf_add(&response.body, request->body);
    buf_init(&out, arena, 256, ANSWER_MAX);
    http_answer_write(event, request, &response, &out);
    PROMISE(!out.overflowed && utf8_valid(buf_str(&out)));
    if (memchr(request->body.at ? request->body.at : "", 0, request->body.len)) /* our own reader takes no NUL */
        return;
    PROMISE(!json_parse(arena, buf_str(&out), &json).code);
    const struct json *body = json_member(json, STR("body")), *coded = json_member(json, STR("isBase64Encoded"));
    PROMISE(body && body->kind == JSON_STRING && coded);
    PROMISE((coded->kind == JSON_TRUE) == !utf8_valid(request->body));
    if (coded->kind == JSON_FALSE && request->method != METHOD_HEAD)
        PROMISE(str_eq(body->text, request->body));
}

static void check_bus(struct arena *arena, const struct event *event)
{
    struct request request = { .arena = arena };
    struct bus_event bus = { .is_once = false };
    const struct json *json;
    if (bus_event_read(event, &bus, &request).code) {
        PROMISE(!request.vouched_client.at || request.body.at == NULL);
        return;
    }
    PROMISE(str_has_prefix(request.vouched_client, STR("storytailor.")) && bus.id.len > 0);
    PROMISE(request.method == METHOD_GET || !json_parse(arena, request.body, &json).code);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct http_rules rules = { HEAD_MAX, BODY_MAX, &trusted };
    struct arena arena;
    struct event event;
    arena_init(&arena, NULL, 0);
    struct request request = { .arena = &arena, .id = STR("1") };
    if (!event_read(&arena, input_of(data, size), &event).code) {
        if (event_is_http(&event)) {
            if (!http_event_read(&event, &rules, &request).code)
                check_request(&request);
            check_answer(&arena, &event, &request);
        } else if (event.kind == EVENT_BUS) {
            check_bus(&arena, &event);
        }
    }
    arena_release(&arena);
    return 0;
}
