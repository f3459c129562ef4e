/* test_form.c: bodies as service/message.c reads them (forms, JSON members by a table), and answers as it writes them.
 */
#include "service/message.h"
#include "store/store.h"
#include "unit.h"

/* --- forms ------------------------------------------------------------------------------------------------------- */

static struct err read(struct str body, struct form *out)
{
    struct form seen;
    char *copy = exactly(body);
    struct err err = form_read(&arena, (struct str){ copy, body.len }, &seen);
    free(copy);
    struct err again = form_read(&arena, body, out);
    assert_int_equal(err.code, again.code);
    return again;
}

static void a_form_is_decoded_as_rfc_6749_appendix_b_says(void **state)
{
    static const struct {
        struct str body;
        const char *name;
        struct str value;
    } rows[] = {
        { ROW("token=abc"), "token", ROW("abc") },
        { ROW("a=1&token=abc&b=2"), "token", ROW("abc") },
        { ROW("token=a%20b+c"), "token", ROW("a b c") },
        { ROW("token=a%2Bb%2bc"), "token", ROW("a+b+c") },
        { ROW("token=%25%26%3D%3f"), "token", ROW("%&=?") },
        { ROW("token=a=b==c"), "token", ROW("a=b==c") },
        { ROW("to%6ben=abc"), "token", ROW("abc") },
        { ROW("token=%C3%A4%e2%82%ac"), "token", ROW("\xc3\xa4\xe2\x82\xac") },
        { ROW("token=\xc3\xa4"), "token", ROW("\xc3\xa4") },
        { ROW("&&token=abc&&"), "token", ROW("abc") },
        { ROW("token=%0d%0aX"), "token", ROW("\r\nX") },
        { ROW("+token=abc"), " token", ROW("abc") },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct form form;
        assert_code(read(rows[i].body, &form), ERR_OK, rows[i].body.at);
        assert_row(str_eq(form_value(&form, str_of(rows[i].name)), rows[i].value), rows[i].body.at);
    }
}

static void an_absent_and_an_empty_value_are_the_same(void **state)
{
    static const struct str bodies[] = { ROW(""),       ROW("&"),        ROW("token"),   ROW("token="),
                                         ROW("=token"), ROW("token=&x"), ROW("Token=a"), ROW("token =a"),
                                         ROW("toke=a"), ROW("tokens=a"), ROW("="),       ROW("&=&") };
    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct form form;
        assert_code(read(bodies[i], &form), ERR_OK, bodies[i].at);
        assert_row(form_value(&form, STR("token")).at == NULL, bodies[i].at);
    }
    struct form none;
    assert_ok(form_read(&arena, (struct str){ NULL, 0 }, &none));
    assert_int_equal(none.count, 0);
}

static void a_form_that_two_could_read_differently_is_refused(void **state)
{
    static const struct str bad[] = {
        ROW("token=a&token=b"),
        ROW("token=a&token=a"),
        ROW("token&token=a"),
        ROW("token=&token=a"),
        ROW("token=a&to%6ben=b"),
        ROW("a=1&b=2&a=3"),
        ROW("=&="),
        ROW("token=%"),
        ROW("token=%4"),
        ROW("token=%zz"),
        ROW("token=%4g"),
        ROW("token=%g4"),
        ROW("token=%%41"),
        ROW("token=% 41"),
        ROW("token=%-1"),
        ROW("token=%+1"),
        ROW("token=%0x"),
        ROW("%=a"),
        ROW("token=a%"),
        ROW("token=%00"),
        ROW("token=a%00b"),
        ROW("to%00ken=a"),
        ROW("token=a\0b"),
        ROW("token\0=a"),
        ROW("token=a&\0"),
        ROW("token=%ff"),
        ROW("token=\xff"),
        ROW("token=%c0%80"),
        ROW("token=%c3"),
        ROW("token=%ed%a0%80"),
        ROW("token=%c3%28"),
        ROW("token=\xc3%a4\xa4"),
        ROW("\xff=a"),
        ROW("token=%F4%90%80%80"),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct form form;
        assert_code(read(bad[i], &form), ERR_INVALID_REQUEST, bad[i].at);
    }
}

