/* aws/budget.h: the quota of KMS as a queue: callers wait for their turn, the more urgent first, among equals the
 * earlier, until their deadline; a caller that can't get a turn in time is refused at once. Thread-safe. */
#ifndef AWS_BUDGET_H
#define AWS_BUDGET_H

#include "base/mem.h"

enum { BUDGET_PRIORITIES = 4 };

struct budget;

/* `rate`: calls a second. Never NULL. */
struct budget *budget_new(double rate);
void budget_free(struct budget *budget); /* no caller may be waiting; NULL allowed */
/* May wait, until `deadline_ns` on CLOCK_MONOTONIC at the latest. `priority`: 0 is the most urgent. ERR_UNAVAILABLE
 * when there is no turn before that. */
MUST_USE struct err budget_take(struct budget *budget, unsigned priority, int64_t deadline_ns);
/* How long a caller of the least urgency would wait behind all waiting callers and `ahead` others. Never waits. */
int64_t budget_wait_ns(struct budget *budget, size_t ahead);
/* KMS throttled a call. */
void budget_throttled(struct budget *budget);

#endif
