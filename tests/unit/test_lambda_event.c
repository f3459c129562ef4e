/* test_lambda_event.c: whose an event is, and which request becomes of it. The members that tell the senders apart, and
 * the example values, are those of AWS's documentation. */
#include "lambda/event.h"
#include "lambda/bus_event.h"
#include "lambda/http_event.h"
#include "unit.h"

#define CONTEXT "\"requestContext\":{\"http\":{\"method\":\"GET\",\"sourceIp\":\"192.0.2.1\"}"
#define V2(more) "{\"version\":\"2.0\"," CONTEXT ",\"stage\":\"$default\"}," more "}"

static struct networks trusted;

static int begin(void **state)
{
    (void)state;
    return networks_read(STR("198.51.100.0/24"), &trusted) ? -1 : 0;
}

static void an_event_is_of_whoever_alone_sends_it_so(void **state)
{
    static const struct {
        const char *event;
        enum event_kind kind;
    } rows[] = {
        { "{\"resource\":\"/\",\"path\":\"/\",\"httpMethod\":\"GET\",\"requestContext\":{}}", EVENT_REST },
        { "{\"version\":\"1.0\",\"httpMethod\":\"GET\",\"requestContext\":{}}", EVENT_REST },
        { "{\"httpMethod\":\"GET\",\"requestContext\":null}", EVENT_OTHER },
        { "{\"httpMethod\":1,\"requestContext\":{}}", EVENT_OTHER },
        { "{\"version\":\"2.0\",\"requestContext\":{\"domainName\":\"x.execute-api.us-east-1.amazonaws.com\"}}",
          EVENT_HTTP },
        { "{\"version\":\"2.0\",\"requestContext\":{\"domainName\":\"x.lambda-url.us-east-1.on.aws\"}}",
          EVENT_FUNCTION_URL },
        { "{\"version\":\"2.0\"}", EVENT_OTHER },
        { "{\"version\":2.0,\"requestContext\":{}}", EVENT_OTHER },
        { "{\"httpMethod\":\"GET\",\"requestContext\":{\"elb\":{\"targetGroupArn\":\"arn\"}}}", EVENT_ALB },
        { "{\"httpMethod\":\"GET\",\"requestContext\":{\"elb\":\"x\"}}", EVENT_REST },
        { "{\"detail-type\":\"VERIFY_TOKEN\",\"source\":\"storytailor.idp\"}", EVENT_BUS },
        { "{\"detail-type\":\"Scheduled Event\",\"source\":\"aws.events\"}", EVENT_SCHEDULE },
        { "{\"detail-type\":\"Scheduled Event\",\"source\":\"aws.scheduler\"}", EVENT_SCHEDULE },
        { "{\"detail-type\":\"Scheduled Event\",\"source\":\"storytailor.idp\"}", EVENT_BUS },
        { "{\"detail-type\":\"VERIFY_TOKEN\"}", EVENT_OTHER },
        { "{}", EVENT_OTHER },
        { "[]", EVENT_OTHER },
        { "7", EVENT_OTHER },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct event event;
        assert_ok(event_read(&arena, str_of(rows[i].event), &event));
        assert_row(event.kind == rows[i].kind, rows[i].event);
    }
    struct event event;
    assert_code(event_read(&arena, STR("{\"a\":1,\"a\":2}"), &event), ERR_INVALID_REQUEST, "twice the same member");
    assert_code(event_read(&arena, STR(""), &event), ERR_INVALID_REQUEST, "nothing");
}

static struct err read_request(const char *text, struct request *out)
{
    const struct http_rules rules = { 256, 64, &trusted };
    struct event event;
    *out = (struct request){ .arena = &arena };
    assert_ok(event_read(&arena, str_of(text), &event));
    assert_row(event_is_http(&event), text);
    return http_event_read(&event, &rules, out);
}

