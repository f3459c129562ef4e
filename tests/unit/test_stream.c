/* test_stream.c: a peer that is never silent keeps nobody longer than its time. */
#include "redis/stream.h"
#include "base/clock.h"
#include "unit.h"
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

static int listener;
static uint16_t port;

static int listen_here(void **state)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    (void)state;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, len) != 0 || listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0)
        return -1;
    port = ntohs(address.sin_port);
    return 0;
}

static int stop_listening(void **state)
{
    (void)state;
    return close(listener);
}

static int64_t in_a_while(void)
{
    return clock_ms() + 60000;
}

static void what_is_there_is_not_read_when_the_time_is_over(void **state)
{
    struct stream *stream;
    char room[16];
    size_t got;
    (void)state;
    assert_ok(stream_open("127.0.0.1", port, NULL, in_a_while(), &stream));
    int peer = accept(listener, NULL, NULL);
    assert_int_equal(write(peer, "abcdef", 6), 6);
    assert_ok(stream_receive(stream, room, 1, in_a_while(), &got)); /* so the others are there as well */
    assert_code(stream_receive(stream, room, 1, clock_ms(), &got), ERR_UNAVAILABLE, "too late");
    assert_ok(stream_receive(stream, room, sizeof room, in_a_while(), &got));
    assert_int_equal(got, 5);
    close(peer);
    stream_close(stream);
}

/* "localhost" may be an address where nobody listens, before the one where somebody does. */
static void of_several_addresses_one_that_answers_is_found(void **state)
{
    struct stream *stream;
    (void)state;
    assert_ok(stream_open("localhost", port, NULL, in_a_while(), &stream));
    stream_close(stream);
    assert_code(stream_open("127.0.0.1", port, NULL, clock_ms() - 1, &stream), ERR_UNAVAILABLE, "no time");
}

RUN_WITH(listen_here, stop_listening, TEST(what_is_there_is_not_read_when_the_time_is_over),
         TEST(of_several_addresses_one_that_answers_is_found))
