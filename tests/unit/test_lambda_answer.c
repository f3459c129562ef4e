/* test_lambda_answer.c: one response in the form of each sender. */
#include "lambda/bus_event.h"
#include "lambda/http_answer.h"
#include "unit.h"

static struct response response;

static struct request request_of(enum method method)
{
    return (struct request){ .arena = &arena, .method = method, .id = STR("r1") };
}

static void make_response(int status, struct str body)
{
    response_init(&response, &arena);
    response.status = status;
    buf_add(&response.body, body);
}

static struct str written(enum event_kind kind, bool has_lists, enum method method)
{
    const struct event event = { .kind = kind, .has_lists = has_lists };
    const struct request request = request_of(method);
    struct buf out;
    buf_init(&out, &arena, 64, 1 << 20);
    http_answer_write(&event, &request, &response, &out);
    assert_false(out.overflowed);
    return buf_str(&out);
}

static void each_sender_gets_its_form(void **state)
{
    static const struct {
        enum event_kind kind;
        bool has_lists;
        const char *answer;
    } rows[] = {
        { EVENT_REST, true,
          "{\"statusCode\":401,\"multiValueHeaders\":{\"Content-Type\":[\"application/json\"],"
          "\"Cache-Control\":[\"no-store\"],\"X-Request-Id\":[\"r1\"],\"Vary\":[\"Origin\",\"Accept\"],"
          "\"Set-Cookie\":[\"a=1\",\"b=2\"]},\"isBase64Encoded\":false,\"body\":\"{\\\"x\\\":1}\"}" },
        { EVENT_HTTP, false,
          "{\"statusCode\":401,\"headers\":{\"Content-Type\":\"application/json\",\"Cache-Control\":\"no-store\","
          "\"X-Request-Id\":\"r1\",\"Vary\":\"Origin, Accept\"},\"cookies\":[\"a=1\",\"b=2\"],"
          "\"isBase64Encoded\":false,\"body\":\"{\\\"x\\\":1}\"}" },
        { EVENT_ALB, true,
          "{\"statusCode\":401,\"statusDescription\":\"401 Unauthorized\",\"multiValueHeaders\":{\"Content-Type\":"
          "[\"application/json\"],\"Cache-Control\":[\"no-store\"],\"X-Request-Id\":[\"r1\"],"
          "\"Vary\":[\"Origin\",\"Accept\"],\"Set-Cookie\":[\"a=1\",\"b=2\"]},\"isBase64Encoded\":false,"
          "\"body\":\"{\\\"x\\\":1}\"}" },
        { EVENT_ALB, false,
          "{\"statusCode\":401,\"statusDescription\":\"401 Unauthorized\",\"headers\":{\"Content-Type\":"
          "\"application/json\",\"Cache-Control\":\"no-store\",\"X-Request-Id\":\"r1\",\"Vary\":\"Origin, Accept\","
          "\"Set-Cookie\":\"a=1\",\"set-Cookie\":\"b=2\"},\"isBase64Encoded\":false,\"body\":\"{\\\"x\\\":1}\"}" },
    };
    (void)state;
    make_response(401, STR("{\"x\":1}"));
    response_add_header(&response, STR("Vary"), STR("Origin"));
    response_add_header(&response, STR("Set-Cookie"), STR("a=1"));
    response_add_header(&response, STR("vary"), STR("Accept"));
    response_add_header(&response, STR("Set-Cookie"), STR("b=2"));
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_str(written(rows[i].kind, rows[i].has_lists, METHOD_GET), rows[i].answer);
    assert_true(str_eq(written(EVENT_FUNCTION_URL, false, METHOD_GET), str_of(rows[1].answer)));
    assert_true(str_eq(written(EVENT_REST, false, METHOD_GET), str_of(rows[0].answer)));
}

static void a_body_that_is_no_text_is_base64(void **state)
{
    static const struct {
        struct str body;
        const char *coded;
    } rows[] = {
        { ROW("\xff"), "\"isBase64Encoded\":true,\"body\":\"/w==\"" },
        { ROW("\xff\x00"), "\"isBase64Encoded\":true,\"body\":\"/wA=\"" },
        { ROW("\xff\xfe\xfd"), "\"isBase64Encoded\":true,\"body\":\"//79\"" },
        { ROW("\xff\xfe\xfd\x01"), "\"isBase64Encoded\":true,\"body\":\"//79AQ==\"" },
        { ROW("\xc3\xa4"), "\"isBase64Encoded\":false,\"body\":\"\xc3\xa4\"" },
        { ROW(""), "\"isBase64Encoded\":false,\"body\":\"\"" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        make_response(200, rows[i].body);
        const struct str answer = written(EVENT_HTTP, false, METHOD_GET);
        assert_row(memmem(answer.at, answer.len, rows[i].coded, strlen(rows[i].coded)) != NULL, rows[i].coded);
    }
}

static void what_has_no_body_has_none(void **state)
{
    static const struct {
        int status;
        enum method method;
    } rows[] = { { 200, METHOD_HEAD }, { 204, METHOD_GET }, { 304, METHOD_GET } };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        make_response(rows[i].status, STR("x"));
        const struct str answer = written(EVENT_REST, true, rows[i].method);
        assert_true(memmem(answer.at, answer.len, "\"body\":\"\"", 9) != NULL);
    }
}

static void a_header_that_json_cannot_hold_is_a_500(void **state)
{
    (void)state;
    make_response(200, STR("x"));
    response_add_header(&response, STR("X-Bytes"), STR("\xff"));
    assert_true(str_has_prefix(written(EVENT_HTTP, false, METHOD_GET), STR("{\"statusCode\":500,")));
}

static void a_bus_event_is_answered_by_a_status_and_a_body_or_an_error(void **state)
{
    static const struct {
        int status;
        const char *body, *answer;
    } rows[] = {
        { 200, "{\"active\":false}", "{\"statusCode\":200,\"body\":{\"active\":false}}" },
        { 200, "", "{\"statusCode\":200}" },
        { 400, "{\"error\":\"invalid_request\",\"error_description\":\"x\"}",
          "{\"statusCode\":400,\"error\":\"invalid_request\",\"error_description\":\"x\"}" },
        { 401, "{\"valid\":false,\"error\":\"invalid_token\"}",
          "{\"statusCode\":401,\"valid\":false,\"error\":\"invalid_token\"}" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out;
        make_response(rows[i].status, str_of(rows[i].body));
        buf_init(&out, &arena, 64, 4096);
        bus_event_answer(&response, &out);
        assert_str(buf_str(&out), rows[i].answer);
        assert_false(bus_event_may_come_again(&response));
    }
    make_response(503, STR("{}"));
    assert_true(bus_event_may_come_again(&response));
    make_response(500, STR("{}"));
    assert_false(bus_event_may_come_again(&response));
}

RUN(TEST(each_sender_gets_its_form), TEST(a_body_that_is_no_text_is_base64), TEST(what_has_no_body_has_none),
    TEST(a_header_that_json_cannot_hold_is_a_500), TEST(a_bus_event_is_answered_by_a_status_and_a_body_or_an_error))
