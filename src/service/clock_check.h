/* service/clock_check.h: whether this machine's clock can be right. */
#ifndef SERVICE_CLOCK_CHECK_H
#define SERVICE_CLOCK_CHECK_H

#include "base/mem.h"

struct settings;
struct store;

/* The clock against the day on which this program was made, before which it can't be, and against the database's clock
 * (`store` NULL, or with no clock of its own: not compared), from which it may differ by TOKEN_CLOCK_SKEW.
 * ERR_UNAVAILABLE with a sentence, which may lie in the arena. May wait for the store. For start and `doctor`. */
MUST_USE struct err clock_check(struct arena *arena, const struct settings *settings, struct store *store);

/* The same as a pure function. `built_s`, `now_ms`: Unix time; `shared_ms`: the database's, 0: none. */
MUST_USE struct err clock_judge(struct arena *arena, int64_t built_s, int64_t now_ms, int64_t shared_ms,
                                int64_t skew_s);

#endif
