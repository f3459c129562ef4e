/* tests/unit/redis_server.h: a real Redis on a free port; it is Debian's package redis-server. */
#ifndef REDIS_SERVER_H
#define REDIS_SERVER_H

#include "base/clock.h"
#include "cache/cache.h"
#include "unit.h"
#include <arpa/inet.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char redis_server_url[64];
static pid_t redis_server;

static inline int free_port(void)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0 && bind(fd, (struct sockaddr *)&address, len) == 0 &&
                getsockname(fd, (struct sockaddr *)&address, &len) == 0);
    close(fd);
    return ntohs(address.sin_port);
}

/* Starts it, and opens it as the settings' REDIS_URL; -1, with a message, when it can't be. */
static inline int redis_server_open(struct settings *settings, struct cache **cache)
{
    char port[8];
    const char *const argv[] = { "redis-server", "--port",  port,    "--bind", "127.0.0.1", "--save", "",
                                 "--loglevel",   "warning", "--dir", "/tmp",   NULL };
    snprintf(port, sizeof port, "%d", free_port());
    snprintf(redis_server_url, sizeof redis_server_url, "redis://127.0.0.1:%s/3", port);
    if (posix_spawnp(&redis_server, argv[0], NULL, NULL, (char *const *)(uintptr_t)argv, environ) != 0) {
        print_error("redis-server can't be started: install Debian's package redis-server\n");
        return -1;
    }
    settings->redis_url = redis_server_url;
    settings->redis_ca_file = settings->redis_cert_file = settings->redis_key_file = "";
    settings->redis_sentinel_user = settings->redis_sentinel_password = "";
    settings->redis_timeout_s = 5;
    if (cache_open(settings, cache).code)
        return -1;
    int64_t until = clock_ms() + 10000;
    while (cache_check(*cache).code && clock_ms() < until)
        usleep(10000);
    return (int)cache_check(*cache).code;
}

static inline void redis_server_end(void)
{
    if (redis_server <= 0)
        return;
    kill(redis_server, SIGKILL);
    waitpid(redis_server, NULL, 0);
    redis_server = 0;
}

#endif
