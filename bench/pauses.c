/* bench/pauses.c: what the machine takes from any program. This one reads the clock, and notes each time that it was
 * kept from that: by another process, by the kernel, or by a host that gave the processor to somebody else.
 *
 *     bench_pauses SECONDS
 *
 * Pinned to one core by whoever starts it. The result is one JSON object: `taken`, the share of the time; and p99 and
 * p99.9 of how long a request that comes at any time, and takes none itself, would have waited for the end of a pause.
 * No server on this core can be quicker than that. */
#include "base/clock.h"
#include <stdio.h>
#include <stdlib.h>

enum { PAUSES_MAX = 65536, PAUSE_LEAST_NS = 20000, LONGEST_NS = 1000000000 };

static struct {
    int64_t ns[PAUSES_MAX];
    size_t count;
} pauses;

/* Of the time, how much lies longer than that before the end of a pause. */
static double pauses_share(int64_t longer_than_ns, int64_t time_ns)
{
    int64_t sum_ns = 0;
    for (size_t i = 0; i < pauses.count; i++)
        sum_ns += pauses.ns[i] > longer_than_ns ? pauses.ns[i] - longer_than_ns : 0;
    return (double)sum_ns / (double)time_ns;
}

/* What all but that share of requests have waited at most, in us. */
static double pauses_us(double share, int64_t time_ns)
{
    int64_t least = -1, most = LONGEST_NS;
    while (most - least > 1) {
        const int64_t half = least + (most - least) / 2;
        *(pauses_share(half, time_ns) > share ? &least : &most) = half;
    }
    return (double)most / 1000;
}

int main(int argc, char **argv)
{
    const double seconds = argc == 2 ? strtod(argv[1], NULL) : 0;
    if (!(seconds > 0 && seconds <= 60)) {
        fprintf(stderr, "bench_pauses SECONDS, at most 60\n");
        return 2;
    }
    const int64_t begin_ns = clock_ns(), time_ns = (int64_t)(seconds * 1e9);
    for (int64_t before_ns = begin_ns, now_ns; before_ns < begin_ns + time_ns; before_ns = now_ns) {
        now_ns = clock_ns();
        if (now_ns - before_ns >= PAUSE_LEAST_NS && pauses.count < PAUSES_MAX)
            pauses.ns[pauses.count++] = now_ns - before_ns;
    }
    printf("{\"taken\":%.4f,\"p99_us\":%.1f,\"p999_us\":%.1f}\n", pauses_share(0, time_ns), pauses_us(0.01, time_ns),
           pauses_us(0.001, time_ns));
    return fflush(stdout) == 0 ? 0 : 3;
}
