/* http/workers.h: a fixed pool of threads for requests that may wait or need a signature. Bounded: when the queue is
 * full, the caller must refuse the request at once. Requests of callers that are not known yet have a shorter queue of
 * their own and never get all of the threads, so that a flood of them leaves room for the others. */
#ifndef HTTP_WORKERS_H
#define HTTP_WORKERS_H

#include "base/mem.h"
#include <stdatomic.h>

/* Embedded in what is to be done. The submitter owns it until `run` has been called. */
struct job {
    void (*run)(struct job *);
    struct job *next; /* the queue's own */
    bool is_stranger; /* likewise */
};

struct workers;

/* `threads` of them, at most `queue_max` jobs waiting, and half as many of strangers'; *waiting is kept at the
 * number of all. */
MUST_USE struct err workers_open(size_t threads, size_t queue_max, atomic_size_t *waiting, struct workers **out);
/* False when the queue is full. Never blocks. */
MUST_USE bool workers_submit(struct workers *workers, struct job *job, bool is_stranger);
/* Runs what is queued, then ends the threads. NULL allowed. */
void workers_close(struct workers *workers);

#endif