static void a_form_has_at_most_32_parameters(void **state)
{
    struct buf buf;
    struct form form;
    (void)state;
    buf_init(&buf, &arena, 256, 65536);
    for (int i = 0; i < FORM_PAIRS_MAX; i++)
        buf_add(&buf, arena_printf(&arena, "&p%d=%d", i, i));
    assert_ok(read(buf_str(&buf), &form));
    assert_int_equal(form.count, FORM_PAIRS_MAX);
    assert_str(form_value(&form, STR("p31")), "31");
    buf_add(&buf, STR("&"));
    assert_ok(read(buf_str(&buf), &form));
    buf_add(&buf, STR("q"));
    assert_code(read(buf_str(&buf), &form), ERR_INVALID_REQUEST, "33");
}

static void a_name_may_come_several_times_for_a_reader_who_says_so(void **state)
{
    struct form form;
    (void)state;
    assert_ok(form_read_all(&arena, STR("a=&b=1&a=2&to%6ben=x&a=3&token&b"), &form));
    assert_int_equal(form.count, 7);
    assert_int_equal(form_count(&form, STR("a")), 3);
    assert_int_equal(form_count(&form, STR("token")), 2);
    assert_int_equal(form_count(&form, STR("b")), 2);
    assert_int_equal(form_count(&form, STR("c")), 0);
    assert_str(form_value(&form, STR("a")), "2"); /* the first that is not empty */
    assert_str(form.value[4], "3");
    assert_code(form_read_all(&arena, STR("a=1&b=%"), &form), ERR_INVALID_REQUEST, "malformed all the same");
}

/* --- content types ----------------------------------------------------------------------------------------------- */

