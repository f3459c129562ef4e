/* service/event_batch.c: picks a batch. */
#include "service/event_batch.h"

/* Whether one before it has the same key, and is not told. */
static bool event_batch_is_behind(const struct batch_event *events, size_t which)
{
    for (size_t i = 0; i < which; i++)
        if (events[i].state != EVENT_TOLD && str_eq(events[i].key, events[which].key))
            return true;
    return false;
}

size_t event_batch_pick(const struct batch_event *events, size_t count, size_t picked[PUT_EVENTS_MAX])
{
    size_t found = 0, bytes = 0;
    for (size_t i = 0; i < count && found < PUT_EVENTS_MAX; i++) {
        if (events[i].state != EVENT_WAITING || event_batch_is_behind(events, i))
            continue;
        bytes += put_entry_bytes(&events[i].entry);
        if (found > 0 && bytes > PUT_EVENTS_BYTES)
            break;
        picked[found++] = i;
    }
    return found;
}
