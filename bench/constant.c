/* bench/constant.c: the reference of the benchmark. It does what every server on libmicrohttpd must do for a POST, and
 * nothing else: one epoll loop on one thread, run from outside as src/http/server.c runs its own; the body is read to
 * its end and dropped; the answer, made once, has the service's headers and, from a file, its body.
 *
 *     bench_constant PORT BODY_FILE
 *
 * listens on 127.0.0.1 until SIGTERM or SIGINT. What the service spends beyond this is its own. */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { BODY_MAX = 64 * 1024, WAIT_MS = 250, CONNECTIONS = 1024 };

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

/* Called at the headers, for each piece of the body, and when the request is complete. */
static enum MHD_Result handle(void *answer, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **context)
{
    static int seen;
    (void)url;
    (void)method;
    (void)version;
    (void)data;
    if (!*context) {
        *context = &seen;
        return MHD_YES;
    }
    if (*size > 0) {
        *size = 0;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, answer);
}

static struct MHD_Response *answer_from(const char *path)
{
    static char body[BODY_MAX];
    FILE *file = fopen(path, "rbe");
    if (!file)
        return NULL;
    size_t len = fread(body, 1, sizeof body, file);
    fclose(file);
    struct MHD_Response *answer = MHD_create_response_from_buffer(len, body, MHD_RESPMEM_PERSISTENT);
    if (answer) {
        MHD_add_response_header(answer, "Content-Type", "application/json");
        MHD_add_response_header(answer, "Cache-Control", "no-store");
        MHD_add_response_header(answer, "X-Request-Id", "0123456789abcdef");
    }
    return answer;
}

int main(int argc, char **argv)
{
    struct MHD_Response *answer = argc == 3 ? answer_from(argv[2]) : NULL;
    if (!answer) {
        fprintf(stderr, "usage: bench_constant PORT BODY_FILE\n");
        return 2;
    }
    struct sockaddr_in address = { .sin_family = AF_INET,
                                   .sin_port = htons((in_port_t)strtoul(argv[1], NULL, 10)),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_TURBO, 0, NULL, NULL, handle, answer,
                                                 MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
                                                 MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS, MHD_OPTION_END);
    if (!daemon) {
        fprintf(stderr, "bench_constant: cannot listen on 127.0.0.1:%s\n", argv[1]);
        return 3;
    }
    const struct sigaction action = { .sa_handler = on_signal };
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    while (!stopping)
        MHD_run_wait(daemon, WAIT_MS);
    MHD_stop_daemon(daemon);
    MHD_destroy_response(answer);
    return 0;
}
