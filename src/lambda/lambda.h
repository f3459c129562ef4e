/* lambda/lambda.h: the front for AWS Lambda: events from the runtime API to service_answer() and back. The process may
 * be frozen whenever no event is in work, for seconds or hours, and is ended without a word. */
#ifndef LAMBDA_LAMBDA_H
#define LAMBDA_LAMBDA_H

#include "base/err.h"
#include <signal.h>
#include <stdbool.h>

struct service;

struct lambda;

/* Whether this process was started as a function: AWS_LAMBDA_RUNTIME_API is set. */
bool lambda_is_wanted(void);
/* Reads Lambda's own variables. ERR_INVALID_REQUEST without AWS_LAMBDA_RUNTIME_API. */
MUST_USE struct err lambda_open(struct lambda **out);
void lambda_close(struct lambda *lambda); /* NULL allowed */

/* With SnapStart, which copies a process that has been initialised: waits here until this is a copy, so that nothing
 * random and no secret, connection or time is in two of them. Returns at once without it. To be called before anything
 * of that kind is made. ERR_UNAVAILABLE. */
MUST_USE struct err lambda_wait_for_restore(struct lambda *lambda);
/* Says that the start has failed, so that Lambda need not wait for its time to be over. */
void lambda_tell_failed_start(struct lambda *lambda, struct err err);

/* What lambda_serve() waits for; to be blocked in all threads before there are any. */
void lambda_signals(sigset_t *out);
/* Answers events, as many at once as AWS_LAMBDA_MAX_CONCURRENCY says, until SIGTERM or SIGINT. ERR_UNAVAILABLE: the
 * runtime API is gone, or too much waits for what doesn't come; Lambda begins anew. */
MUST_USE struct err lambda_serve(struct lambda *lambda, struct service *service, const sigset_t *signals);

#endif
