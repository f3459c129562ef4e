/* observe/log_writer.h: how a line gets to standard error. A service must not wait for the reader of that: while a
 * writer runs, lines go into a queue of fixed size, and a thread of its own writes them. Without a writer (in a
 * command) the thread that logs writes its lines itself. */
#ifndef OBSERVE_LOG_WRITER_H
#define OBSERVE_LOG_WRITER_H

#include "observe/metrics.h"

enum { LOG_LINE_MAX = 4096 }; /* bytes of one line: PIPE_BUF as well, so a pipe takes it whole or not at all */

/* Starts the thread. ERR_INTERNAL. */
MUST_USE struct err log_writer_start(void);
/* Writes what is queued, but waits only some seconds for a reader that has stalled: after that, the rest and all later
 * lines are lost. No other thread may be logging any more. Does nothing without a writer. */
void log_writer_stop(void);

/* One line of at most LOG_LINE_MAX bytes, with its line break. With a writer it never waits, and is called from any
 * thread: each thread's lines keep their order. A part of the queue is kept for urgent ones. What finds no room, or
 * can't be written, is lost. */
void log_writer_put(struct str line, bool is_urgent);

/* Counts a lost line: COUNT_LOG_LIMITED, COUNT_LOG_FULL or COUNT_LOG_FAILED. */
void log_writer_lose(enum counter why);
/* How many were lost since the last call. */
uint64_t log_writer_take_lost(void);

#endif
