/* test_head.c: the head of a request as http/head.c reads it, and bodies in chunks as wire/chunks.c does. */
#include "http/head.h"
#include "wire/chunks.h"
#include "wire/lines.h"
#include "unit.h"

#define BEGIN "POST /token HTTP/1.1\r\nHost: a\r\n"

/* Read from a copy of exactly its length, so that a sanitizer sees any byte read beyond. */
static struct err read(struct str text, struct head *out)
{
    char *copy = exactly(text);
    struct head seen;
    struct err err = head_read(&arena, (struct str){ copy, text.len }, &seen);
    free(copy);
    struct err again = head_read(&arena, text, out);
    assert_int_equal(err.code, again.code);
    return again;
}

static struct str value(const struct head *head, const char *name)
{
    return headers_value(head->headers, &arena, str_of(name));
}

static void the_end_is_found_wherever_it_was_cut(void **state)
{
    const struct str text = STR("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET ");
    const size_t size = text.len - 4;
    (void)state;
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(wire_head_size((struct str){ text.at, cut }, 0), 0);
        assert_int_equal(wire_head_size(text, cut), size);
    }
    assert_int_equal(wire_head_size((struct str){ NULL, 0 }, 0), 0);
}

static void the_headers_that_count_are_read(void **state)
{
    struct head head;
    (void)state;
    assert_ok(read(STR("POST /token?x=y HTTP/1.1\r\nhOST:\tlocalhost:80 \r\nContent-type: text/plain\r\n"
                       "authorization: Basic eDp5\r\nContent-Length: 017\r\nExpect: 100-Continue\r\nX-Any:\r\n"
                       "If-None-Match: \"a\"\r\nOrigin: null\r\nX-Request-Id: 7\r\nConnection: x\r\n"
                       "Connection: Keep-Alive , CLOSE\r\n\r\n"),
                   &head));
    assert_str(head.method, "POST");
    assert_str(head.path, "/token");
    assert_str(head.query, "x=y");
    assert_str(value(&head, "Host"), "localhost:80");
    assert_str(value(&head, "Content-Type"), "text/plain");
    assert_str(value(&head, "Authorization"), "Basic eDp5");
    assert_str(value(&head, "If-None-Match"), "\"a\"");
    assert_str(value(&head, "Origin"), "null");
    assert_str(value(&head, "X-Request-Id"), "7");
    assert_int_equal(head.length, 17);
    assert_true(head.wants_close && head.wants_keep_alive && head.wants_continue);
    assert_false(head.is_chunked || head.is_http_1_0);
}

static void every_header_is_kept_as_it_came(void **state)
{
    static const char *const rows[][2] = { { "Host", "a" },         { "DPoP", "a.b.c" }, { "cookie", "a=\"b; c\"" },
                                           { "X-Unknown", "" },     { "cookie", "d=e" }, { "Sec-Fetch-Site", "none" },
                                           { "Accept", "*/*, a/b" } };
    struct head head;
    (void)state;
    assert_ok(read(STR(BEGIN "DPoP: a.b.c\r\ncookie:a=\"b; c\"\t\r\nX-Unknown:\r\ncookie: d=e\r\n"
                             "Sec-Fetch-Site:  none\r\nAccept: */*, a/b\r\n\r\n"),
                   &head));
    assert_int_equal(head.headers.count, COUNT(rows));
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_str(head.headers.at[i].name, rows[i][0]);
        assert_str(head.headers.at[i].value, rows[i][1]);
    }
}

static void a_list_may_come_on_several_lines(void **state)
{
    struct head head;
    (void)state;
    assert_ok(read(STR(BEGIN "If-None-Match: \"a\"\r\nX-Request-Id: 7\r\nX: y\r\nif-none-match:\tW/\"b\" \r\n"
                             "X-Request-Id: 8\r\nIf-None-Match:\r\nAccept: a/b\r\nExpect: x\r\n"
                             "Expect: 100-Continue\r\nIF-NONE-MATCH: \"c\"\r\nContent-Encoding: a\r\n"
                             "Content-Encoding: b\r\n\r\n"),
                   &head));
    assert_str(value(&head, "If-None-Match"), "\"a\", W/\"b\", , \"c\"");
    assert_str(value(&head, "X-Request-Id"), "7, 8");
    assert_str(value(&head, "Accept"), "a/b");
    assert_str(value(&head, "Content-Encoding"), "a, b");
    assert_true(head.wants_continue);
    assert_ok(read(STR(BEGIN "Expect:\r\nExpect: 100-continue, 100-continue\r\n\r\n"), &head));
    assert_true(head.wants_continue);
    assert_ok(read(STR(BEGIN "Expect: 100-continue;x\r\n\r\n"), &head));
    assert_false(head.wants_continue);
}

