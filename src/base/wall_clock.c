/* base/wall_clock.c: a step is what the time of day moved between two looks beside what the clock since boot did. */
#include "base/wall_clock.h"
#include <time.h>

enum { TRIES = 5, TOGETHER_MS = 100 };

static int64_t wall_clock_read_ms(clockid_t which)
{
    struct timespec now;
    clock_gettime(which, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t wall_clock_day_ms(void)
{
    return wall_clock_read_ms(CLOCK_REALTIME);
}

void wall_clock_read(int64_t *wall_ms, int64_t *boot_ms)
{
    int64_t took_ms = 0;
    for (int i = 0; i < TRIES && (i == 0 || took_ms > TOGETHER_MS); i++) {
        int64_t before_ms = wall_clock_read_ms(CLOCK_BOOTTIME);
        *wall_ms = wall_clock_day_ms();
        *boot_ms = wall_clock_read_ms(CLOCK_BOOTTIME);
        took_ms = *boot_ms - before_ms;
    }
}

struct wall_clock wall_clock_begin(int64_t wall_ms, int64_t boot_ms)
{
    return (struct wall_clock){ .wall_ms = wall_ms, .boot_ms = boot_ms };
}

/* A step back takes away from what is not believed, since most clocks that jump ahead are set right afterwards. */
static void wall_clock_note_step(struct wall_clock *clock, int64_t step_ms)
{
    clock->ahead_ms = clock->ahead_ms + step_ms > 0 ? clock->ahead_ms + step_ms : 0;
    if (step_ms > 0)
        clock->believed_at_ms = clock->boot_ms + (int64_t)WALL_CLOCK_BELIEVED_AFTER_S * 1000;
}

int64_t wall_clock_look(struct wall_clock *clock, int64_t wall_ms, int64_t boot_ms)
{
    int64_t step_ms = (wall_ms - clock->wall_ms) - (boot_ms - clock->boot_ms);
    clock->wall_ms = wall_ms;
    clock->boot_ms = boot_ms;
    if (step_ms > -WALL_CLOCK_STEP_MS && step_ms < WALL_CLOCK_STEP_MS)
        step_ms = 0;
    wall_clock_note_step(clock, step_ms);
    if (boot_ms >= clock->believed_at_ms)
        clock->ahead_ms = 0;
    return step_ms;
}

void wall_clock_compare(struct wall_clock *clock, int64_t shared_ms, int64_t tolerance_ms)
{
    int64_t ahead_ms = clock->wall_ms - shared_ms;
    clock->ahead_ms = ahead_ms > tolerance_ms ? ahead_ms : 0;
    clock->believed_at_ms = clock->boot_ms + (int64_t)WALL_CLOCK_BELIEVED_AFTER_S * 1000;
}

int64_t wall_clock_settled_s(const struct wall_clock *clock)
{
    return (clock->wall_ms - clock->ahead_ms) / 1000;
}

bool wall_clock_is_ahead(const struct wall_clock *clock)
{
    return clock->ahead_ms > 0;
}
