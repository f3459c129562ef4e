/* store/platform_events.c: events in the platform's database. A position there may be given a second time, after a
 * fail-over to a server that lagged: so what is dropped is named by its eventId too. */
#include "store/platform.h"

static const char not_understood[] = "the database gave a response that is not understood";

void platform_put_event(struct buf *args, const struct event *event)
{
    platform_put_str(args, "type", event->type);
    platform_put_str(args, "detail", event->detail);
    platform_put_int(args, "at", event->created_at);
}

static bool platform_events_read(const struct json *row, struct event *out)
{
    *out = (struct event){ .position = platform_int(row, "position"),
                           .type = platform_str(row, "type"),
                           .detail = platform_str(row, "detail"),
                           .created_at = store_seconds(platform_int(row, "at")) };
    return out->position > 0 && out->type.len > 0 && out->detail.len > 0;
}

struct err platform_list_events(struct store *store, struct arena *arena, int64_t after, size_t max, struct event **out,
                                size_t *count)
{
    const size_t most = max < EVENTS_LISTED_MAX ? max : EVENTS_LISTED_MAX;
    struct event *events = arena_alloc(arena, (most + 1) * sizeof *events); /* one more: max may be 0 */
    const struct json *answer = NULL, *row = NULL;
    struct buf args;
    struct str rest, line;
    size_t found = 0;
    platform_begin(&args, arena);
    platform_put_int(&args, "after", after);
    platform_put_int(&args, "max", (int64_t)most);
    TRY(platform_do(store, arena, "token_service_list_events", &args, PLATFORM_REPEATABLE, "", &answer));
    for (rest = platform_rows(answer); found < most && platform_next_row(&rest, &line); found++)
        if (json_parse(arena, line, &row).code || !platform_events_read(row, &events[found]))
            return failed(ERR_UNAVAILABLE, not_understood);
    *out = events;
    *count = found;
    return OK;
}

/* "" where it has none, or is no object: then there is none in the database either. */
static struct str platform_events_id_of(struct arena *arena, struct str detail)
{
    const struct json *json = NULL;
    return json_parse(arena, detail, &json).code ? STR("") : platform_str(json, "eventId");
}

struct err platform_drop_events(struct store *store, const struct event *events, size_t count)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct buf args;
    platform_begin(&args, &arena);
    json_write_name(&args, STR("events"));
    buf_add_char(&args, '[');
    for (size_t i = 0; i < count; i++) {
        buf_add(&args, i == 0 ? STR("{") : STR(",{"));
        platform_put_int(&args, "position", events[i].position);
        platform_put_str(&args, "event", platform_events_id_of(&arena, events[i].detail));
        buf_add_char(&args, '}');
    }
    buf_add_char(&args, ']');
    return platform_do(store, &arena, "token_service_drop_events", &args, PLATFORM_REPEATABLE, "", NULL);
}

struct err platform_count_events(struct store *store, size_t max, size_t *count, int64_t *oldest_at)
{
    AUTO(arena_release) struct arena arena = { 0 };
    const struct json *answer = NULL;
    struct buf args;
    int64_t found = 0;
    platform_begin(&args, &arena);
    platform_put_int(&args, "max", (int64_t)max);
    TRY(platform_do(store, &arena, "token_service_count_events", &args, PLATFORM_REPEATABLE, "", &answer));
    if (!json_int(json_member(answer, STR("count")), 0, (int64_t)max, &found))
        return failed(ERR_UNAVAILABLE, not_understood);
    *count = (size_t)found;
    *oldest_at = store_seconds(platform_int(answer, "oldest"));
    return OK;
}