static void the_longest_list_there_can_be_is_read(void **state)
{
    struct buf text;
    struct head head;
    (void)state;
    buf_init(&text, &arena, 1024, 65536);
    buf_add(&text, STR(BEGIN));
    for (size_t i = 1; i < 64; i++)
        buf_add(&text, STR("Accept:x\r\n"));
    buf_add(&text, STR("\r\n"));
    assert_ok(read(buf_str(&text), &head));
    assert_int_equal(value(&head, "Accept").len, 63 + 62 * 2);
}

static void whatever_begins_with_1_is_read_as_1_1(void **state)
{
    static const struct {
        const char *version;
        enum err_code code;
    } rows[] = { { "HTTP/1.1", ERR_OK },
                 { "HTTP/1.2", ERR_OK },
                 { "HTTP/1.9", ERR_OK },
                 { "HTTP/1.0", ERR_OK },
                 { "HTTP/0.9", ERR_VERSION },
                 { "HTTP/2.0", ERR_VERSION },
                 { "HTTP/3.0", ERR_VERSION },
                 { "HTTP/2", ERR_INVALID_REQUEST },
                 { "HTTP/1", ERR_INVALID_REQUEST },
                 { "HTTP/1.", ERR_INVALID_REQUEST },
                 { "HTTP/1.10", ERR_INVALID_REQUEST },
                 { "HTTP/11", ERR_INVALID_REQUEST },
                 { "HTTP/1,1", ERR_INVALID_REQUEST },
                 { "HTTP/x.1", ERR_INVALID_REQUEST },
                 { "HTTP/1.x", ERR_INVALID_REQUEST },
                 { "http/1.1", ERR_INVALID_REQUEST },
                 { "HTTPS/1.1", ERR_INVALID_REQUEST } };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct head head;
        assert_code(read(arena_printf(&arena, "GET / %s\r\nHost: a\r\n\r\n", rows[i].version), &head), rows[i].code,
                    rows[i].version);
        assert_row(rows[i].code || head.is_http_1_0 == (rows[i].version[7] == '0'), rows[i].version);
    }
    struct head head; /* with all that 1.1 has */
    assert_ok(read(STR("POST / HTTP/1.3\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"), &head));
    assert_true(head.is_chunked);
    assert_code(read(STR("GET / HTTP/1.2\r\n\r\n"), &head), ERR_INVALID_REQUEST, "1.2 without Host");
    assert_code(read(STR("PRI * HTTP/2.0\r\n\r\n"), &head), ERR_VERSION, "the preface of HTTP/2");
}