static void a_content_type_is_taken_whatever_its_parameters_say(void **state)
{
    static const struct {
        const char *type;
        bool json, form;
    } rows[] = {
        { "application/json", true, false },
        { "Application/JSON", true, false },
        { "application/json ", true, false },
        { "application/json; charset=latin1", true, false },
        { "application/json; charset=utf-16", true, false },
        { "application/json; charset=utf-8; x=\"a;b\"", true, false },
        { "application/x-www-form-urlencoded; charset=utf-8;", false, true },
        { "application/x-www-form-urlencoded; charset=ISO-8859-1", false, true },
        { "application/json;charset=utf-8", true, false },
        { "application/json; charset=UTF-8", true, false },
        { "application/json ; charset=\"utf-8\"", true, false },
        { "application/json;", true, false },
        { "application/x-www-form-urlencoded", false, true },
        { "application/x-www-form-urlencoded; charset=utf-8", false, true },
        { NULL, false, false },
        { "", false, false },
        { ";", false, false },
        { "json", false, false },
        { "text/json", false, false },
        { "text/plain", false, false },
        { "application/jsonp", false, false },
        { "application/json+x", false, false },
        { "application/jwt", false, false },
        { "application/json, text/plain", false, false },
        { "application/json; charset", false, false },
        { "application/json; charset=", false, false },
        { "application/json charset=utf-8", false, false },
        { "multipart/form-data; boundary=x", false, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *row = rows[i].type ? rows[i].type : "none";
        const struct header type = { STR("content-type"), str_of(rows[i].type) };
        const struct request request = { .arena = &arena, .headers = { &type, 1 }, .body = STR("{}") };
        const struct json *json = NULL;
        assert_row(request_is_json(&request) == rows[i].json, row);
        assert_row(request_is_form(&request) == rows[i].form, row);
        assert_code(request_json(&request, &json), rows[i].json ? ERR_OK : ERR_MEDIA_TYPE, row);
    }
    const struct header type = { STR("Content-Type"), STR("application/json") };
    const struct request empty = { .arena = &arena, .headers = { &type, 1 } };
    const struct json *json;
    assert_code(request_json(&empty, &json), ERR_INVALID_REQUEST, "an empty body");
}

/* --- JSON members by a table ------------------------------------------------------------------------------------- */

struct target {
    struct str name, text;
    int64_t number;
    const struct json *object, *strings;
};

static const struct field fields[] = {
    { "name", FIELD_STR, true, offsetof(struct target, name), 0, 4 },
    { "text", FIELD_TEXT, false, offsetof(struct target, text), 0, 0 },
    { "number", FIELD_INT, false, offsetof(struct target, number), -5, 100 },
    { "object", FIELD_OBJECT, false, offsetof(struct target, object), 0, 0 },
    { "strings", FIELD_STRINGS, false, offsetof(struct target, strings), 0, 3 },
};

static struct err read_fields(const char *text, struct target *out)
{
    const struct json *json;
    assert_ok(json_parse(&arena, str_of(text), &json));
    return fields_read(&arena, json, fields, COUNT(fields), out);
}

static void members_are_read_by_their_rows(void **state)
{
    struct target got = { .number = 42 };
    (void)state;
    assert_ok(
        read_fields("{\"strings\":[\"a\",\"bcd\"],\"object\":{\"x\":1},\"number\":-5,\"text\":\"\",\"name\":\"abcd\"}",
                    &got));
    assert_str(got.name, "abcd");
    assert_non_null(got.text.at);
    assert_int_equal(got.text.len, 0);
    assert_int_equal(got.number, -5);
    assert_int_equal(got.object->count, 1);
    assert_int_equal(got.strings->count, 2);
    got = (struct target){ .number = 42 };
    assert_ok(read_fields("{\"name\":\"x\",\"strings\":\"abc\"}", &got));
    assert_int_equal(got.number, 42); /* absent: left as it was */
    assert_null(got.text.at);
    assert_null(got.object);
    assert_str(got.strings->text, "abc");
    got = (struct target){ .number = 42 };
    assert_ok(read_fields("{\"name\":\"x\",\"strings\":null,\"object\":null,\"number\":null,\"text\":null}", &got));
    assert_int_equal(got.number, 42); /* null is absent */
    assert_null(got.text.at);
    assert_null(got.object);
    assert_null(got.strings);
}

static void a_member_of_a_wrong_form_is_refused_by_name(void **state)
{
    static const struct {
        const char *text, *named;
    } rows[] = {
        { "{}", "name" },
        { "{\"text\":\"x\"}", "name" },
        { "{\"name\":\"\"}", "name" },
        { "{\"name\":null}", "name" },
        { "{\"name\":1}", "name" },
        { "{\"name\":[\"x\"]}", "name" },
        { "{\"name\":{}}", "name" },
        { "{\"name\":\"abcde\"}", "name" },
        { "{\"name\":\"x\",\"text\":false}", "text" },
        { "{\"name\":\"x\",\"number\":-6}", "number" },
        { "{\"name\":\"x\",\"number\":101}", "number" },
        { "{\"name\":\"x\",\"number\":1.0}", "number" },
        { "{\"name\":\"x\",\"number\":1e1}", "number" },
        { "{\"name\":\"x\",\"number\":\"1\"}", "number" },
        { "{\"name\":\"x\",\"number\":99999999999999999999999}", "number" },
        { "{\"name\":\"x\",\"object\":[]}", "object" },
        { "{\"name\":\"x\",\"object\":\"{}\"}", "object" },
        { "{\"name\":\"x\",\"strings\":[]}", "strings" },
        { "{\"name\":\"x\",\"strings\":\"\"}", "strings" },
        { "{\"name\":\"x\",\"strings\":[\"a\",\"\"]}", "strings" },
        { "{\"name\":\"x\",\"strings\":[\"a\",1]}", "strings" },
        { "{\"name\":\"x\",\"strings\":[[\"a\"]]}", "strings" },
        { "{\"name\":\"x\",\"strings\":{\"a\":\"b\"}}", "strings" },
        { "{\"name\":\"x\",\"strings\":[\"abcd\"]}", "strings" },
        { "{\"name\":\"x\",\"strings\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"10\",\"11\",\"12\","
          "\"13\",\"14\","
          "\"15\",\"16\",\"17\"]}",
          "strings" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct target got = { .number = 0 };
        struct err err = read_fields(rows[i].text, &got);
        assert_code(err, ERR_INVALID_REQUEST, rows[i].text);
        assert_row(strstr(err.why, arena_printf(&arena, "\"%s\"", rows[i].named).at) != NULL, err.why);
    }
}

static void a_member_that_no_row_names_is_refused(void **state)
{
    static const char *const bad[] = { "{\"name\":\"x\",\"Name\":\"y\"}", "{\"name\":\"x\",\"\":1}",
                                       "{\"name\":\"x\",\"nam\":1}", "{\"name\":\"x\",\"namer\":1}",
                                       "{\"name\":\"x\",\"__proto__\":{}}" };
    static const char *const no_object[] = { "[]", "null", "\"name\"", "1", "[{\"name\":\"x\"}]" };
    struct target got;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_code(read_fields(bad[i], &got), ERR_INVALID_REQUEST, bad[i]);
    for (size_t i = 0; i < COUNT(no_object); i++)
        assert_code(read_fields(no_object[i], &got), ERR_INVALID_REQUEST, no_object[i]);
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

static struct str header_of(const struct response *response, const char *name)
{
    return headers_value(response_headers(response), &arena, str_of(name));
}

static void an_errors_answer_replaces_everything_and_is_json(void **state)
{
    struct record record = { .kind = RECORD_TOKEN };
    (void)state;
    for (enum err_code code = ERR_INVALID_REQUEST; code < ERR_CODE_COUNT; code++) {
        struct response response;
        const struct json *json;
        response_init(&response, &arena);
        response.records = &record;
        response_add_header(&response, STR("Vary"), STR("Origin"));
        response.lasting_count = response.header_count;
        response_add_header(&response, STR("ETag"), STR("\"x\""));
        response_add_header(&response, STR("Set-Cookie"), STR("a=b"));
        response_may_be_kept(&response, &arena, 300, 0, 60);
        response.content_type = STR("text/html; charset=utf-8");
        buf_add(&response.body, STR("half an ans"));
        response_fail(&response, &arena, failed(code, "a \"sentence\"\r\nwith all sorts"));
        assert_int_equal(response.status, err_status(code));
        assert_int_equal(response.outcome, code);
        assert_null(response.records); /* a failure acknowledges nothing */
        assert_str(response.cache_control, "no-store");
        assert_str(response.content_type, "application/json");
        assert_str(header_of(&response, "Vary"), "Origin"); /* which is true of whatever is answered */
        assert_null(header_of(&response, "ETag").at);
        assert_null(header_of(&response, "Set-Cookie").at);
        assert_ok(json_parse(&arena, buf_str(&response.body), &json));
        assert_str(json_member(json, STR("error"))->text, err_name(code));
        assert_str(json_member(json, STR("error_description"))->text, "a \"sentence\"\r\nwith all sorts");
        assert_int_equal(header_of(&response, "WWW-Authenticate").len > 0,
                         response.status == 401 || response.status == 403);
        assert_int_equal(header_of(&response, "Retry-After").len > 0, response.status == 503 || response.status == 429);
        assert_false(response.is_unfit);
    }
}

static void a_header_that_could_end_its_line_is_refused(void **state)
{
    static const struct str bad[] = {
        ROW("a\r\nSet-Cookie: b=c"), ROW("a\rb"), ROW("a\n"), ROW("a\0b"), ROW("\x1b"), ROW("a\x7f"), ROW("")
    };
    struct response response;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        response_init(&response, &arena);
        response_add_header(&response, STR("Location"), bad[i]);
        assert_row(response.is_unfit && response.header_count == 0, arena_printf(&arena, "row %zu", i).at);
    }
    response_init(&response, &arena);
    response_add_header(&response, STR("Location"), STR("https://a.test/\t\xc3\xa4"));
    assert_false(response.is_unfit);
    while (response.header_count < RESPONSE_HEADERS_MAX)
        response_add_header(&response, STR("Set-Cookie"), STR("a=b"));
    assert_false(response.is_unfit);
    assert_int_equal(headers_count(response_headers(&response), STR("set-cookie")), RESPONSE_HEADERS_MAX - 1);
    response_add_header(&response, STR("Set-Cookie"), STR("a=b"));
    assert_true(response.is_unfit);
}

static void a_response_says_how_long_it_may_be_kept(void **state)
{
    struct response response;
    (void)state;
    response_init(&response, &arena);
    assert_str(response.cache_control, "no-store");
    response_may_be_kept(&response, &arena, 0, 0, 0);
    assert_str(response.cache_control, "public, max-age=0");
    response_may_be_kept(&response, &arena, INT64_MAX, INT64_MAX, INT64_MAX);
    assert_str(response.cache_control,
               "public, max-age=9223372036854775807, stale-while-revalidate=9223372036854775807, "
               "stale-if-error=9223372036854775807");
}

static void a_method_is_known_by_its_name(void **state)
{
    static const char *const unknown[] = { "", "get", "Post", "GETT", "PUT ", "TRACE", "CONNECT", "PROPFIND" };
    static const char *const known[] = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" };
    unsigned all = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(unknown); i++)
        assert_row(method_named(str_of(unknown[i])) == METHOD_OTHER, unknown[i]);
    for (size_t i = 0; i < COUNT(known); i++) {
        const enum method method = method_named(str_of(known[i]));
        assert_row(method != METHOD_OTHER && !(all & method), known[i]);
        assert_str(methods_list(&arena, method), known[i]);
        all |= method;
    }
    assert_str(methods_list(&arena, all), "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    assert_str(methods_list(&arena, METHOD_OPTIONS | METHOD_POST), "POST, OPTIONS");
}

static void each_error_has_a_status_of_its_class_and_a_label_of_its_own(void **state)
{
    (void)state;
    for (enum err_code a = ERR_OK; a < ERR_CODE_COUNT; a++) {
        int status = err_status(a);
        bool is_ours = a == ERR_UNAVAILABLE || a >= ERR_INTERNAL || a == ERR_VERSION;
        assert_true(a == ERR_OK ? status == 200
                    : is_ours   ? status >= 500 && status < 600
                                : status >= 400 && status < 500);
        assert_int_equal(strlen(err_name(a)) > 0, a != ERR_OK);
        for (enum err_code b = ERR_OK; b < a; b++)
            assert_string_not_equal(err_label(a), err_label(b));
    }
}

static void a_time_is_iso_8601_with_milliseconds(void **state)
{
    static const struct {
        int64_t at_ms;
        const char *text;
    } rows[] = {
        { 0, "\"1970-01-01T00:00:00.000Z\"" },
        { 1, "\"1970-01-01T00:00:00.001Z\"" },
        { 999, "\"1970-01-01T00:00:00.999Z\"" },
        { INT64_C(951782400000), "\"2000-02-29T00:00:00.000Z\"" },
        { INT64_C(1767225599123), "\"2025-12-31T23:59:59.123Z\"" },
        { INT64_C(253402300799999), "\"9999-12-31T23:59:59.999Z\"" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf buf;
        buf_init(&buf, &arena, 64, 64);
        write_time_ms(&buf, rows[i].at_ms);
        assert_str(buf_str(&buf), rows[i].text);
    }
}

RUN(TEST(a_form_is_decoded_as_rfc_6749_appendix_b_says), TEST(an_absent_and_an_empty_value_are_the_same),
    TEST(a_form_that_two_could_read_differently_is_refused), TEST(a_form_has_at_most_32_parameters),
    TEST(a_name_may_come_several_times_for_a_reader_who_says_so),
    TEST(a_content_type_is_taken_whatever_its_parameters_say), TEST(members_are_read_by_their_rows),
    TEST(a_member_of_a_wrong_form_is_refused_by_name), TEST(a_member_that_no_row_names_is_refused),
    TEST(an_errors_answer_replaces_everything_and_is_json), TEST(a_header_that_could_end_its_line_is_refused),
    TEST(a_response_says_how_long_it_may_be_kept), TEST(a_method_is_known_by_its_name),
    TEST(each_error_has_a_status_of_its_class_and_a_label_of_its_own), TEST(a_time_is_iso_8601_with_milliseconds))
