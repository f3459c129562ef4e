/* aws/rate.h: a token bucket whose rate follows what the service lets through: down by a third when it throttles, up
 * again slowly (AIMD). Pure functions: the clock is passed in (monotonic, nanoseconds); not thread-safe. */
#ifndef AWS_RATE_H
#define AWS_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rate {
    double most, now; /* a second: as configured, and at present */
    double tokens;    /* at most a tenth of a second's worth, so that no second ever sees more than 1.1 times `most` */
    int64_t at_ns, cut_at_ns;
};

void rate_init(struct rate *rate, double most, int64_t now_ns);
/* Takes one, if there is one. */
bool rate_take(struct rate *rate, int64_t now_ns);
/* How long until there is a token for a caller behind `ahead` others, who take theirs as soon as they can. */
int64_t rate_wait_ns(const struct rate *rate, size_t ahead);
/* The service said that this was too fast. Responses to calls that were in progress together count once. */
void rate_throttled(struct rate *rate, int64_t now_ns);

#endif
