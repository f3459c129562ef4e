/* base/backoff.h: how long something that fails is left alone: twice as long after each failure in a row. */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H

#include <stdint.h>

/* `first` after the first failure, doubled with each further one, and `most` at the most; in any unit. */
static inline int64_t backoff(int64_t first, int64_t most, uint64_t failures)
{
    int64_t pause = first;
    for (uint64_t i = 1; i < failures && pause < most; i++)
        pause *= 2;
    return pause < most ? pause : most;
}

/* Half of that or more, so that those who failed together don't come back together. `random`: 32 random bits or more.
 */
static inline int64_t backoff_at_random(int64_t first, int64_t most, uint64_t failures, uint64_t random)
{
    const int64_t pause = backoff(first, most, failures);
    return pause / 2 + (int64_t)(random % (uint64_t)(pause / 2 + 1));
}

#endif
