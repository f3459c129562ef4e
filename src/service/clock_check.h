/* service/clock_check.h: whether this machine's clock can be right. */
#ifndef SERVICE_CLOCK_CHECK_H
#define SERVICE_CLOCK_CHECK_H

#include "base/mem.h"

struct settings;
struct store;

/* Compares the clock with the day on which this program was built, which must be in the past, and with the database's
 * clock, from which it may differ by TOKEN_CLOCK_SKEW (not compared when `store` is NULL or has no clock of its own).
 * ERR_UNAVAILABLE with a sentence, which may lie in the arena. May wait for the store. For start and `doctor`. */
MUST_USE struct err clock_check(struct arena *arena, const struct settings *settings, struct store *store);

/* The same as a pure function. `built_s`, `now_ms`: Unix time; `shared_ms`: the database's, 0: none. */
MUST_USE struct err clock_judge(struct arena *arena, int64_t built_s, int64_t now_ms, int64_t shared_ms,
                                int64_t skew_s);

#endif