static void a_host_is_one_or_empty(void **state)
{
    static const struct {
        const char *host;
        bool good;
    } rows[] = { { "", true },         { "a", true },         { "a:", true },   { "a_b.c:80", true },
                 { "[::1]:80", true }, { "192.0.2.1", true }, { "a%41", true }, { "a:80x", false },
                 { "a:b:c", false },   { "[::1", false },     { "::1", false }, { "http://a", false },
                 { "a/b", false },     { "u@a", false },      { ":80", false } };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct head head;
        assert_code(read(arena_printf(&arena, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", rows[i].host), &head),
                    rows[i].good ? ERR_OK : ERR_INVALID_REQUEST, rows[i].host);
    }
}

static void what_rfc_9112_does_not_allow_is_refused(void **state)
{
    static const struct str bad[] = {
        ROW("\r\n\r\n"),
        ROW("GET\r\n\r\n"),
        ROW("GET /\r\nHost: a\r\n\r\n"),
        ROW("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ROW("GET /  HTTP/1.1\r\nHost: a\r\n\r\n"),
        ROW("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        ROW(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ROW("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ROW("G(T / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ROW("GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
        ROW("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ROW("GET / http/1.1\r\nHost: a\r\n\r\n"),
        ROW("GET / HTTP/1.1\r\n\r\n"), /* no Host */
        ROW("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        ROW("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        ROW("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n"),
        ROW("GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n"),
        ROW("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        ROW("GET token HTTP/1.1\r\nHost: a\r\n\r\n"),
        ROW("GET http:///token HTTP/1.1\r\nHost: a\r\n\r\n"),
        ROW(BEGIN "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n"),
        ROW(BEGIN "Authorization: a\r\nAuthorization: a\r\n\r\n"),
        ROW(BEGIN "Origin: a\r\nOrigin: a\r\n\r\n"),
        ROW("GET / HTTP/1.1\nHost: a\r\n\r\n"),
        ROW("GET / HTTP/1.1\r\nHost: a\n\r\n\r\n"),
        ROW("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
        ROW(BEGIN " X: y\r\n\r\n"), /* folded */
        ROW(BEGIN "X: y\r\n z\r\n\r\n"),
        ROW(BEGIN "X : y\r\n\r\n"),
        ROW(BEGIN "X\t: y\r\n\r\n"),
        ROW(BEGIN "X\r\n\r\n"),
        ROW(BEGIN ": y\r\n\r\n"),
        ROW(BEGIN "X: a\0b\r\n\r\n"),
        ROW(BEGIN "X: a\rb\r\n\r\n"),
        ROW(BEGIN "X: a\x7f\r\n\r\n"),
        ROW(BEGIN "X\xe4: a\r\n\r\n"),
        ROW(BEGIN "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
        ROW(BEGIN "Content-Length: 1, 1\r\n\r\n"),
        ROW(BEGIN "Content-Length: +1\r\n\r\n"),
        ROW(BEGIN "Content-Length: 0x1\r\n\r\n"),
        ROW(BEGIN "Content-Length:\r\n\r\n"),
        ROW(BEGIN "Content-Length: 1234567890123456789\r\n\r\n"),
        ROW(BEGIN "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ROW(BEGIN "Transfer-Encoding: chunked, chunked\r\n\r\n"),
        ROW(BEGIN "Transfer-Encoding: gzip\r\n\r\n"),
        ROW(BEGIN "Transfer-Encoding:\r\n\r\n"),
        ROW("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    };
    struct head head;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (!read(bad[i], &head).code)
            fail_msg("row %zu was taken", i);
    assert_ok(read(STR("GET / HTTP/1.0\r\n\r\n"), &head)); /* their neighbours */
    assert_ok(read(STR(BEGIN "X:\r\nX: \xe4\r\n\r\n"), &head));
    assert_ok(read(STR(BEGIN "Transfer-Encoding: Chunked\r\n\r\n"), &head));
    assert_true(head.is_chunked);
}

static void at_most_64_headers_are_taken(void **state)
{
    (void)state;
    for (size_t count = 63; count <= 65; count++) {
        struct buf text;
        struct head head;
        buf_init(&text, &arena, 1024, 4096);
        buf_add(&text, STR(BEGIN));
        for (size_t i = 1; i < count; i++)
            buf_add(&text, STR("X: y\r\n"));
        buf_add(&text, STR("\r\n"));
        assert_int_equal(read(buf_str(&text), &head).code, count <= 64 ? ERR_OK : ERR_HEADERS_TOO_LARGE);
    }
}

/* --- chunks ------------------------------------------------------------------------------------------------------ */

/* The body of `text` given in pieces of `step` bytes, as the connection gives it; what is not taken is given again. */
static struct err decode(struct str text, size_t step, struct buf *body, size_t *rest)
{
    struct chunks chunks = { 0 };
    struct str in = { text.at, 0 };
    buf_init(body, &arena, 64, 4096);
    while (chunks.state != CHUNK_END && in.at + in.len < text.at + text.len) {
        size_t more = (size_t)(text.at + text.len - in.at) - in.len;
        in.len += more < step ? more : step;
        for (size_t before = in.len + 1; in.len < before && chunks.state != CHUNK_END;) {
            struct str piece;
            before = in.len;
            TRY(chunks_read(&chunks, &in, &piece));
            buf_add(body, piece);
        }
    }
    *rest = (size_t)(text.at + text.len - in.at);
    return chunks.state == CHUNK_END ? OK : failed(ERR_TIMEOUT, "there is more to come");
}

static void chunks_are_one_body_wherever_they_are_cut(void **state)
{
    const struct str text = STR(
        "5\r\nhello\r\n00a;x=\"y\"; z\r\n, chunked \r\n5 ;\r\nworld\r\n0\r\nX: y\r\nZ:\r\n\r\nGET ");
    const struct str plain = STR(
        "5\r\nhello\r\n00A;x=\"y\"; z\r\n, chunked \r\n5\r\nworld\r\n0\r\nX: y\r\nZ:\r\n\r\nGET ");
    struct buf body;
    size_t rest;
    (void)state;
    assert_int_equal(decode(text, text.len, &body, &rest).code, ERR_INVALID_REQUEST); /* a space before ';' */
    for (size_t step = 1; step <= plain.len; step++) {
        assert_ok(decode(plain, step, &body, &rest));
        assert_str(buf_str(&body), "hello, chunked world");
        assert_true(rest >= 4);
    }
    assert_ok(decode(plain, plain.len, &body, &rest));
    assert_int_equal(rest, 4);
}

static void nonsense_in_chunks_is_refused(void **state)
{
    static const struct str bad[] = {
        ROW("\r\n"),
        ROW("x\r\n"),
        ROW("-1\r\n"),
        ROW("+1\r\n"),
        ROW("0x1\r\n"),
        ROW(" 1\r\n"),
        ROW("1 \r\n"),
        ROW("123456789\r\n"),
        ROW("1\n"),
        ROW("1\ra\r\n"),
        ROW("1\r\nab\r\n"),
        ROW("1\r\na\n"),
        ROW("1\r\nab"
            "\n"),
        ROW("1;\x01\r\n"),
        ROW("1;x\ty\r\n"),
        ROW("0\r\nX\r\n\r\n"),
        ROW("0\r\n x\r\n\r\n"),
        ROW("0\r\nX : y\r\n"),
        ROW("0\r\nX: \x7f\r\n"),
        ROW("0\r\n\n"),
    };
    struct buf body;
    size_t rest;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        for (size_t step = 1; step <= bad[i].len; step++)
            if (decode(bad[i], step, &body, &rest).code != ERR_INVALID_REQUEST)
                fail_msg("row %zu was taken in steps of %zu", i, step);
    assert_ok(decode(STR("0\r\n\r\n"), 1, &body, &rest));
    assert_int_equal(body.len, 0);
}

static void lines_and_trailers_in_chunks_have_a_limit(void **state)
{
    struct buf text, body;
    size_t rest;
    (void)state;
    buf_init(&text, &arena, 8192, 8192);
    buf_add(&text, STR("1;"));
    for (int i = 0; i < 300; i++)
        buf_add_char(&text, 'x');
    assert_int_equal(decode(buf_str(&text), 7, &body, &rest).code, ERR_INVALID_REQUEST);
    text.len = 0;
    buf_add(&text, STR("0\r\n"));
    for (int i = 0; i < 500; i++)
        buf_add(&text, STR("X: y\r\n"));
    assert_int_equal(decode(buf_str(&text), 7, &body, &rest).code, ERR_INVALID_REQUEST);
}

RUN(TEST(the_end_is_found_wherever_it_was_cut), TEST(the_headers_that_count_are_read),
    TEST(every_header_is_kept_as_it_came), TEST(a_list_may_come_on_several_lines),
    TEST(the_longest_list_there_can_be_is_read), TEST(whatever_begins_with_1_is_read_as_1_1),
    TEST(a_host_is_one_or_empty), TEST(what_rfc_9112_does_not_allow_is_refused), TEST(at_most_64_headers_are_taken),
    TEST(chunks_are_one_body_wherever_they_are_cut), TEST(nonsense_in_chunks_is_refused),
    TEST(lines_and_trailers_in_chunks_have_a_limit))
