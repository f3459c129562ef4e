/* service/event_bus.c: when the bus as a whole fails, nobody calls it for a while. */
#include "service/event_bus.h"
#include "base/backoff.h"
#include "base/random.h"
#include "observe/log.h"
#include "observe/metrics.h"

int64_t event_bus_pause_ms(unsigned tries, uint64_t random)
{
    return backoff_at_random(EVENT_BUS_FIRST_PAUSE_MS, EVENT_BUS_PAUSE_MAX_MS, tries, random);
}

bool event_bus_is_open(const struct event_bus *bus)
{
    return bus->now_ns() >= bus->again_ns;
}

/* Of many that none is taken says something of the bus; that one is not, of this one. */
static bool event_bus_took_none(const enum put_outcome outcomes[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (outcomes[i] == PUT_TAKEN || outcomes[i] == PUT_REFUSED)
            return false;
    return count > 1;
}

static void event_bus_count(const enum put_outcome outcomes[], size_t count)
{
    static const enum counter counters[] = { [PUT_TAKEN] = COUNT_EVENTS_PUBLISHED,
                                             [PUT_THROTTLED] = COUNT_EVENTS_THROTTLED,
                                             [PUT_FAILED] = COUNT_EVENTS_FAILED,
                                             [PUT_REFUSED] = COUNT_EVENTS_REFUSED };
    for (size_t i = 0; i < count; i++)
        metrics_count(counters[outcomes[i]], 1);
}

static void event_bus_fail(struct event_bus *bus, const char *why)
{
    bus->failures++;
    bus->why = why;
    bus->again_ns = bus->now_ns() + event_bus_pause_ms(bus->failures, random_number()) * 1000000;
    if (bus->failures == 1) {
        metrics_count(COUNT_EVENT_BUS_ERRORS, 1);
        LOG(LOG_ERROR, "event_bus_failing", LOG_TEXT_("why", why));
    }
}

static void event_bus_recover(struct event_bus *bus)
{
    if (bus->failures > 0)
        LOG(LOG_INFO, "event_bus_recovered", LOG_INT("after_failures", bus->failures));
    bus->failures = 0;
}

struct err event_bus_put(struct event_bus *bus, struct arena *arena, const struct put_entry *entries, size_t count,
                         int64_t until_ns, enum put_outcome outcomes[])
{
    const int64_t now_ns = bus->now_ns(), left_ms = (until_ns - now_ns) / 1000000;
    bool is_throttled = false;
    if (now_ns < bus->again_ns)
        return failed(ERR_UNAVAILABLE, bus->why);
    if (left_ms < EVENT_BUS_LEAST_MS)
        return failed(ERR_TIMEOUT, "there was no time left to tell of all events");
    struct err err = bus->put(bus->context, arena, entries, count,
                              left_ms < EVENT_BUS_TRY_MS ? left_ms : EVENT_BUS_TRY_MS, outcomes, &is_throttled);
    if (err.code)
        metrics_count(is_throttled ? COUNT_EVENTS_THROTTLED : COUNT_EVENTS_FAILED, count);
    else
        event_bus_count(outcomes, count);
    if (!err.code && event_bus_took_none(outcomes, count))
        err = failed(ERR_UNAVAILABLE, "EventBridge takes no events at present");
    if (err.code) {
        event_bus_fail(bus, err.why);
        return failed(ERR_UNAVAILABLE, err.why);
    }
    event_bus_recover(bus);
    return OK;
}
