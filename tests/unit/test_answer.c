/* test_answer.c: answers of other services as net/answer.c reads them, whole and cut at every byte. */
#include "net/answer.h"
#include "unit.h"

enum { BODY_MAX = 100 };

/* Fed `step` bytes at a time, and then the end of the connection. */
static struct err read(struct answer *answer, struct str text, size_t step)
{
    memset(answer, 0, sizeof *answer);
    answer_begin(answer, &arena, BODY_MAX);
    for (size_t at = 0; at < text.len && answer->state != ANSWER_WHOLE;) {
        size_t room = 0, count = text.len - at < step ? text.len - at : step;
        char *to = answer_room(answer, &room);
        assert_true(room > 0);
        count = count < room ? count : room;
        memcpy(to, text.at + at, count);
        at += count;
        TRY(answer_received(answer, count));
    }
    return answer->state == ANSWER_WHOLE ? OK : answer_ended(answer);
}

#define OK_ "HTTP/1.1 200 OK\r\n"

static void where_an_answer_ends_is_known(void **state)
{
    static const struct {
        const char *text, *body;
        int status;
        bool keeps;
    } rows[] = {
        { OK_ "Content-Length: 2\r\n\r\n{}", "{}", 200, true },
        { OK_ "content-length:\t2 \r\n\r\n{}", "{}", 200, true },
        { "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "", 200, true },
        { "HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", "", 404, true },
        { "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", "{}", 200, false },
        { OK_ "Connection: x, Close\r\nContent-Length: 2\r\n\r\n{}", "{}", 200, false },
        { OK_ "\r\nall of it", "all of it", 200, false },
        { "HTTP/1.1 204 No Content\r\n\r\n", "", 204, true },
        { "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", 304, true },
        { OK_ "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "{}", 200, true },
        { "HTTP/1.1 100 Continue\r\nDate: x\r\n\r\n" OK_ "Content-Length: 2\r\n\r\n{}", "{}", 200, true },
    };
    struct answer *answer = malloc(sizeof *answer);
    assert_non_null(answer);
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t step = 1; step < 100; step++) {
            assert_row(!read(answer, str_of(rows[i].text), step).code, rows[i].text);
            assert_row(answer->status == rows[i].status && answer->keeps_connection == rows[i].keeps, rows[i].text);
            assert_row(str_eq(buf_str(&answer->body), str_of(rows[i].body)) && answer->date.len == 0, rows[i].text);
        }
    free(answer);
    (void)state;
}

static void what_is_uncertain_is_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "\r\n\r\n",
        "HTTP/1.1",
        "HTTP/1.1 200 OK",
        OK_,
        OK_ "A: b\r\n",
        "HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
        "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        OK_ "Content-Length: 2\r\n\r\n{",
        OK_ "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
        OK_ "Content-Length: 2, 2\r\n\r\n{}",
        OK_ "Content-Length: +2\r\n\r\n{}",
        OK_ "Content-Length: -2\r\n\r\n{}",
        OK_ "Content-Length: 0x2\r\n\r\n{}",
        OK_ "Content-Length:\r\n\r\n",
        OK_ "Content-Length : 2\r\n\r\n{}",
        OK_ "Content-Length: 99999999999999999999\r\n\r\n{}",
        OK_ "Content-Length: 101\r\n\r\n{}",
        OK_ "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        OK_ "Transfer-Encoding: gzip\r\n\r\n{}",
        OK_ "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        OK_ "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
        OK_ "Transfer-Encoding: chunked\r\n\r\n2\r\n{}0\r\n\r\n",
        OK_ "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        OK_ "Transfer-Encoding: chunked\r\n\r\n65\r\n",
        OK_ "A: b\r\n c\r\nContent-Length: 0\r\n\r\n",
        OK_ "A: b\nContent-Length: 0\r\n\r\n",
        OK_ "A: b\rc\r\nContent-Length: 0\r\n\r\n",
        OK_ "A\r\nContent-Length: 0\r\n\r\n",
        OK_ ": b\r\nContent-Length: 0\r\n\r\n",
    };
    struct answer *answer = malloc(sizeof *answer);
    assert_non_null(answer);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str text = str_of(rows[i]);
        if (strstr(rows[i], "\r\n65\r\n"))
            text = arena_printf(&arena, "%s%0101d\r\n0\r\n\r\n", rows[i], 0); /* a byte more than is allowed */
        for (size_t step = 1; step < 80; step++)
            assert_row(read(answer, text, step).code != ERR_OK, rows[i]);
    }
    free(answer);
    (void)state;
}

