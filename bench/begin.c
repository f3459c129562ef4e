/* bench/begin.c: becomes another program, on one core, and leaves in a file when it did so: of a program that something
 * else starts (AWS's emulator of Lambda) nobody could tell otherwise.
 *
 *     bench_begin FILE CORE PROGRAM [ARGUMENT...]
 *
 * FILE gets one line: CLOCK_MONOTONIC in ns, and the number of the process, which PROGRAM keeps. */
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static _Noreturn void give_up(const char *what)
{
    perror(what);
    exit(1);
}

static void run_on(const char *core)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(strtoul(core, NULL, 10), &cores);
    if (sched_setaffinity(0, sizeof cores, &cores) != 0)
        give_up("sched_setaffinity");
}

/* When everything else is done. */
static void leave_time(const char *path)
{
    struct timespec now;
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || clock_gettime(CLOCK_MONOTONIC, &now) != 0 ||
        dprintf(fd, "%" PRId64 " %ld\n", (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, (long)getpid()) < 0)
        give_up(path);
    close(fd);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: bench_begin FILE CORE PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    run_on(argv[2]);
    leave_time(argv[1]);
    execv(argv[3], argv + 3);
    give_up(argv[3]);
}
