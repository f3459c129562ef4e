/* service/clock_step.h: the last step of the time of day that a server saw, kept in its data directory, so that
 * `doctor` can tell of it: another process, which sees no step by itself. */
#ifndef SERVICE_CLOCK_STEP_H
#define SERVICE_CLOCK_STEP_H

#include "base/settings.h"

/* Notes a step of `step_ms`, seen at `at_s` (Unix time, by the clock as it is now). Where there is no data directory,
 * or it takes no file, nothing is noted: the log and the metrics have it too. */
void clock_step_note(const struct settings *settings, int64_t at_s, int64_t step_ms);
/* The last step that was noted; false when there is none, or it can't be read. */
MUST_USE bool clock_step_last(const struct settings *settings, int64_t *at_s, int64_t *step_ms);

#endif
