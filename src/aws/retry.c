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
    static const struct str codes[] = {
        STR_INIT("Throttling"),
        STR_INIT("ThrottlingException"),
        STR_INIT("ThrottledException"),
        STR_INIT("RequestThrottledException"),
        STR_INIT("RequestThrottled"),
        STR_INIT("TooManyRequestsException"),
        STR_INIT("RequestLimitExceeded"),
        STR_INIT("BandwidthLimitExceeded"),
        STR_INIT("EC2ThrottledException"),
        STR_INIT("SlowDown"),
        STR_INIT("PriorRequestNotComplete"),
    };
    return STR_IS_AMONG(code, codes);
}
