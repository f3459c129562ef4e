/* base/wall_clock.h: how far this machine's time of day can be trusted. It decides when a token expires, but it must
 * not be the only clock that decides what is deleted: if it is hours ahead, at the start or after a step, rows that are
 * still needed look long expired. So it is compared with a clock that nobody sets (the kernel's time since boot), and
 * with the clock of a store that several instances share. Not thread-safe: its owner is one thread. */
#ifndef BASE_WALL_CLOCK_H
#define BASE_WALL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum {
    /* Revocations are kept for this long after they have ended, since the clock may have been hours ahead when this
     * process started, which nothing here shows. */
    WALL_CLOCK_MARGIN_S = 6 * 3600,
    /* A step ahead is trusted when nothing has contradicted it for this long. */
    WALL_CLOCK_BELIEVED_AFTER_S = 24 * 3600,
    /* A smaller difference between two looks is no step: the kernel slews a clock that is a little off. */
    WALL_CLOCK_STEP_MS = 1500,
};

struct wall_clock {
    int64_t wall_ms, boot_ms; /* at the last look */
    int64_t ahead_ms;         /* how far the time of day ran ahead by steps that are not believed yet */
    int64_t believed_at_ms;   /* on the clock since boot: when they are */
};

/* A time of day in milliseconds since 1970. */
int64_t wall_clock_day_ms(void);
/* The same, and milliseconds since boot, time asleep included (CLOCK_BOOTTIME), of one moment as far as can be: a
 * thread that is put aside between reading one clock and the other reads them again. */
void wall_clock_read(int64_t *wall_ms, int64_t *boot_ms);

/* The first look: this time of day is trusted, since there is no other. */
struct wall_clock wall_clock_begin(int64_t wall_ms, int64_t boot_ms);
/* Another look, at times as those above. Returns by how many milliseconds the time of day has stepped since the last
 * one, ahead or back; 0: it has not. */
int64_t wall_clock_look(struct wall_clock *clock, int64_t wall_ms, int64_t boot_ms);
/* The time of a clock that many machines share: beyond a difference of `tolerance_ms`, it is trusted rather than ours.
 */
void wall_clock_compare(struct wall_clock *clock, int64_t shared_ms, int64_t tolerance_ms);

/* A revocation that ended before this has ended by every clock. Seconds since 1970: a margin behind our clock, which
 * may be ahead. */
static inline int64_t wall_clock_by_all_s(int64_t now_s)
{
    return now_s - WALL_CLOCK_MARGIN_S;
}

/* Seconds since 1970, as of the last look: a time that has come by every clock that is believed. */
int64_t wall_clock_settled_s(const struct wall_clock *clock);
/* Whether the time of day is ahead of that. */
bool wall_clock_is_ahead(const struct wall_clock *clock);

#endif
