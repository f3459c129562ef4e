/* test_net_client.c: outgoing HTTP against a real server on the loopback. */
#include "net/client.h"
#include "http_server.h"
#include "observe/log.h"
#include <dlfcn.h>
#include <netdb.h>
#include <time.h>

static struct net_client *client;

static void sleep_ms(long ms)
{
    const struct timespec pause = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&pause, NULL);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* In libc's place for all of the process: one name hangs, as it does when no name server answers. */
__attribute__((visibility("default"))) int getaddrinfo(const char *name, const char *service,
                                                       const struct addrinfo *hints, struct addrinfo **found)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    void *at = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &at, sizeof at);
    if (name && strcmp(name, "hangs.invalid") == 0)
        sleep_ms(2000);
    return real(name, service, hints, found);
}

static struct err get(const struct http_server *server, const char *path, struct net_answer *out)
{
    const struct net_request request = { .method = "GET",
                                         .url = arena_printf(&arena, "%s%s", server->url, path).at,
                                         .timeout_ms = 5000,
                                         .answer_max = 1000 };
    return net_send(client, &arena, &request, out);
}

/* Bytes, each a segment of its own. */
static void drip(const struct http_server *server, const char *text, int64_t pause_ms)
{
    const struct timespec pause = { 0, (long)(pause_ms * 1000000) };
    for (; *text; text++) {
        if (send(server->sockets[atomic_load(&server->connections) - 1], text, 1, MSG_NOSIGNAL) != 1)
            return;
        nanosleep(&pause, NULL);
    }
}

/* The server reads no further, and so ends the connection after this answer. */
static void end_after(const struct http_server *server)
{
    shutdown(server->sockets[atomic_load(&server->connections) - 1], SHUT_RD);
}

