/* test_plain.c: requests over one kept connection, against a real server on the loopback whose answers are written
 * here. */
#include "net/plain.h"
#include "base/clock.h"
#include "http_server.h"
#include <sys/eventfd.h>

static int stop_fd;
static char authority[64];

static struct plain *plain_to(const struct http_server *server)
{
    stop_fd = eventfd(0, EFD_CLOEXEC);
    snprintf(authority, sizeof authority, "127.0.0.1:%d", server->port);
    return plain_new(authority, stop_fd);
}

static void done(struct plain *plain, struct http_server *server)
{
    plain_free(plain);
    http_stop(server);
    close(stop_fd);
}

static struct err get(struct plain *plain, const char *target, struct plain_answer *out)
{
    const struct plain_request request = { .method = STR("GET"), .target = str_of(target), .answer_max = 1000 };
    return plain_send(plain, &arena, &request, out);
}

/* By the target, on the server's thread. */
static void say_as_asked(struct http_server *server, struct str request, FILE *out)
{
    static const struct {
        const char *target, *answer;
    } rows[] = {
        { "/length", "HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nab" },
        { "/empty", "HTTP/1.1 202 \r\nContent-Length: 0\r\n\r\n" },
        { "/no-phrase", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx" },
        { "/chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n" },
        { "/none", "HTTP/1.1 204 No Content\r\n\r\n" },
        { "/1000", NULL },
        { "/1001", NULL },
        { "/close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx" },
        { "/http-1.0", "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx" },
        { "/status", "HTTP/1.1 2x0 OK\r\nContent-Length: 1\r\n\r\nx" },
        { "/continue", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx" },
        { "/more", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy" },
        { "/no-length", "HTTP/1.1 200 OK\r\n\r\nx" },
        { "/both", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
        { "/two", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy" },
        { "/coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx" },
        { "/chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n" },
        { "/silence", "" },
    };
    (void)server;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char line[64];
        snprintf(line, sizeof line, "GET %s HTTP/1.1\r\n", rows[i].target);
        if (http_has(request, line) && rows[i].answer)
            fputs(rows[i].answer, out);
        else if (http_has(request, line))
            fprintf(out, "HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n%0*d", rows[i].target + 1,
                    (int)strtol(rows[i].target + 1, NULL, 10), 0);
    }
}

static void answers_are_read_as_the_standard_has_them(void **state)
{
    static const struct {
        const char *target;
        int status;
        const char *body;
    } rows[] = { { "/length", 200, "ab" },   { "/empty", 202, "" }, { "/no-phrase", 200, "x" },
                 { "/chunks", 200, "abcd" }, { "/none", 204, "" },  { "/length", 200, "ab" } };
    struct http_server *server = http_start(say_as_asked);
    struct plain *plain = plain_to(server);
    struct plain_answer answer;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_code(get(plain, rows[i].target, &answer), ERR_OK, rows[i].target);
        assert_row(answer.status == rows[i].status && str_eq(answer.body, str_of(rows[i].body)), rows[i].target);
    }
    assert_str(headers_value(answer.headers, &arena, STR("x-a")), "1");
    assert_int_equal(atomic_load(&server->connections), 1); /* one for all */
    done(plain, server);
}

static void an_answer_has_a_size_that_it_may_have(void **state)
{
    struct http_server *server = http_start(say_as_asked);
    struct plain *plain = plain_to(server);
    struct plain_answer answer;
    (void)state;
    assert_ok(get(plain, "/1000", &answer));
    assert_int_equal(answer.body.len, 1000);
    assert_code(get(plain, "/1001", &answer), ERR_TOO_LARGE, "a byte more");
    assert_int_equal(answer.status, 200);
    assert_str(headers_value(answer.headers, &arena, STR("Content-Length")), "1001");
    assert_ok(get(plain, "/length", &answer)); /* anew */
    assert_int_equal(atomic_load(&server->connections), 2);
    done(plain, server);
}

static void nonsense_is_an_error_and_the_next_call_connects_anew(void **state)
{
    static const char *const rows[] = { "/http-1.0", "/status", "/continue", "/more", "/no-length",
                                        "/both",     "/two",    "/coding",   "/chunk" };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct http_server *server = http_start(say_as_asked);
        struct plain *plain = plain_to(server);
        struct plain_answer answer;
        assert_code(get(plain, rows[i], &answer), ERR_INVALID_REQUEST, rows[i]);
        assert_code(get(plain, "/length", &answer), ERR_OK, rows[i]);
        assert_int_equal(atomic_load(&server->connections), 2);
        done(plain, server);
    }
}

static void a_kept_connection_that_was_closed_is_replaced_once(void **state)
{
    struct http_server *server = http_start(say_as_asked);
    struct plain *plain = plain_to(server);
    struct plain_answer answer;
    (void)state;
    assert_ok(get(plain, "/length", &answer));
    shutdown(server->sockets[0], SHUT_RDWR);
    assert_ok(get(plain, "/length", &answer));
    assert_int_equal(atomic_load(&server->connections), 2);
    assert_ok(get(plain, "/close", &answer));
    assert_ok(get(plain, "/length", &answer));
    assert_int_equal(atomic_load(&server->connections), 3);
    assert_code(get(plain, "/silence", &answer), ERR_UNAVAILABLE, "twice closed without an answer");
    assert_int_equal(atomic_load(&server->connections), 4);
    assert_code(get(plain, "/silence", &answer), ERR_UNAVAILABLE, "a new one that is closed is not replaced");
    assert_int_equal(atomic_load(&server->connections), 5);
    done(plain, server);
}

static void say_late(struct http_server *server, struct str request, FILE *out)
{
    (void)server;
    (void)request;
    clock_sleep_ms(300);
    http_write(out, 200, "", "x");
}

static void *stop_soon(void *arg)
{
    const uint64_t one = 1;
    clock_sleep_ms(50);
    if (write(stop_fd, &one, sizeof one) != sizeof one)
        abort();
    return arg;
}

static void a_call_that_waits_ends_when_it_is_no_longer_wanted(void **state)
{
    struct http_server *server = http_start(say_late);
    struct plain *plain = plain_to(server);
    struct plain_answer answer;
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, NULL), 0);
    assert_code(get(plain, "/", &answer), ERR_UNAVAILABLE, "stopped");
    pthread_join(thread, NULL);
    const struct plain_request limited = {
        .method = STR("GET"), .target = STR("/"), .answer_max = 9, .timeout_ms = 20000
    };
    assert_ok(plain_send(plain, &arena, &limited, &answer)); /* what has a limit is still said */
    const struct plain_request short_one = {
        .method = STR("GET"), .target = STR("/"), .answer_max = 9, .timeout_ms = 20
    };
    assert_code(plain_send(plain, &arena, &short_one, &answer), ERR_UNAVAILABLE, "in time");
    done(plain, server);
}

static void nobody_there_is_an_error(void **state)
{
    static const char *const rows[] = { "127.0.0.1:1", "127.0.0.1", "", ":80", "[::1]", "[::1", "nowhere.invalid:80" };
    struct plain_answer answer;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct plain *plain = plain_new(rows[i], -1);
        assert_code(get(plain, "/", &answer), ERR_UNAVAILABLE, rows[i]);
        plain_free(plain);
    }
}

RUN(TEST(answers_are_read_as_the_standard_has_them), TEST(an_answer_has_a_size_that_it_may_have),
    TEST(nonsense_is_an_error_and_the_next_call_connects_anew),
    TEST(a_kept_connection_that_was_closed_is_replaced_once), TEST(a_call_that_waits_ends_when_it_is_no_longer_wanted),
    TEST(nobody_there_is_an_error))
