/* service/emf_flush.c */
#include "service/emf_flush.h"
#include "base/clock.h"
#include "base/settings.h"
#include "observe/emf.h"
#include "service/gauges.h"
#include "service/service.h"
#include <stdatomic.h>
#include <time.h>

/* clock_coarse_ms(); of this process, like the lines themselves. */
static atomic_llong gauges_due_ms;

/* True for one caller each time. While a process is frozen this clock stands still, so the next ones come late; that
 * does no harm. */
static bool emf_flush_takes_gauges(const struct settings *settings)
{
    const long long now_ms = clock_coarse_ms();
    long long due_ms = atomic_load(&gauges_due_ms);
    return now_ms >= due_ms &&
           atomic_compare_exchange_strong(&gauges_due_ms, &due_ms, now_ms + settings->emf_interval_s * 1000);
}

void emf_flush(struct service *service)
{
    char room[4096];
    struct arena arena;
    struct gauges gauges;
    if (!emf_is_open())
        return;
    gauges.count = 0;
    arena_init(&arena, room, sizeof room);
    if (emf_flush_takes_gauges(service->settings))
        gauges_read(service, &arena, (int64_t)time(NULL), &gauges);
    emf_write(gauges.list, gauges.count);
    arena_release(&arena);
}
