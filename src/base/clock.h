/* base/clock.h: the monotonic clock, for time limits and durations. Functions that need the time of day take it as an
 * argument.
 *
 * With a machine that is paused, as AWS Lambda's are between calls, the kernel's clock may stand still too. Whoever
 * finds that out (service/thaw.h) adds the pause here, so that it counts for everything that has a time. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <errno.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

extern _Atomic int64_t clock_added_ns; /* of clock_add_pause(), for the functions here and condition.h */

static inline int64_t clock_paused_ns(void)
{
    return atomic_load_explicit(&clock_added_ns, memory_order_relaxed);
}

/* For so long the kernel's clock stood still. */
static inline void clock_add_pause(int64_t ms)
{
    atomic_fetch_add(&clock_added_ns, ms * 1000000);
}

static inline int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + clock_paused_ns();
}

static inline int64_t clock_ms(void)
{
    return clock_ns() / 1000000;
}

/* Exact to some milliseconds, and cheaper. */
static inline int64_t clock_coarse_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (int64_t)now.tv_sec * 1000 + (now.tv_nsec + clock_paused_ns()) / 1000000;
}

/* The same in seconds: for intervals. */
static inline int64_t clock_coarse_s(void)
{
    return clock_coarse_ms() / 1000;
}

/* Sleeps the whole time, even when signals arrive. */
static inline void clock_sleep_ms(int64_t ms)
{
    struct timespec left = { (time_t)(ms / 1000), (long)(ms % 1000 * 1000000) };
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue;
}

#endif