/* Forms of an answer that are rare and right. True when it was asked for one. */
static bool answer_rarely(const struct http_server *server, struct str request, FILE *out)
{
    static const char slowly[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r";
    if (http_has(request, "GET /drip ")) {
        drip(server, slowly, 1);
        fputs("\n", out);
    } else if (http_has(request, "GET /drip-for-ever ")) {
        drip(server, slowly, 20); /* 1.3 s */
    } else if (http_has(request, "GET /few-chunks ")) {
        fputs("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n", out);
    } else if (http_has(request, "GET /to-end ")) {
        fputs("HTTP/1.1 200 OK\r\n\r\nhello", out);
        end_after(server);
    } else if (http_has(request, "GET /interim ")) {
        fputs("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n", out);
        http_write(out, 200, "", "hello");
    } else if (http_has(request, "GET /close ")) {
        http_write(out, 200, "Connection: close\r\n", "hello");
    } else if (http_has(request, "GET /more ")) {
        http_write(out, 200, "", "hello");
        fputs("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", out);
    } else if (http_has(request, "GET /ended ")) {
        http_write(out, 200, "", "hello");
        end_after(server);
    } else {
        return false;
    }
    return true;
}

static void answer_by_path(struct http_server *server, struct str request, FILE *out)
{
    if (answer_rarely(server, request, out))
        return;
    if (http_has(request, "GET /plain "))
        http_write(out, 200, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: 17\r\nX-Amzn-RequestID:  abc \r\n",
                   "hello");
    else if (http_has(request, "GET /moved "))
        http_write(out, 302, "Location: /plain\r\n", "");
    else if (http_has(request, "GET /busy "))
        http_write(out, 503, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nRetry-After: tomorrow\r\n", "");
    else if (http_has(request, "GET /1000 "))
        fprintf(out, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n%1000d", 1);
    else if (http_has(request, "GET /1001 "))
        fprintf(out, "HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n%1001d", 1);
    else if (http_has(request, "GET /chunks "))
        fprintf(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n%1001d\r\n0\r\n\r\n", 1);
    else if (http_has(request, "GET /half "))
        fputs("HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nhalf", out);
    else if (http_has(request, "GET /wide "))
        fprintf(out, "HTTP/1.1 200 OK\r\nA: %20000d\r\nContent-Length: 0\r\n\r\n", 1);
    else if (http_has(request, "GET /garbage "))
        fputs("SSH-2.0-OpenSSH\r\n\r\n", out);
    else if (http_has(request, "CONNECT kms.invalid:80 "))
        fputs("HTTP/1.1 200 Connected\r\n\r\n", out);
    else if (!http_has(request, "GET /nothing ") && !http_has(request, "GET /slow "))
        http_write(out, 200, "", "other");
    if (http_has(request, "GET /slow ")) {
        const struct timespec pause = { 1, 0 };
        nanosleep(&pause, NULL);
        http_write(out, 200, "", "late");
    }
    if (http_has(request, "GET /half "))
        end_after(server);
}

static void an_answer_comes_with_what_its_headers_say(void **state)
{
    struct http_server *server = http_start(answer_by_path);
    struct net_answer answer;
    assert_ok(get(server, "/plain", &answer));
    assert_int_equal(answer.status, 200);
    assert_str(answer.body, "hello");
    assert_int_equal(answer.retry_after_s, 17);
    assert_str(answer.request_id, "abc");
    assert_ok(get(server, "/busy", &answer));
    assert_int_equal(answer.status, 503);
    assert_int_equal(answer.date_s, 784111777);
    assert_int_equal(answer.retry_after_s, 0);
    assert_int_equal(answer.request_id.len, 0); /* nothing is left of the answer before */
    http_stop(server);
    (void)state;
}

static void a_redirect_is_an_answer_and_not_followed(void **state)
{
    struct http_server *server = http_start(answer_by_path);
    struct net_answer answer;
    assert_ok(get(server, "/moved", &answer));
    assert_int_equal(answer.status, 302);
    assert_int_equal(atomic_load(&server->requests), 1);
    http_stop(server);
    (void)state;
}

static void a_connection_is_used_again(void **state)
{
    struct http_server *server = http_start(answer_by_path);
    struct net_answer answer;
    for (int i = 0; i < 20; i++)
        assert_ok(get(server, "/plain", &answer));
    assert_int_equal(atomic_load(&server->connections), 1);
    assert_int_equal(atomic_load(&server->requests), 20);
    http_stop(server);
    (void)state;
}

static void a_connection_that_held_a_secret_is_not(void **state)
{
    struct http_server *server = http_start(answer_by_path);
    struct net_answer answer;
    const struct net_request request = { .method = "GET",
                                         .url = arena_printf(&arena, "%s/plain", server->url).at,
                                         .timeout_ms = 5000,
                                         .answer_max = 1000,
                                         .is_secret = true };
    for (int i = 0; i < 3; i++)
        assert_ok(net_send(client, &arena, &request, &answer));
    assert_int_equal(atomic_load(&server->connections), 3);
    http_stop(server);
    (void)state;
}

static void an_answer_may_come_in_any_form_that_the_standard_has(void **state)
{
    static const char *const paths[] = { "/drip", "/few-chunks", "/to-end", "/interim", "/close", "/ended" };
    struct http_server *server = http_start(answer_by_path);
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct net_answer answer;
        assert_row(!get(server, paths[i], &answer).code, paths[i]);
        assert_row(answer.status == 200 && str_eq(answer.body, STR("hello")), paths[i]);
    }
    /* /to-end and /close ended their connections; that /ended did so is noticed only by the next request. */
    assert_int_equal(atomic_load(&server->connections), 3);
    struct net_answer answer;
    const struct timespec pause = { 0, 300000000 }; /* until the server has seen its own end */
    nanosleep(&pause, NULL);
    assert_ok(get(server, "/plain", &answer));
    assert_int_equal(atomic_load(&server->connections), 4);
    assert_int_equal(atomic_load(&server->requests), (int)COUNT(paths) + 1);
    http_stop(server);
    (void)state;
}

static void what_comes_behind_an_answer_is_never_taken_for_the_next_one(void **state)
{
    struct http_server *server = http_start(answer_by_path);
    struct net_answer answer;
    assert_ok(get(server, "/more", &answer));
    assert_ok(get(server, "/plain", &answer));
    assert_str(answer.body, "hello");
    assert_int_equal(atomic_load(&server->connections), 2);
    http_stop(server);
    (void)state;
}

/* Leaves the second request that it gets without an answer. */
static void answer_but_the_second(struct http_server *server, struct str request, FILE *out)
{
    (void)request;
    if (atomic_load(&server->requests) != 2)
        http_write(out, 200, "", "hello");
}

static void a_connection_that_ends_before_an_answer_is_replaced_once(void **state)
{
    struct http_server *server = http_start(answer_but_the_second);
    struct net_answer answer;
    assert_ok(get(server, "/", &answer));
    assert_ok(get(server, "/", &answer)); /* asked twice */
    assert_int_equal(atomic_load(&server->requests), 3);
    assert_int_equal(atomic_load(&server->connections), 2);
    http_stop(server);
    (void)state;
}

static void what_an_idle_connection_says_is_no_answer(void **state)
{
    static const char late[] = "HTTP/1.1 408 Request Timeout\r\nContent-Length: 4\r\n\r\nevil";
    struct http_server *server = http_start(answer_by_path);
    struct net_answer answer;
    assert_ok(get(server, "/plain", &answer));
    assert_int_equal(send(server->sockets[0], late, sizeof late - 1, MSG_NOSIGNAL), sizeof late - 1);
    sleep_ms(20);
    assert_ok(get(server, "/plain", &answer));
    assert_str(answer.body, "hello");
    assert_int_equal(atomic_load(&server->connections), 2);
    http_stop(server);
    (void)state;
}

static const char *answer_text;

static void answer_the_text(struct http_server *server, struct str request, FILE *out)
{
    (void)request;
    fputs(answer_text, out);
    end_after(server);
}

static struct err get_text(const char *text, struct net_answer *out)
{
    answer_text = text;
    struct http_server *server = http_start(answer_the_text);
    struct err err = get(server, "/", out);
    http_stop(server);
    return err;
}

static const char *times(const char *line, int count)
{
    struct buf text;
    buf_init(&text, &arena, 100, 100000);
    for (int i = 0; i < count; i++)
        buf_add(&text, str_of(line));
    buf_add_char(&text, '\0');
    return text.at;
}

#define HELLO "Content-Length: 5\r\n\r\nhello"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"
#define LONG_60 "A: 345678901234567890123456789012345678901234567890123456789\r\n"

static void an_answer_has_bounds(void **state)
{
    const struct {
        const char *text, *fails;
    } rows[] = {
        { arena_printf(&arena, "HTTP/1.1 200 OK\r\n%s" HELLO, times("A: b\r\n", 63)).at, NULL },
        { arena_printf(&arena, "HTTP/1.1 200 OK\r\n%s" HELLO, times("A: b\r\n", 64)).at, "headers are too long" },
        { arena_printf(&arena, "HTTP/1.1 200 OK\r\nB: %s\r\n" HELLO, times("b", 16200)).at, NULL },
        { arena_printf(&arena, "HTTP/1.1 200 OK\r\nB: %s\r\n" HELLO, times("b", 16400)).at, "headers are too long" },
        { arena_printf(&arena, "HTTP/1.1 200 OK\r\nB: %s\r\n%s" HELLO, times("b", 13000), times(LONG_60, 60)).at,
          "headers are too long" },
        { arena_printf(&arena, "%sHTTP/1.1 200 OK\r\n" HELLO, times("HTTP/1.1 103 Hints\r\nA: b\r\n\r\n", 8)).at,
          NULL },
        { arena_printf(&arena, "%sHTTP/1.1 200 OK\r\n" HELLO, times("HTTP/1.1 103 Hints\r\nA: b\r\n\r\n", 9)).at,
          "too many interim responses" },
        { arena_printf(&arena, CHUNKED "%s\r\n", times("A: b\r\n", 60)).at, NULL },
        { arena_printf(&arena, CHUNKED "%s\r\n", times("A: b\r\n", 70)).at, "headers are too long" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct net_answer answer;
        struct err err = get_text(rows[i].text, &answer);
        assert_row(rows[i].fails ? err.code == ERR_UNAVAILABLE && strstr(err.why, rows[i].fails)
                                 : !err.code && str_eq(answer.body, STR("hello")),
                   err.code ? err.why : rows[i].text);
    }
    (void)state;
}

static void what_no_answer_looks_like_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        { "HTTP/1.1 200 OK\r\nA : b\r\n" HELLO, "malformed" },
        { "HTTP/1.1 200 OK\r\nA: b\n" HELLO, "malformed" },
        { "HTTP/1.1 200 OK\r\nno header\r\n" HELLO, "malformed" },
        { "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello", "malformed" },
        { "HTTP/1.1 2 OK\r\n" HELLO, "malformed" },
        { "HTTP/2 200 OK\r\n" HELLO, "malformed" },
        { "ICY 200 OK\r\n" HELLO, "malformed" },
        { "<html>", "malformed" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n", "malformed" },
        { "HTTP/1.1 101 Other\r\nUpgrade: a\r\nConnection: Upgrade\r\n\r\n", "changes the protocol" },
        { "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "a content coding that was not asked for" },
        { "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello", "ended before the response" },
        { CHUNKED, "ended before the response" },
        { "HTTP/1.1 200 OK\r\nA: b", "ended before the response" },
        { "", "ended before the response" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct net_answer answer;
        struct err err = get_text(rows[i].text, &answer);
        assert_row(err.code == ERR_UNAVAILABLE, rows[i].text);
        assert_row(strstr(err.why, rows[i].why), err.why);
    }
    (void)state;
}

static void a_body_and_its_trailers_are_left_as_they_are(void **state)
{
    struct net_answer answer;
    assert_ok(get_text("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n" HELLO, &answer));
    assert_str(answer.body, "hello");
    assert_ok(get_text(CHUNKED "Retry-After: 7\r\nx-amzn-RequestId: a\r\n\r\n", &answer));
    assert_str(answer.body, "hello");
    assert_int_equal(answer.retry_after_s, 0);
    assert_int_equal(answer.request_id.len, 0);
    assert_ok(get_text("HTTP/1.1 103 Hints\r\nRetry-After: 7\r\n\r\nHTTP/1.0 204 None\r\n\r\n", &answer));
    assert_int_equal(answer.status, 204);
    assert_int_equal(answer.retry_after_s, 0);
    assert_int_equal(answer.body.len, 0);
    (void)state;
}

static void what_may_be_done_only_once_is_sent_once_on_a_connection_of_its_own(void **state)
{
    struct http_server *server = http_start(answer_but_the_second);
    struct net_answer answer;
    const struct net_request request = {
        .method = "POST", .url = server->url, .timeout_ms = 5000, .answer_max = 1000, .is_unique = true
    };
    assert_ok(get(server, "/", &answer));
    assert_code(net_send(client, &arena, &request, &answer), ERR_UNAVAILABLE, "the second");
    assert_int_equal(atomic_load(&server->requests), 2);
    assert_int_equal(atomic_load(&server->connections), 2);
    http_stop(server);
    (void)state;
}

static void a_proxy_of_the_environment_is_asked_for_a_tunnel(void **state)
{
    struct http_server *server = http_start(answer_by_path);
    struct net_answer answer;
    struct net_request request = {
        .method = "GET", .url = "http://kms.invalid/plain", .timeout_ms = 5000, .answer_max = 1000
    };
    setenv("http_proxy", server->url, 1);
    struct err err = net_send(client, &arena, &request, &answer);
    unsetenv("http_proxy");
    assert_ok(err);
    assert_str(answer.body, "hello");
    assert_true(str_has_prefix(str_of(server->last), STR("GET /plain HTTP/1.1\r\nHost: kms.invalid\r\n")));
    assert_int_equal(atomic_load(&server->connections), 1);
    assert_int_equal(atomic_load(&server->requests), 2); /* CONNECT was the first */
    request.is_direct = true;
    assert_code(net_send(client, &arena, &request, &answer), ERR_UNAVAILABLE, "direct: there is no such name");
    http_stop(server);
    (void)state;
}

static char asked_proxy[2000];

static void refuse_a_tunnel(struct http_server *server, struct str request, FILE *out)
{
    (void)server;
    snprintf(asked_proxy, sizeof asked_proxy, "%.*s", (int)request.len, request.at);
    http_write(out, 407, "", "");
}

static void a_proxy_that_refuses_is_named_and_sees_nothing_of_the_request(void **state)
{
    struct http_server *server = http_start(refuse_a_tunnel);
    struct net_answer answer;
    const struct net_header header = { "Authorization", "secret" };
    const struct net_request request = { .method = "POST",
                                         .url = "http://kms.invalid/plain",
                                         .headers = &header,
                                         .header_count = 1,
                                         .body = STR("secret"),
                                         .timeout_ms = 5000,
                                         .answer_max = 1000 };
    setenv("http_proxy", server->url, 1);
    struct err err = net_send(client, &arena, &request, &answer);
    unsetenv("http_proxy");
    assert_code(err, ERR_UNAVAILABLE, "407");
    assert_non_null(strstr(err.why, "the proxy before it (HTTPS_PROXY, HTTP_PROXY) refuses"));
    assert_non_null(strstr(asked_proxy, "CONNECT kms.invalid:80 "));
    assert_null(strstr(asked_proxy, "secret"));
    http_stop(server);
    (void)state;
}

static void what_is_no_whole_answer_in_time_is_unavailable(void **state)
{
    static const char *const paths[] = { "/1001", "/chunks", "/half", "/garbage", "/wide", "/nothing" };
    for (size_t i = 0; i < COUNT(paths); i++) {
        struct http_server *server = http_start(answer_by_path);
        struct net_answer answer = { .status = 7 };
        assert_code(get(server, paths[i], &answer), ERR_UNAVAILABLE, paths[i]);
        assert_int_equal(answer.status, 7);
        assert_ok(get(server, "/1000", &answer)); /* and the next one is well again */
        assert_int_equal(answer.body.len, 1000);
        http_stop(server);
    }
    (void)state;
}

static void the_time_limit_is_kept(void **state)
{
    struct http_server *server = http_start(answer_by_path);
    struct net_answer answer;
    struct net_request request = {
        .method = "GET", .url = arena_printf(&arena, "%s/slow", server->url).at, .timeout_ms = 100, .answer_max = 1000
    };
    int64_t before_ms = now_ms();
    assert_code(net_send(client, &arena, &request, &answer), ERR_UNAVAILABLE, "slow");
    assert_true(now_ms() - before_ms < 900);
    request.url = arena_printf(&arena, "%s/drip-for-ever", server->url).at;
    before_ms = now_ms();
    assert_code(net_send(client, &arena, &request, &answer), ERR_UNAVAILABLE, "drip");
    assert_true(now_ms() - before_ms < 900);
    request.timeout_ms = 0;
    assert_code(net_send(client, &arena, &request, &answer), ERR_UNAVAILABLE, "no time");
    assert_int_equal(atomic_load(&server->requests), 2);
    http_stop(server);
    (void)state;
}

static void a_name_whose_look_up_hangs_holds_nobody_beyond_the_time_limit(void **state)
{
    struct net_answer answer;
    const struct net_request request = {
        .method = "GET", .url = "http://hangs.invalid/", .timeout_ms = 100, .answer_max = 1000
    };
    const int64_t before_ms = now_ms();
    struct err err = net_send(client, &arena, &request, &answer);
    assert_true(now_ms() - before_ms < 1500);
    assert_code(err, ERR_UNAVAILABLE, "hangs");
    assert_non_null(strstr(err.why, "http://hangs.invalid: no complete response came in time"));
    (void)state;
}

/* They are signed. */
static void a_path_and_a_query_arrive_as_given(void **state)
{
    static const struct {
        const char *sent, *comes;
    } rows[] = { { "", "GET / HTTP/1.1\r\n" },
                 { "?a=b", "GET /?a=b HTTP/1.1\r\n" },
                 { "/a/../b/./c//d", "GET /a/../b/./c//d HTTP/1.1\r\n" },
                 { "/%2f%2F%41?%7e+{}|", "GET /%2f%2F%41?%7e+{}| HTTP/1.1\r\n" },
                 { "/a#b", "GET /a HTTP/1.1\r\n" } };
    struct http_server *server = http_start(answer_by_path);
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct net_answer answer;
        assert_ok(get(server, rows[i].sent, &answer));
        assert_row(str_has_prefix(str_of(server->last), str_of(rows[i].comes)), server->last);
        assert_row(http_has(str_of(server->last), strchr(server->url, '1')), server->last); /* Host, with its port */
    }
    http_stop(server);
    (void)state;
}

static void methods_headers_and_bodies_arrive_as_given(void **state)
{
    static const struct {
        const char *method, *body, *begins;
    } rows[] = {
        { "POST", "{}", "POST /x HTTP/1.1\r\n" },    { "PUT", "", "PUT /x HTTP/1.1\r\n" },
        { "POST", "", "POST /x HTTP/1.1\r\n" },      { "GET", "", "GET /x HTTP/1.1\r\n" },
        { "PUT", "content", "PUT /x HTTP/1.1\r\n" },
    };
    struct http_server *server = http_start(answer_by_path);
    const struct net_header headers[] = { { "X-One", "1" }, { "Host", "kms.example" } };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct net_answer answer;
        const struct net_request request = { .method = rows[i].method,
                                             .url = arena_printf(&arena, "%s/x", server->url).at,
                                             .headers = headers,
                                             .header_count = 2,
                                             .body = str_of(rows[i].body),
                                             .timeout_ms = 5000,
                                             .answer_max = 1000 };
        assert_ok(net_send(client, &arena, &request, &answer));
        struct str sent = str_of(server->last);
        assert_row(str_has_prefix(sent, str_of(rows[i].begins)), server->last);
        assert_row(http_has(sent, "\r\nX-One: 1\r\n") && http_has(sent, "\r\nHost: kms.example\r\n"), server->last);
        assert_row(!http_has(sent, "Expect") && !http_has(sent, "Accept") && !http_has(sent, "Cookie"), server->last);
        assert_row(!http_has(sent, "Content-Type"), server->last);
        const bool has_length = http_has(sent,
                                         arena_printf(&arena, "\r\nContent-Length: %zu\r\n", strlen(rows[i].body)).at);
        assert_row(has_length == (strcmp(rows[i].method, "GET") != 0), server->last);
        assert_row(http_has(sent, arena_printf(&arena, "\r\n\r\n%s", rows[i].body).at), server->last);
    }
    assert_int_equal(atomic_load(&server->connections), 1);
    http_stop(server);
    (void)state;
}

static void no_header_can_begin_another(void **state)
{
    static const char *const values[] = { "a\r\nX-Two: 2", "a\nX-Two: 2", "a\r", "" };
    struct http_server *server = http_start(answer_by_path);
    for (size_t i = 0; i < COUNT(values); i++) {
        struct net_answer answer;
        const struct net_header header = { "X-One", values[i] };
        const struct net_request request = { .method = "GET",
                                             .url = server->url,
                                             .headers = &header,
                                             .header_count = 1,
                                             .timeout_ms = 5000,
                                             .answer_max = 1000 };
        assert_code(net_send(client, &arena, &request, &answer), ERR_INTERNAL, values[i]);
    }
    assert_int_equal(atomic_load(&server->requests), 0);
    http_stop(server);
    (void)state;
}

static void only_http_and_https_are_spoken(void **state)
{
    static const char *const urls[] = { "file:///etc/passwd",
                                        "ftp://127.0.0.1/",
                                        "gopher://127.0.0.1/",
                                        "nonsense",
                                        "",
                                        "http://",
                                        "http:///path",
                                        "http://user:password@127.0.0.1/",
                                        "http://127.0.0.1/a b",
                                        "http://127.0.0.1/\r\nX: y" };
    for (size_t i = 0; i < COUNT(urls); i++) {
        struct net_answer answer;
        const struct net_request request = { .method = "GET", .url = urls[i], .timeout_ms = 500, .answer_max = 1000 };
        assert_code(net_send(client, &arena, &request, &answer), ERR_UNAVAILABLE, urls[i]);
    }
    (void)state;
}

static void *send_many(void *arg)
{
    struct arena own;
    size_t good = 0;
    const struct net_request request = { .method = "GET", .url = arg, .timeout_ms = 10000, .answer_max = 1000 };
    for (int i = 0; i < 50; i++) {
        struct net_answer answer;
        arena_init(&own, NULL, 0);
        good += !net_send(client, &own, &request, &answer).code && str_eq(answer.body, STR("hello"));
        arena_release(&own);
    }
    return (void *)good;
}

static void many_threads_send_at_once_over_as_many_connections(void **state)
{
    struct http_server *server = http_start(answer_by_path);
    char *url = (char *)arena_printf(&arena, "%s/plain", server->url).at;
    pthread_t threads[16];
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, url), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *good = NULL;
        pthread_join(threads[i], &good);
        assert_int_equal((size_t)good, 50);
    }
    assert_true(atomic_load(&server->connections) <= (int)COUNT(threads));
    assert_int_equal(atomic_load(&server->requests), 50 * (int)COUNT(threads));
    http_stop(server);
    (void)state;
}

static void a_bundle_that_holds_no_certificate_is_refused(void **state)
{
    struct net_client *other = NULL;
    assert_code(net_open("/nonexistent/ca.pem", &other), ERR_INVALID_REQUEST, "missing");
    assert_code(net_open("/etc/hostname", &other), ERR_INVALID_REQUEST, "no PEM");
    assert_null(other);
    (void)state;
}

static int open_client(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_JSON);
    unsetenv("http_proxy");
    return (int)net_open("", &client).code;
}

