/* http/turns.h: jobs that take a processor for a moment and wait for nothing, such as a signature with a key in memory.
 * The loops do them, between events (shares.c says how much of each): no thread has to be woken for one, and what a
 * loop has too much of, another one takes. Thread-safe; nothing here blocks. */
#ifndef HTTP_TURNS_H
#define HTTP_TURNS_H

#include "http/queue.h"

struct turns;

/* At most `queue_max` jobs wait, for at most `wait_max_ns`; `waiting` as of queue_init(). */
struct turns *turns_new(size_t queue_max, int64_t wait_max_ns, atomic_size_t *waiting);
void turns_free(struct turns *turns); /* NULL allowed. None may be left */

MUST_USE enum queue_verdict turns_submit(struct turns *turns, struct job *job);
/* NULL: there is none. */
struct job *turns_take(struct turns *turns, int64_t now_ns);
/* How many wait; as of a moment ago. */
size_t turns_count(struct turns *turns);

#endif
