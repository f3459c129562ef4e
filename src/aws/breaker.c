/* aws/breaker.c: closed, while pause_ms is 0; else open until until_ms, and then half open: a probe goes, and moves
 * until_ms on, so that the next one waits for its report. */
#include "aws/breaker.h"

void breaker_init(struct breaker *breaker)
{
    *breaker = (struct breaker){ 0 };
    pthread_mutex_init(&breaker->lock, NULL);
}

void breaker_release(struct breaker *breaker)
{
    pthread_mutex_destroy(&breaker->lock);
}

bool breaker_enter(struct breaker *breaker, int64_t now_ms)
{
    pthread_mutex_lock(&breaker->lock);
    bool goes = breaker->pause_ms == 0 || now_ms >= breaker->until_ms;
    if (goes && breaker->pause_ms > 0) {
        breaker->until_ms = now_ms + BREAKER_PROBE_MS;
        breaker->is_probing = true;
    }
    pthread_mutex_unlock(&breaker->lock);
    return goes;
}

/* Failures of tries that were under way when it opened say nothing new: only a probe's makes the pause longer. */
static void breaker_note_failure(struct breaker *breaker, int64_t now_ms)
{
    if (breaker->pause_ms == 0) {
        if (breaker->failures++ == 0)
            breaker->since_ms = now_ms;
        if (breaker->failures < BREAKER_FAILURES || now_ms - breaker->since_ms < BREAKER_LEAST_MS)
            return;
        breaker->pause_ms = BREAKER_PAUSE_MS;
    } else if (breaker->is_probing) {
        breaker->pause_ms = breaker->pause_ms < BREAKER_PAUSE_MAX_MS / 2 ? 2 * breaker->pause_ms : BREAKER_PAUSE_MAX_MS;
        breaker->is_probing = false;
    } else {
        return;
    }
    breaker->until_ms = now_ms + breaker->pause_ms;
}

bool breaker_report(struct breaker *breaker, int64_t now_ms, bool answered)
{
    pthread_mutex_lock(&breaker->lock);
    bool was_open = breaker->pause_ms > 0;
    if (answered) {
        breaker->failures = 0;
        breaker->pause_ms = 0;
        breaker->is_probing = false;
    } else {
        breaker_note_failure(breaker, now_ms);
    }
    bool is_open = breaker->pause_ms > 0;
    pthread_mutex_unlock(&breaker->lock);
    return was_open != is_open;
}

int64_t breaker_wait_ms(struct breaker *breaker, int64_t now_ms)
{
    pthread_mutex_lock(&breaker->lock);
    bool waits = breaker->pause_ms > 0 && now_ms < breaker->until_ms;
    int64_t wait_ms = waits ? breaker->until_ms - now_ms : 0;
    pthread_mutex_unlock(&breaker->lock);
    return wait_ms;
}
