/* lambda/slot.h: a place for one event at a time: a thread that asks for the next, runs it and answers. There are as
 * many slots as Lambda sends events at once.
 *
 * A slot's thread may wait for a database or for KMS until after Lambda would have ended the call. Then whoever watches
 * (lambda.c) answers in its place, and takes the slot from it: another thread goes on with the next event, and the one
 * that waits ends when it is done, without a word. What it still records is durable, and was not acknowledged. */
#ifndef LAMBDA_SLOT_H
#define LAMBDA_SLOT_H

#include "lambda/invocation.h"

struct slots;

/* `authority`, `stop_fd`: runtime.h. All must outlive it. `look` is called, on a slot's thread, when an event's limit
 * comes before the time that slots_watch() gave, or a slot has given up. */
struct slots *slots_new(const struct invocations *all, size_t count, const char *authority, int stop_fd,
                        void (*look)(void *context), void *context);
MUST_USE struct err slots_start(struct slots *slots);
/* Answers in the place of those whose time is over. Returns when to look again (clock_ns()). One thread. */
int64_t slots_watch(struct slots *slots);
/* Whether the runtime API has failed a slot so often that it is gone; or too many threads wait for what doesn't come.
 */
bool slots_have_given_up(struct slots *slots);
/* After stop_fd: waits for the threads, at most so long. False: one of them still waits for something; then neither the
 * slots nor what they use may be freed, and the process has to end as it is. */
MUST_USE bool slots_end(struct slots *slots, int64_t patience_ms);
void slots_free(struct slots *slots); /* after that */

#endif