static struct str repeated(const char *begin, const char *what, size_t times, const char *end)
{
    struct buf buf;
    buf_init(&buf, &arena, 1024, 1024 * 1024);
    buf_add(&buf, str_of(begin));
    for (size_t i = 0; i < times; i++)
        buf_add(&buf, str_of(what));
    buf_add(&buf, str_of(end));
    assert_false(buf.overflowed);
    return buf_str(&buf);
}

static void everything_has_a_limit(void **state)
{
    static const char end[] = OK_ "Content-Length: 0\r\n\r\n";
    const struct {
        struct str text;
        bool good;
    } rows[] = {
        { repeated(OK_, "A: b\r\n", 63, "Content-Length: 0\r\n\r\n"), true },
        { repeated(OK_, "A: b\r\n", 64, "Content-Length: 0\r\n\r\n"), false },
        { repeated(OK_ "A: ", "b", 16000, "\r\nContent-Length: 0\r\n\r\n"), true },
        { repeated(OK_ "A: ", "b", 17000, "\r\nContent-Length: 0\r\n\r\n"), false },
        { repeated("", "HTTP/1.1 100 Continue\r\n\r\n", 8, end), true },
        { repeated("", "HTTP/1.1 100 Continue\r\n\r\n", 9, end), false },
        { repeated(OK_ "\r\n", "b", 100, ""), true },
        { repeated(OK_ "\r\n", "b", 101, ""), false },
        { repeated(OK_ "Transfer-Encoding: chunked\r\n\r\n", "1\r\nb\r\n", 100, "0\r\n\r\n"), true },
        { repeated(OK_ "Transfer-Encoding: chunked\r\n\r\n", "1\r\nb\r\n", 101, "0\r\n\r\n"), false },
    };
    struct answer *answer = malloc(sizeof *answer);
    assert_non_null(answer);
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(read(answer, rows[i].text, SIZE_MAX).code == ERR_OK, rows[i].good);
        assert_int_equal(read(answer, rows[i].text, 7).code == ERR_OK, rows[i].good);
    }
    free(answer);
    (void)state;
}

static void what_is_behind_an_answer_ends_the_connection(void **state)
{
    struct answer *answer = malloc(sizeof *answer);
    assert_non_null(answer);
    assert_ok(read(answer, STR(OK_ "Content-Length: 2\r\n\r\n{}HTTP/1.1 "), SIZE_MAX));
    assert_str(buf_str(&answer->body), "{}");
    assert_false(answer->keeps_connection);
    free(answer);
    (void)state;
}

static void nothing_of_an_answer_is_left_after_a_wipe(void **state)
{
    static const char nothing[ANSWER_ROOM] = { 0 };
    struct answer *answer = malloc(sizeof *answer);
    assert_non_null(answer);
    assert_ok(read(answer, STR(OK_ "Content-Length: 6\r\n\r\nsecret"), SIZE_MAX));
    answer_begin(answer, &arena, BODY_MAX); /* another one, shorter, changes nothing of it */
    answer_wipe(answer);
    assert_memory_equal(answer->in, nothing, sizeof nothing);
    free(answer);
    (void)state;
}

RUN(TEST(where_an_answer_ends_is_known), TEST(what_is_uncertain_is_refused), TEST(everything_has_a_limit),
    TEST(what_is_behind_an_answer_ends_the_connection), TEST(nothing_of_an_answer_is_left_after_a_wipe))
