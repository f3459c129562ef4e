/* service/clock_check.c: the clocks that there are. */
#include "service/clock_check.h"
#include "base/wall_clock.h"
#include "store/store.h"
#include "version.h"

struct err clock_judge(struct arena *arena, int64_t built_s, int64_t now_ms, int64_t shared_ms, int64_t skew_s)
{
    if (now_ms / 1000 < built_s)
        return failed(ERR_UNAVAILABLE,
                      "the machine's clock is earlier than the day on which this program was built: set it");
    const int64_t ahead_ms = shared_ms > 0 ? now_ms - shared_ms : 0;
    if (ahead_ms <= skew_s * 1000 && -ahead_ms <= skew_s * 1000)
        return OK;
    return failed(ERR_UNAVAILABLE,
                  arena_printf(arena,
                               "the machine's clock is %lld s %s the database's, more than TOKEN_CLOCK_SKEW: set it",
                               (long long)((ahead_ms < 0 ? -ahead_ms : ahead_ms) / 1000),
                               ahead_ms < 0 ? "behind" : "ahead of")
                      .at);
}

/* What asking took is no difference: the database read its clock at some time in between. */
struct err clock_check(struct arena *arena, const struct settings *settings, struct store *store)
{
    const int64_t before_ms = wall_clock_day_ms();
    int64_t shared_ms = 0;
    if (store && store->ops->now && store->ops->now(store, &shared_ms).code)
        shared_ms = 0; /* that the store fails is said elsewhere */
    const int64_t after_ms = wall_clock_day_ms();
    const int64_t now_ms = shared_ms > before_ms && shared_ms < after_ms ? shared_ms
                           : shared_ms >= after_ms                       ? after_ms
                                                                         : before_ms;
    return clock_judge(arena, TOKEN_SERVICE_BUILT_S, now_ms, shared_ms, settings->clock_skew_s);
}
