/* base/condition.h: condition variables with time limits on the monotonic clock (clock.h), which nobody can set. */
#ifndef BASE_CONDITION_H
#define BASE_CONDITION_H

#include "base/clock.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

static inline void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* Waits until it is signalled (or wakes for no reason: check again), at most until `at_ns` of clock_ns(). False when
 * that time has come. */
static inline bool condition_wait_until(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t at_ns)
{
    const int64_t kernels_ns = at_ns - clock_paused_ns() > 0 ? at_ns - clock_paused_ns() : 0;
    const struct timespec at = { (time_t)(kernels_ns / 1000000000), (long)(kernels_ns % 1000000000) };
    return pthread_cond_timedwait(condition, lock, &at) == 0;
}

#endif
