/* aws/retry.c: exponential backoff with full jitter; and the words of the services for "too fast". */
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

bool retry_is_throttling(struct str code)
{
    static const char *const codes[] = {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottledException",
        "RequestThrottled",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "SlowDown",
        "PriorRequestNotComplete",
    };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (str_eq(code, str_of(codes[i])))
            return true;
    return false;
}
