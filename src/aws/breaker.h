/* aws/breaker.h: a circuit breaker. After BREAKER_FAILURES attempts in a row, over at least BREAKER_LEAST_MS, that a
 * service did not answer (or answered 5xx), it is not called for a while and callers are refused at once, instead of
 * each waiting for its time limit; then one call at a time tries again. Thread-safe; the clock is passed in (monotonic,
 * milliseconds). */
#ifndef AWS_BREAKER_H
#define AWS_BREAKER_H

#include "base/mem.h"
#include <pthread.h>

enum {
    BREAKER_FAILURES = 10,
    BREAKER_LEAST_MS = 1000,
    BREAKER_PAUSE_MS = 1000,
    BREAKER_PAUSE_MAX_MS = 30000,
    BREAKER_PROBE_MS = 10000
};

struct breaker {
    pthread_mutex_t lock;
    unsigned failures; /* in a row, while closed */
    int64_t since_ms;  /* the first of them: a moment that breaks all connections at once is no outage */
    int64_t pause_ms;  /* of the present opening; 0: closed */
    int64_t until_ms;  /* when the next probe may go */
    bool is_probing;   /* one is under way */
};

void breaker_init(struct breaker *breaker);
void breaker_release(struct breaker *breaker);
/* Whether a try may go now. Each that goes reports; one that never does is given up after BREAKER_PROBE_MS. */
bool breaker_enter(struct breaker *breaker, int64_t now_ms);
/* What became of a try: `answered`, be it with a refusal. True when that opened or closed it. */
bool breaker_report(struct breaker *breaker, int64_t now_ms, bool answered);
/* How long until it lets a try go; 0: it does. */
int64_t breaker_wait_ms(struct breaker *breaker, int64_t now_ms);

#endif
