/* aws/rate.c: additive increase, multiplicative decrease. */
#include "aws/rate.h"

static const double second_ns = 1e9;
static const double decrease = 0.7;           /* as AWS's SDKs do in their adaptive mode */
static const double increase = 0.02;          /* of the configured rate, a second: 50 s from nothing to all of it */
static const double least = 0.01;             /* of the configured rate; and never below 1 a second */
static const int64_t together_ns = 200000000; /* throttled answers this close are one event */

static double rate_at_least_one(double tokens)
{
    return tokens > 1 ? tokens : 1;
}

void rate_init(struct rate *rate, double most, int64_t now_ns)
{
    *rate = (struct rate){ .most = most, .now = most, .at_ns = now_ns, .cut_at_ns = now_ns - together_ns };
    rate->tokens = rate_at_least_one(most / 10);
}

static void rate_refill(struct rate *rate, int64_t now_ns)
{
    if (now_ns <= rate->at_ns)
        return;
    double passed_s = (double)(now_ns - rate->at_ns) / second_ns;
    rate->at_ns = now_ns;
    rate->tokens += rate->now * passed_s;
    double room = rate_at_least_one(rate->now / 10);
    if (rate->tokens > room)
        rate->tokens = room;
    rate->now += rate->most * increase * passed_s;
    if (rate->now > rate->most)
        rate->now = rate->most;
}

bool rate_take(struct rate *rate, int64_t now_ns)
{
    rate_refill(rate, now_ns);
    if (rate->tokens < 1)
        return false;
    rate->tokens -= 1;
    return true;
}

int64_t rate_wait_ns(const struct rate *rate, size_t ahead)
{
    double missing = (double)ahead + 1 - rate->tokens;
    return missing > 0 ? (int64_t)(missing / rate->now * second_ns) + 1 : 0;
}

void rate_throttled(struct rate *rate, int64_t now_ns)
{
    rate_refill(rate, now_ns);
    if (now_ns - rate->cut_at_ns < together_ns)
        return;
    rate->cut_at_ns = now_ns;
    rate->now *= decrease;
    if (rate->now < rate_at_least_one(rate->most * least))
        rate->now = rate_at_least_one(rate->most * least);
    rate->tokens = 0;
}
