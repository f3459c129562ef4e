/* test_answer.c: responses as the bytes of HTTP/1.1 answers. */
#include "http/answer.h"
#include "unit.h"

static struct str written(const struct response *response, bool to_head)
{
    const struct answer_frame frame = { .date = STR("now"), .request_id = STR("7"), .to_head = to_head };
    struct buf out;
    buf_init(&out, &arena, 16, 65536);
    answer_write(response, &frame, &out);
    assert_false(out.overflowed);
    return buf_str(&out);
}

static struct response response_of(int status)
{
    struct response response;
    response_init(&response, &arena);
    response.status = status;
    buf_add(&response.body, STR("{}"));
    return response;
}

static void each_status_has_its_phrase(void **state)
{
    /* RFC 9110 section 15, RFC 6585 */
    static const char *const lines[] = {
        "200 OK",
        "201 Created",
        "202 Accepted",
        "203 Non-Authoritative Information",
        "204 No Content",
        "205 Reset Content",
        "206 Partial Content",
        "300 Multiple Choices",
        "301 Moved Permanently",
        "302 Found",
        "303 See Other",
        "304 Not Modified",
        "305 Use Proxy",
        "307 Temporary Redirect",
        "308 Permanent Redirect",
        "400 Bad Request",
        "401 Unauthorized",
        "402 Payment Required",
        "403 Forbidden",
        "404 Not Found",
        "405 Method Not Allowed",
        "406 Not Acceptable",
        "407 Proxy Authentication Required",
        "408 Request Timeout",
        "409 Conflict",
        "410 Gone",
        "411 Length Required",
        "412 Precondition Failed",
        "413 Content Too Large",
        "414 URI Too Long",
        "415 Unsupported Media Type",
        "416 Range Not Satisfiable",
        "417 Expectation Failed",
        "421 Misdirected Request",
        "422 Unprocessable Content",
        "426 Upgrade Required",
        "428 Precondition Required",
        "429 Too Many Requests",
        "431 Request Header Fields Too Large",
        "500 Internal Server Error",
        "501 Not Implemented",
        "502 Bad Gateway",
        "503 Service Unavailable",
        "504 Gateway Timeout",
        "505 HTTP Version Not Supported",
        "511 Network Authentication Required",
        "299 ",
        "418 ",
        "599 ",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        const struct response response = response_of((int)strtol(lines[i], NULL, 10));
        assert_row(str_has_prefix(written(&response, false), arena_printf(&arena, "HTTP/1.1 %s\r\n", lines[i])),
                   lines[i]);
    }
    for (enum err_code code = ERR_OK; code < ERR_CODE_COUNT; code++) { /* and so has each error */
        const struct response response = response_of(err_status(code));
        assert_true(
            !str_has_prefix(written(&response, false), arena_printf(&arena, "HTTP/1.1 %d \r\n", err_status(code))));
    }
}

static void all_headers_go_out_in_their_order(void **state)
{
    struct response response = response_of(200);
    (void)state;
    response_add_header(&response, STR("ETag"), STR("\"x\""));
    response_add_header(&response, STR("Vary"), STR("Accept"));
    assert_str(written(&response, false),
               "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Type: application/json\r\n"
               "Cache-Control: no-store\r\nX-Request-Id: 7\r\nETag: \"x\"\r\nVary: Accept\r\n"
               "Content-Length: 2\r\n\r\n{}");
    assert_str(written(&response, true), "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Type: application/json\r\n"
                                         "Cache-Control: no-store\r\nX-Request-Id: 7\r\nETag: \"x\"\r\nVary: Accept\r\n"
                                         "Content-Length: 2\r\n\r\n");
}

static void a_redirect_sets_cookies_and_has_no_body(void **state)
{
    struct response response = response_of(200);
    (void)state;
    response_empty(&response, 303);
    response_add_header(&response, STR("Location"), STR("https://app.test/cb?code=1&state=2"));
    response_add_header(&response, STR("Set-Cookie"), STR("__Host-a=1; Path=/; Secure; HttpOnly"));
    response_add_header(&response, STR("Set-Cookie"), STR("__Host-b=2; Path=/; Secure; HttpOnly"));
    assert_str(written(&response, false),
               "HTTP/1.1 303 See Other\r\nDate: now\r\nCache-Control: no-store\r\nX-Request-Id: 7\r\n"
               "Location: https://app.test/cb?code=1&state=2\r\nSet-Cookie: __Host-a=1; Path=/; Secure; HttpOnly\r\n"
               "Set-Cookie: __Host-b=2; Path=/; Secure; HttpOnly\r\nContent-Length: 0\r\n\r\n");
}

/* OAuth 2.0 Form Post Response Mode. */
static void a_page_posts_itself(void **state)
{
    static const char page[] = "<!DOCTYPE html><form method=\"post\" action=\"https://app.test/cb\">"
                               "<input type=\"hidden\" name=\"code\" value=\"1\"></form>";
    struct response response;
    (void)state;
    response_init(&response, &arena);
    response.content_type = STR("text/html; charset=utf-8");
    response_add_header(&response, STR("Content-Security-Policy"), STR("default-src 'none'; form-action https:"));
    buf_add(&response.body, str_of(page));
    assert_str(written(&response, false),
               arena_printf(&arena,
                            "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Type: text/html; charset=utf-8\r\n"
                            "Cache-Control: no-store\r\nX-Request-Id: 7\r\n"
                            "Content-Security-Policy: default-src 'none'; form-action https:\r\n"
                            "Content-Length: %zu\r\n\r\n%s",
                            sizeof page - 1, page)
                   .at);
}

static void what_has_no_body_announces_none(void **state)
{
    static const int statuses[] = { 204, 304 };
    (void)state;
    for (size_t i = 0; i < COUNT(statuses); i++) {
        const struct response response = response_of(statuses[i]);
        const struct str text = written(&response, false);
        assert_null(memmem(text.at, text.len, "Content-Length", 14));
        assert_memory_equal(text.at + text.len - 4, "\r\n\r\n", 4);
    }
}

RUN(TEST(each_status_has_its_phrase), TEST(all_headers_go_out_in_their_order),
    TEST(a_redirect_sets_cookies_and_has_no_body), TEST(a_page_posts_itself), TEST(what_has_no_body_announces_none))
