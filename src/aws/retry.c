/* aws/retry.c: exponential backoff with full jitter. */
#include "aws/retry.h"

int64_t retry_delay_ms(unsigned tries, uint64_t random)
{
    int64_t most = RETRY_FIRST_MS;
    for (unsigned i = 1; i < tries && most < RETRY_MAX_MS; i++)
        most *= 2;
    if (most > RETRY_MAX_MS)
        most = RETRY_MAX_MS;
    return (int64_t)(random % (uint64_t)(most + 1)); /* 1,001 in 2^64: the bias is nothing */
}