static int close_client(void **state)
{
    (void)state;
    net_close(client);
    return 0;
}

RUN_WITH(open_client, close_client, TEST(an_answer_comes_with_what_its_headers_say),
         TEST(a_redirect_is_an_answer_and_not_followed), TEST(a_connection_is_used_again),
         TEST(a_connection_that_held_a_secret_is_not), TEST(an_answer_may_come_in_any_form_that_the_standard_has),
         TEST(what_comes_behind_an_answer_is_never_taken_for_the_next_one),
         TEST(what_an_idle_connection_says_is_no_answer), TEST(an_answer_has_bounds),
         TEST(what_no_answer_looks_like_is_refused), TEST(a_body_and_its_trailers_are_left_as_they_are),
         TEST(a_connection_that_ends_before_an_answer_is_replaced_once),
         TEST(what_may_be_done_only_once_is_sent_once_on_a_connection_of_its_own),
         TEST(a_proxy_of_the_environment_is_asked_for_a_tunnel), TEST(what_is_no_whole_answer_in_time_is_unavailable),
         TEST(a_proxy_that_refuses_is_named_and_sees_nothing_of_the_request), TEST(the_time_limit_is_kept),
         TEST(a_name_whose_look_up_hangs_holds_nobody_beyond_the_time_limit), TEST(a_path_and_a_query_arrive_as_given),
         TEST(methods_headers_and_bodies_arrive_as_given), TEST(no_header_can_begin_another),
         TEST(only_http_and_https_are_spoken), TEST(many_threads_send_at_once_over_as_many_connections),
         TEST(a_bundle_that_holds_no_certificate_is_refused))
