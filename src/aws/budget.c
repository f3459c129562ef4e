/* aws/budget.c: one lock, and a condition for each caller that waits. Only the first in line waits for the clock (the
 * next token); the others wait for it to go, or for their own deadline. */
#include "aws/budget.h"
#include "aws/rate.h"
#include "base/clock.h"
#include "base/condition.h"
#include <pthread.h>
#include <stdlib.h>

struct waiter {
    struct waiter *next;
    pthread_cond_t turn; /* it is the first in line now */
};

struct budget {
    pthread_mutex_t lock;
    struct rate rate;
    struct waiter *first[BUDGET_PRIORITIES];
    size_t waiting[BUDGET_PRIORITIES];
};

struct budget *budget_new(double rate)
{
    struct budget *budget = mem_alloc(sizeof *budget);
    *budget = (struct budget){ 0 };
    pthread_mutex_init(&budget->lock, NULL);
    rate_init(&budget->rate, rate, clock_ns());
    return budget;
}

void budget_free(struct budget *budget)
{
    if (!budget)
        return;
    pthread_mutex_destroy(&budget->lock);
    free(budget);
}

static struct waiter *budget_first_in_line(const struct budget *budget)
{
    for (size_t i = 0; i < BUDGET_PRIORITIES; i++)
        if (budget->first[i])
            return budget->first[i];
    return NULL;
}

static size_t budget_ahead_of(const struct budget *budget, unsigned priority)
{
    size_t ahead = 0;
    for (size_t i = 0; i <= priority; i++)
        ahead += budget->waiting[i];
    return ahead;
}

static void budget_join(struct budget *budget, unsigned priority, struct waiter *waiter)
{
    struct waiter **last = &budget->first[priority];
    while (*last)
        last = &(*last)->next; /* at most as many as there are workers */
    *last = waiter;
    budget->waiting[priority]++;
}

static void budget_leave(struct budget *budget, unsigned priority, const struct waiter *waiter)
{
    struct waiter **at = &budget->first[priority];
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    budget->waiting[priority]--;
    struct waiter *next = budget_first_in_line(budget);
    if (next)
        pthread_cond_signal(&next->turn);
}

/* With the lock. */
static bool budget_wait_in_line(struct budget *budget, unsigned priority, int64_t deadline_ns)
{
    struct waiter self = { 0 };
    bool taken = false;
    condition_init(&self.turn);
    budget_join(budget, priority, &self);
    for (int64_t now = clock_ns(); now < deadline_ns; now = clock_ns()) {
        int64_t until = deadline_ns;
        if (budget_first_in_line(budget) == &self) {
            taken = rate_take(&budget->rate, now);
            if (taken)
                break;
            int64_t next = now + rate_wait_ns(&budget->rate, 0);
            until = next < until ? next : until;
        }
        (void)condition_wait_until(&self.turn, &budget->lock, until);
    }
    budget_leave(budget, priority, &self);
    pthread_cond_destroy(&self.turn);
    return taken;
}

struct err budget_take(struct budget *budget, unsigned priority, int64_t deadline_ns)
{
    pthread_mutex_lock(&budget->lock);
    const int64_t now = clock_ns();
    const size_t ahead = budget_ahead_of(budget, priority);
    bool taken = ahead == 0 && rate_take(&budget->rate, now);
    if (!taken && now + rate_wait_ns(&budget->rate, ahead) <= deadline_ns)
        taken = budget_wait_in_line(budget, priority, deadline_ns);
    pthread_mutex_unlock(&budget->lock);
    return taken ? OK : failed(ERR_UNAVAILABLE, "the quota of AWS KMS is used up; try again later");
}

int64_t budget_wait_ns(struct budget *budget, size_t ahead)
{
    pthread_mutex_lock(&budget->lock);
    int64_t wait_ns = rate_wait_ns(&budget->rate, budget_ahead_of(budget, BUDGET_PRIORITIES - 1) + ahead);
    pthread_mutex_unlock(&budget->lock);
    return wait_ns;
}

void budget_throttled(struct budget *budget)
{
    pthread_mutex_lock(&budget->lock);
    rate_throttled(&budget->rate, clock_ns());
    pthread_mutex_unlock(&budget->lock);
}
