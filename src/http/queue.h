/* http/queue.h: jobs that wait for their turn, in the order in which they came. A queue is bounded by their number, and
 * by time: who would have to wait for too long is better told so at once. How long that is follows from how fast jobs
 * left the queue lately, whatever makes them slow. The caller has the lock and the clock (clock_ns()). */
#ifndef HTTP_QUEUE_H
#define HTTP_QUEUE_H

#include "base/mem.h"
#include <stdatomic.h>

/* Embedded in what is to be done. The submitter owns it until `run` has been called. */
struct job {
    void (*run)(struct job *);
    struct job *next; /* from here on the queue's own */
    int64_t queued_ns;
    bool is_stranger; /* workers.h */
    bool is_late;     /* it has waited for too long, and a crowd waits behind it: it is to be refused */
};

struct queue {
    struct job *first, **last;
    size_t count, max;
    int64_t wait_max_ns;
    int64_t each_ns;        /* between two that left while others waited: a moving average */
    int64_t measured_ns;    /* when that was last seen */
    unsigned measured;      /* how often, at most QUEUE_LEAST; before that, it says nothing */
    int64_t left_behind_ns; /* when one left and others stayed; 0: none stayed */
    atomic_size_t *waiting; /* in several queues; see queue_init() */
};

/* So few are no crowd, however slow they are. */
enum { QUEUE_LEAST = 16 };

enum queue_verdict { QUEUE_TAKEN, QUEUE_FULL, QUEUE_SLOW };

/* *waiting goes up with each job and down again; it must outlive the queue. */
void queue_init(struct queue *queue, size_t max, int64_t wait_max_ns, atomic_size_t *waiting);
/* QUEUE_FULL: there are too many; QUEUE_SLOW: they would take longer than half of the bound. The rest is left
 * for the commit that follows, and for what is not foreseen. */
MUST_USE enum queue_verdict queue_put(struct queue *queue, struct job *job, int64_t now_ns);
/* NULL: there is none. Counts how long it has waited. */
struct job *queue_take(struct queue *queue, int64_t now_ns);

#endif
