/* http/workers.h: a fixed pool of threads for requests that may wait. Bounded: what the queue does not take must be
 * refused at once. Requests of callers that are not known yet have a shorter queue of
 * their own and never get all of the threads, so that a flood of them leaves room for the others. */
#ifndef HTTP_WORKERS_H
#define HTTP_WORKERS_H

#include "http/queue.h"

struct workers;

/* `threads` of them, at most `queue_max` jobs waiting, and half as many of strangers', none for longer than
 * `wait_max_ns`; `waiting` as of queue_init(). */
MUST_USE struct err workers_open(size_t threads, size_t queue_max, int64_t wait_max_ns, atomic_size_t *waiting,
                                 struct workers **out);
/* Anything but QUEUE_TAKEN: it has not been taken. Never blocks. */
MUST_USE enum queue_verdict workers_submit(struct workers *workers, struct job *job, bool is_stranger);
/* Runs what is queued, then ends the threads. NULL allowed. */
void workers_close(struct workers *workers);

#endif
