/* aws/retry.c: exponential backoff with full jitter; and the words of the services for "too fast". */
#include "aws/retry.h"
#include "base/backoff.h"

int64_t retry_delay_ms(unsigned tries, uint64_t random)
{
    const uint64_t most = (uint64_t)backoff(RETRY_FIRST_MS, RETRY_MAX_MS, tries);
    return (int64_t)(random % (most + 1)); /* 1,001 in 2^64: the bias is nothing */
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
