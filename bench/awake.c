/* bench/awake.c: preloaded into wrk, so that it asks for events again and again before it sleeps.
 *
 * Who sends to a process that sleeps on this machine pays for its waking: on a virtual machine some 5 us an answer. The
 * clients of a service are elsewhere, so that is no cost of its own; and it would fall on a server that is slower than
 * the load, but not on the constant one, which keeps wrk busy. Both are measured with this; only for a wrk that has a
 * core for itself. */
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { AWAKE_NS = 200000 }; /* then it sleeps all the same, so that a busy machine isn't made busier */

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Takes the place of libc's. */
int epoll_wait(int fd, struct epoll_event *events, int max, int timeout_ms)
{
    int64_t until_ns = clock_ns() + AWAKE_NS;
    for (;;) {
        int wait_ms = timeout_ms == 0 || clock_ns() < until_ns ? 0 : timeout_ms;
        long count = syscall(SYS_epoll_wait, fd, events, max, wait_ms);
        if (count != 0 || wait_ms == timeout_ms)
            return (int)count;
    }
}
