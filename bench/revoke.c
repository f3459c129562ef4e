/* bench/revoke.c: how long after a revocation is sent to one instance another instance refuses the token.
 *
 *     bench_revoke PORT_A PORT_B AUTHORIZATION RATE <TOKENS >RESULT
 *
 * RATE tokens a second, one a line of standard input, each good at B before. For each, a thread sends the revocation to
 * A and, without waiting for its answer, asks B every POLL_US until B says that it is not active. One JSON object:
 * tokens, what they took from first to last, and the percentiles of that time. */
#include "base/clock.h"
#include "base/mem.h"
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { THREADS = 32, TOKENS_MAX = 100000, TEXT_MAX = 16 * 1024, POLL_US = 200, PATIENCE_S = 5 };

static struct {
    const char *authorization, *ports[2];
    double rate;
    char *tokens[TOKENS_MAX];
    int64_t took_ns[TOKENS_MAX];
    size_t count;
    atomic_size_t next;
    int64_t began_ns;
} bench;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "bench_revoke: %s\n", what);
    exit(1);
}

static int connect_to(const char *port)
{
    const int yes = 1;
    const struct sockaddr_in address = { .sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
                                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        give_up("no connection");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    return fd;
}

static void send_call(int fd, const char *path, const char *token)
{
    char text[TEXT_MAX];
    int len = snprintf(text, sizeof text,
                       "POST %s HTTP/1.1\r\nHost: bench\r\nAuthorization: %s\r\n"
                       "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\ntoken=%s",
                       path, bench.authorization, strlen(token) + 6, token);
    if (len <= 0 || len >= TEXT_MAX || send(fd, text, (size_t)len, MSG_NOSIGNAL) != len)
        give_up("a request could not be sent");
}

/* Whether all of an answer is there: its head, and as many bytes as that says. */
static bool is_whole(const char *text)
{
    const char *body = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "\r\nContent-Length: ");
    return body && length && length < body && strlen(body + 4) >= strtoul(length + 18, NULL, 10);
}

/* A 200, whole; anything else ends the measurement. */
static void receive(int fd, char text[TEXT_MAX])
{
    size_t len = 0;
    do {
        ssize_t got = recv(fd, text + len, TEXT_MAX - 1 - len, 0);
        if (got <= 0)
            give_up("an instance closed the connection");
        len += (size_t)got;
        text[len] = '\0';
    } while (!is_whole(text));
    if (strncmp(text, "HTTP/1.1 200 ", 13) != 0)
        give_up("an answer that is not 200");
}

static bool is_active(int fd, const char *token)
{
    char text[TEXT_MAX];
    send_call(fd, "/token/introspect", token);
    receive(fd, text);
    return !strstr(text, "{\"active\":false}");
}

static void pause_until(int64_t at_ns)
{
    const struct timespec at = { .tv_sec = at_ns / 1000000000, .tv_nsec = at_ns % 1000000000 };
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        continue;
}

static void revoke_one(const int fds[2], size_t i)
{
    char text[TEXT_MAX];
    if (!is_active(fds[1], bench.tokens[i]))
        give_up("a token that is refused before it is revoked");
    pause_until(bench.began_ns + (int64_t)((double)i * 1e9 / bench.rate));
    const int64_t sent_ns = clock_ns();
    send_call(fds[0], "/token/revoke", bench.tokens[i]);
    while (is_active(fds[1], bench.tokens[i])) {
        if (clock_ns() > sent_ns + PATIENCE_S * INT64_C(1000000000))
            give_up("a revoked token that is not refused");
        pause_until(clock_ns() + POLL_US * 1000);
    }
    bench.took_ns[i] = clock_ns() - sent_ns;
    receive(fds[0], text);
}

static void *run(void *nothing)
{
    const int fds[2] = { connect_to(bench.ports[0]), connect_to(bench.ports[1]) };
    for (size_t i; (i = atomic_fetch_add(&bench.next, 1)) < bench.count;)
        revoke_one(fds, i);
    close(fds[0]);
    close(fds[1]);
    return nothing;
}

static int compare(const void *a, const void *b)
{
    const int64_t *one = a, *other = b;
    return (*one > *other) - (*one < *other);
}

static void read_tokens(void)
{
    size_t room = 0;
    char *line = NULL;
    while (bench.count < TOKENS_MAX && getline(&line, &room, stdin) > 0) {
        line[strcspn(line, "\n")] = '\0';
        bench.tokens[bench.count++] = line;
        line = NULL;
    }
    free(line);
    if (bench.count == 0)
        give_up("no tokens");
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS];
    if (argc != 5) {
        fprintf(stderr, "usage: bench_revoke PORT_A PORT_B AUTHORIZATION RATE <TOKENS\n");
        return 2;
    }
    bench.ports[0] = argv[1];
    bench.ports[1] = argv[2];
    bench.authorization = argv[3];
    bench.rate = strtod(argv[4], NULL);
    read_tokens();
    bench.began_ns = clock_ns() + 200000000;
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, run, NULL) != 0)
            give_up("no thread");
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    const int64_t duration_ns = clock_ns() - bench.began_ns;
    qsort(bench.took_ns, bench.count, sizeof *bench.took_ns, compare);
    printf("{\"tokens\": %zu, \"duration_us\": %lld, \"p50_us\": %lld, \"p99_us\": %lld, \"max_us\": %lld}\n",
           bench.count, (long long)(duration_ns / 1000), (long long)(bench.took_ns[bench.count / 2] / 1000),
           (long long)(bench.took_ns[bench.count * 99 / 100] / 1000),
           (long long)(bench.took_ns[bench.count - 1] / 1000));
    return 0;
}