static void stage_and_base_path_are_cut_off_where_the_event_shows_them(void **state)
{
    static const struct {
        const char *event, *path;
    } rows[] = {
#define STAGE(stage, raw, more)                                                                                        \
    "{\"version\":\"2.0\"," CONTEXT ",\"stage\":\"" stage "\"},\"rawPath\":\"" raw "\"" more "}"
        { STAGE("$default", "/token", ""), "/token" },
        { STAGE("prod", "/prod/token", ""), "/token" },
        { STAGE("prod", "/token", ""), "/token" },
        { STAGE("prod", "/prod", ""), "/" },
        { STAGE("prod", "/prod/", ""), "/" },
        { STAGE("prod", "/production/token", ""), "/production/token" },
        { STAGE("prod", "/prod/prod/token", ""), "/prod/token" },
        { STAGE("prod", "/prod/token", ",\"routeKey\":\"POST /token\""), "/token" },
        { STAGE("prod", "/prod/token", ",\"routeKey\":\"$default\""), "/token" },
        { STAGE("prod", "/prod/a/b", ",\"routeKey\":\"ANY /{proxy+}\",\"pathParameters\":{\"proxy\":\"a/b\"}"),
          "/a/b" },
        { STAGE("prod", "/prod/a/b", ",\"routeKey\":\"ANY /{proxy+}\",\"pathParameters\":{\"proxy\":\"x\"}"),
          "/prod/a/b" },
        { STAGE("prod", "/prod/a/b", ",\"routeKey\":\"ANY /{proxy+}\""), "/prod/a/b" },
#define REST(resource, raw, more)                                                                                      \
    "{\"httpMethod\":\"GET\",\"resource\":\"" resource "\",\"path\":\"" raw                                            \
    "\",\"requestContext\":{\"stage\":\"prod\"}" more "}"
        { REST("/token", "/token", ""), "/token" },
        { REST("/token", "/auth/token", ""), "/token" },
        { REST("/", "/auth", ""), "/" },
        { REST("/{proxy+}", "/auth/v1/token", ",\"pathParameters\":{\"proxy\":\"token\"}"), "/token" },
        { REST("/{proxy+}", "/prod/token", ",\"pathParameters\":{\"proxy\":\"prod/token\"}"), "/prod/token" },
        { REST("/admin/clients/{id}", "/b/admin/clients/a", ",\"pathParameters\":{\"id\":\"a\"}"), "/admin/clients/a" },
        { REST("/admin/clients/{id}", "/b/admin/clients/a", ",\"pathParameters\":{\"id\":7}"), "/b/admin/clients/a" },
        { REST("/admin/clients/{id", "/b/admin/clients/a", ""), "/b/admin/clients/a" },
        { "{\"httpMethod\":\"GET\",\"path\":\"/prod/token\",\"requestContext\":{\"elb\":{},\"stage\":\"prod\"}}",
          "/prod/token" },
        { STAGE("$default", "/a b", ""), "/a%20b" },
        { STAGE("$default", "/a%20b", ""), "/a%20b" },
        { STAGE("$default", "/100%", ""), "/100%25" },
        { STAGE("$default", "/a?b#c", ""), "/a%3Fb%23c" },
        { STAGE("$default", "/\u00e4", ""), "/%C3%A4" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct request request;
        assert_code(read_request(rows[i].event, &request), ERR_OK, rows[i].event);
        assert_row(str_eq(request.path, str_of(rows[i].path)), rows[i].event);
    }
}

static void a_query_is_what_was_sent(void **state)
{
    static const struct {
        const char *event, *query; /* NULL: none */
    } rows[] = {
        { V2("\"rawPath\":\"/\",\"rawQueryString\":\"a=1&a=2&b=%20+\""), "a=1&a=2&b=%20+" },
        { V2("\"rawPath\":\"/\",\"rawQueryString\":\"\""), NULL },
        { V2("\"rawPath\":\"/\",\"rawQueryString\":\"a=b#c d\""), "a=b%23c%20d" },
        { V2("\"rawPath\":\"/\",\"queryStringParameters\":{\"a\":\"1,2\"}"), NULL },
#define LISTS(context, lists, values)                                                                                  \
    "{\"httpMethod\":\"GET\",\"path\":\"/\",\"requestContext\":{" context                                              \
    "},\"multiValueQueryStringParameters\":" lists ",\"queryStringParameters\":" values "}"
        { LISTS("", "{\"a\":[\"1\",\"2\"],\"b\":[\"x y&z=\"]}", "{\"a\":\"2\"}"), "a=1&a=2&b=x%20y%26z%3D" },
        { LISTS("", "{\"a\":[\"%41+\"]}", "null"), "a=%2541%2B" },
        { LISTS("", "null", "{\"a\":\"2\",\"b\":\"\"}"), "a=2&b=" },
        { LISTS("", "null", "null"), NULL },
        { LISTS("", "{}", "{}"), NULL },
        { LISTS("\"elb\":{}", "{\"a\":[\"%41+\",\"b=c\"]}", "null"), "a=%41+&a=b=c" },
        { LISTS("\"elb\":{}", "{\"a&b\":[\"c&d#\"]}", "null"), "a%26b=c%26d%23" },
        { LISTS("\"elb\":{}", "null", "{\"a\":\"%zz\"}"), "a=%25zz" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct request request;
        assert_code(read_request(rows[i].event, &request), ERR_OK, rows[i].event);
        assert_row(rows[i].query ? str_eq(request.query, str_of(rows[i].query)) : !request.query.at, rows[i].event);
    }
}

static void the_caller_is_whom_aws_names(void **state)
{
    static const struct {
        const char *event, *peer;
        bool is_https;
    } rows[] = {
        { V2("\"rawPath\":\"/\""), "192.0.2.1", true },
        { V2("\"rawPath\":\"/\",\"headers\":{\"x-forwarded-for\":\"203.0.113.1\"}"), "192.0.2.1", true },
#define SOURCE(ip, headers)                                                                                            \
    "{\"httpMethod\":\"GET\",\"path\":\"/\",\"requestContext\":{\"identity\":{\"sourceIp\":\"" ip                      \
    "\"}},\"headers\":{" headers "}}"
        { SOURCE("192.0.2.7", ""), "192.0.2.7", true },
        { SOURCE("test-invoke-source-ip", ""), "unknown", true },
        { SOURCE("2001:db8::7", "\"X-Forwarded-For\":\"203.0.113.1\""), "2001:db8::7", true },
        { SOURCE("198.51.100.7", "\"X-Forwarded-For\":\"203.0.113.1, 198.51.100.7\",\"X-Forwarded-Proto\":\"https\""),
          "203.0.113.1", true },
        { SOURCE("198.51.100.7", "\"X-Forwarded-For\":\"203.0.113.1\",\"X-Forwarded-Proto\":\"http\""), "203.0.113.1",
          false },
#define ALB(headers) "{\"httpMethod\":\"GET\",\"path\":\"/\",\"requestContext\":{\"elb\":{}},\"headers\":{" headers "}}"
        { ALB("\"x-forwarded-for\":\"192.0.2.9\",\"x-forwarded-proto\":\"https\""), "192.0.2.9", true },
        { ALB("\"x-forwarded-for\":\"203.0.113.1, 192.0.2.9\",\"x-forwarded-proto\":\"http\""), "192.0.2.9", false },
        { ALB("\"x-forwarded-for\":\"203.0.113.1,198.51.100.7\",\"x-forwarded-proto\":\"https\""), "203.0.113.1",
          true },
        { ALB("\"x-forwarded-for\":\"203.0.113.1, 192.0.2.9:51042\",\"x-forwarded-proto\":\"https\""), "192.0.2.9",
          true },
        { ALB("\"x-forwarded-for\":\"[2001:db8::9]:51042\",\"x-forwarded-proto\":\"https\""), "2001:db8::9", true },
        { ALB("\"x-forwarded-for\":\"203.0.113.1:1, 198.51.100.7:2\",\"x-forwarded-proto\":\"https\""), "203.0.113.1",
          true },
        { ALB("\"x-forwarded-for\":\"203.0.113.1,\""), "unknown", false },
        { ALB(""), "unknown", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct request request;
        assert_code(read_request(rows[i].event, &request), ERR_OK, rows[i].event);
        assert_row(str_eq(request.peer, str_of(rows[i].peer)), rows[i].event);
        assert_row(request.is_https == rows[i].is_https && !request.is_on_this_machine, rows[i].event);
    }
}

static void headers_are_those_that_the_sender_gave(void **state)
{
    struct request request;
    (void)state;
    assert_ok(read_request("{\"httpMethod\":\"GET\",\"path\":\"/\",\"requestContext\":{},\"headers\":{\"X-A\":\"2\"},"
                           "\"multiValueHeaders\":{\"X-A\":[\"1\",\" 2 \"]}}",
                           &request));
    assert_str(headers_value(request.headers, &arena, STR("x-a")), "1, 2");
    assert_ok(read_request(V2("\"rawPath\":\"/\",\"cookies\":[\"a=1\",\"b=2\"],"
                              "\"headers\":{\"cookie\":\"a=1\",\"x-b\":\"3\"}"),
                           &request));
    assert_str(headers_value(request.headers, &arena, STR("Cookie")), "a=1; b=2");
    assert_str(headers_value(request.headers, &arena, STR("X-B")), "3");
    assert_ok(read_request(V2("\"rawPath\":\"/\",\"headers\":null,\"cookies\":null"), &request));
    assert_int_equal(request.headers.count, 0);
}

static void a_body_is_text_or_base64(void **state)
{
    struct request request;
    (void)state;
    assert_ok(read_request(V2("\"rawPath\":\"/\",\"body\":\"a=b\",\"isBase64Encoded\":false"), &request));
    assert_str(request.body, "a=b");
    assert_ok(read_request(V2("\"rawPath\":\"/\",\"body\":\"YT1i\",\"isBase64Encoded\":true"), &request));
    assert_str(request.body, "a=b");
    assert_ok(read_request(V2("\"rawPath\":\"/\",\"body\":\"AP8=\",\"isBase64Encoded\":true"), &request));
    assert_memory_equal(request.body.at, "\0\xff", 2);
    assert_ok(read_request(V2("\"rawPath\":\"/\",\"body\":\"\",\"isBase64Encoded\":true"), &request));
    assert_int_equal(request.body.len, 0);
    assert_ok(read_request(V2("\"rawPath\":\"/\""), &request));
    assert_int_equal(request.body.len, 0);
}

static void what_no_server_would_take_is_refused(void **state)
{
    char longer[400];
    static const struct {
        const char *members;
        enum err_code code;
    } rows[] = {
        { "\"rawPath\":\"/\"", ERR_OK },
        { "\"rawPath\":7", ERR_INVALID_REQUEST },
        { "\"rawPath\":\"token\"", ERR_INVALID_REQUEST },
        { "\"rawPath\":\"\"", ERR_INVALID_REQUEST },
        { "\"rawPath\":\"*\"", ERR_INVALID_REQUEST },
        { "\"rawPath\":\"/\",\"headers\":{\"a b\":\"c\"}", ERR_INVALID_REQUEST },
        { "\"rawPath\":\"/\",\"headers\":{\"a\":\"b\\r\\nc: d\"}", ERR_INVALID_REQUEST },
        { "\"rawPath\":\"/\",\"headers\":{\"a\":1}", ERR_INVALID_REQUEST },
        { "\"rawPath\":\"/\",\"headers\":{\"authorization\":\"a\",\"Authorization\":\"b\"}", ERR_INVALID_REQUEST },
        { "\"rawPath\":\"/\",\"cookies\":[1]", ERR_INVALID_REQUEST },
        { "\"rawPath\":\"/\",\"body\":\"YQ\",\"isBase64Encoded\":true", ERR_INVALID_REQUEST },
        { "\"rawPath\":\"/\",\"body\":\"YR==\",\"isBase64Encoded\":true", ERR_INVALID_REQUEST },
        { "\"rawPath\":\"/\",\"body\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"", ERR_OK },
        { "\"rawPath\":\"/\",\"body\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab\"",
          ERR_TOO_LARGE },
    };
    struct request request;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_code(read_request(arena_printf(&arena, V2("%s"), rows[i].members).at, &request), rows[i].code,
                    rows[i].members);
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_code(read_request(arena_printf(&arena, V2("\"rawPath\":\"/%s\""), longer).at, &request), ERR_TARGET_TOO_LONG,
                "a path");
    assert_code(read_request(arena_printf(&arena, V2("\"rawPath\":\"/\",\"rawQueryString\":\"%s\""), longer).at,
                             &request),
                ERR_TARGET_TOO_LONG, "a query");
    assert_code(read_request(arena_printf(&arena, V2("\"rawPath\":\"/\",\"headers\":{\"a\":\"%s\"}"), longer).at,
                             &request),
                ERR_HEADERS_TOO_LARGE, "a header");
}

static void bus_events_are_calls_of_the_client_of_their_source(void **state)
{
    static const struct {
        const char *type, *path;
        enum method method;
        bool is_once;
    } rows[] = {
        { "GENERATE_TOKEN", "/token", METHOD_POST, true },
        { "VERIFY_TOKEN", "/token/verify", METHOD_POST, false },
        { "INTROSPECT_TOKEN", "/token/introspect", METHOD_POST, false },
        { "REVOKE_TOKEN", "/token/revoke", METHOD_POST, true },
        { "ROTATE_KEYS", "/admin/rotate-keys", METHOD_POST, true },
        { "GET_JWKS", "/.well-known/jwks.json", METHOD_GET, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct request request = { .arena = &arena };
        struct bus_event bus = { .is_once = false };
        struct event event;
        assert_ok(event_read(&arena,
                             arena_printf(&arena,
                                          "{\"id\":\"1\",\"detail-type\":\"%s\",\"source\":\"storytailor.auth\","
                                          "\"detail\":{\"a\" : 1.50}}",
                                          rows[i].type),
                             &event));
        assert_ok(bus_event_read(&event, &bus, &request));
        assert_row(str_eq(request.path, str_of(rows[i].path)) && request.method == rows[i].method, rows[i].type);
        assert_row(bus.is_once == rows[i].is_once, rows[i].type);
        assert_str(request.vouched_client, "storytailor.auth");
        assert_false(request.is_local_operator);
        if (request.method == METHOD_POST)
            assert_str(request.body, "{\"a\":1.50}");
    }
}

static void bus_events_of_others_are_nobodys(void **state)
{
    static const char *const rows[] = {
        "{\"id\":\"1\",\"detail-type\":\"VERIFY_TOKEN\",\"source\":\"storytailor.other\",\"detail\":{}}",
        "{\"id\":\"1\",\"detail-type\":\"VERIFY_TOKEN\",\"source\":\"storytailor.idp \",\"detail\":{}}",
        "{\"id\":\"1\",\"detail-type\":\"verify_token\",\"source\":\"storytailor.idp\",\"detail\":{}}",
        "{\"id\":\"1\",\"detail-type\":\"VERIFY_TOKEN\",\"source\":\"storytailor.idp\",\"detail\":\"x\"}",
        "{\"id\":\"1\",\"detail-type\":\"VERIFY_TOKEN\",\"source\":\"storytailor.idp\",\"detail\":[]}",
        "{\"id\":\"1\",\"detail-type\":\"VERIFY_TOKEN\",\"source\":\"storytailor.idp\"}",
        "{\"id\":\"\",\"detail-type\":\"VERIFY_TOKEN\",\"source\":\"storytailor.idp\",\"detail\":{}}",
        "{\"id\":1,\"detail-type\":\"VERIFY_TOKEN\",\"source\":\"storytailor.idp\",\"detail\":{}}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct request request = { .arena = &arena };
        struct bus_event bus = { .is_once = false };
        struct event event;
        assert_ok(event_read(&arena, str_of(rows[i]), &event));
        assert_code(bus_event_read(&event, &bus, &request), ERR_INVALID_REQUEST, rows[i]);
    }
}

RUN_WITH(begin, NULL, TEST(an_event_is_of_whoever_alone_sends_it_so),
         TEST(stage_and_base_path_are_cut_off_where_the_event_shows_them), TEST(a_query_is_what_was_sent),
         TEST(the_caller_is_whom_aws_names), TEST(headers_are_those_that_the_sender_gave),
         TEST(a_body_is_text_or_base64), TEST(what_no_server_would_take_is_refused),
         TEST(bus_events_are_calls_of_the_client_of_their_source), TEST(bus_events_of_others_are_nobodys))
