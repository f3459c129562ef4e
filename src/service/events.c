/* service/events.c: writes the events, and tells of those that wait in memory. */
#include "service/events.h"
#include "base/hex.h"
#include "base/random.h"
#include "observe/log.h"
#include "service/event_bus.h"
#include "service/event_queue.h"
#include "service/message.h"
#include "service/outbox.h"
#include "service/service.h"
#include "store/store.h"
#include <pthread.h>
#include <stdlib.h>

enum { DETAIL_ROOM = 512 };

struct events {
    struct event_bus *bus; /* NULL: another process tells */
    struct outbox *outbox;
    struct event_queue *queue;
    pthread_mutex_t working; /* held during a round */
};

struct events *events_new(struct store *store, struct event_bus *bus)
{
    struct events *events = mem_alloc(sizeof *events);
    *events = (struct events){ .bus = bus, .outbox = outbox_new(store, bus), .queue = event_queue_new() };
    pthread_mutex_init(&events->working, NULL);
    return events;
}

void events_free(struct events *events)
{
    if (!events)
        return;
    outbox_free(events->outbox);
    event_queue_free(events->queue);
    pthread_mutex_destroy(&events->working);
    free(events);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void events_write_hash(struct buf *detail, const unsigned char hash[32])
{
    char text[65];
    json_write_text(detail, STR("tokenHash"), hex_write(hash, 32, text));
}

static void events_write_time(struct buf *detail, struct str name, int64_t at_s)
{
    json_write_name(detail, name);
    write_time_ms(detail, at_s * 1000);
}

/* An object under way, with the event's own name. */
static void events_begin(struct buf *detail, struct arena *arena, const unsigned char id[EVENT_ID_BYTES])
{
    char text[2 * EVENT_ID_BYTES + 1];
    buf_init(detail, arena, DETAIL_ROOM, EVENT_DETAIL_MAX);
    buf_add_char(detail, '{');
    json_write_text(detail, STR("eventId"), hex_write(id, EVENT_ID_BYTES, text));
}

static void events_begin_new(struct buf *detail, struct arena *arena)
{
    unsigned char id[EVENT_ID_BYTES];
    random_bytes(id, sizeof id);
    events_begin(detail, arena, id);
}

static struct record *events_record(struct arena *arena, struct str type, struct buf *detail, int64_t at_s,
                                    struct record *next)
{
    struct record *record = arena_zalloc(arena, sizeof *record);
    struct event *event = arena_alloc(arena, sizeof *event);
    buf_add_char(detail, '}');
    if (detail->overflowed) { /* all that is in it is bounded far below */
        LOG(LOG_ERROR, "event_too_large", LOG_STR("type", type));
        return next;
    }
    *event = (struct event){ .type = type, .detail = buf_str(detail), .created_at = at_s };
    *record = (struct record){ .kind = RECORD_EVENT, .event = event, .next = next };
    return record;
}

struct record *events_of_token(const struct service *service, struct arena *arena, const struct told_token *token,
                               struct record *next)
{
    struct buf detail;
    if (!service->events)
        return next;
    events_begin_new(&detail, arena);
    events_write_hash(&detail, token->hash);
    json_write_text(&detail, STR("tokenType"), token_kind_name(token->kind));
    json_write_text(&detail, STR("subject"), token->subject);
    json_write_text(&detail, STR("clientId"), token->client_id);
    events_write_time(&detail, STR("expiresAt"), token->expires_at);
    return events_record(arena, STR("token_generated"), &detail, token->issued_at, next);
}

static struct record *events_of_revocation(struct arena *arena, const struct record *revocation, struct record *next)
{
    struct buf detail;
    events_begin_new(&detail, arena);
    events_write_hash(&detail, revocation->token_hash);
    json_write_text(&detail, STR("reason"), revocation->reason);
    if (revocation->revokes != REVOKED_TOKEN) {
        json_write_text(&detail, STR("kind"), revocation_kind_name(revocation->revokes));
        json_write_text(&detail, STR("target"), revocation->target);
        events_write_time(&detail, STR("before"), revocation->before);
    }
    return events_record(arena, STR("token_revoked"), &detail, revocation->issued_at, next);
}

struct record *events_of_revocations(const struct service *service, struct arena *arena, struct record *list)
{
    struct record *told = list;
    for (const struct record *record = service->events ? list : NULL; record; record = record->next)
        if (record->kind == RECORD_REVOCATION)
            told = events_of_revocation(arena, record, told);
    return told;
}

void events_note_unverified(const struct service *service, enum err_code why, int64_t now_s)
{
    if (service->events && service->events->bus)
        event_queue_add(service->events->queue, err_label(why), now_s);
}

/* --- telling ------------------------------------------------------------------------------------------------------ */

static struct put_entry events_entry_of(struct arena *arena, const struct queued_event *queued)
{
    struct buf detail;
    events_begin(&detail, arena, queued->id);
    json_write_text(&detail, STR("error"), str_of(queued->error));
    buf_add_char(&detail, '}');
    return (struct put_entry){ .detail_type = STR("token_verification_failed"),
                               .detail = buf_str(&detail),
                               .at_s = queued->at_s };
}

/* A batch of those in memory. What the bus refuses is dropped; what it may take later goes back to the front. */
static struct err events_tell_batch(struct events *events, int64_t until_ns, size_t *told)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct queued_event taken[PUT_EVENTS_MAX];
    struct put_entry entries[PUT_EVENTS_MAX];
    enum put_outcome outcomes[PUT_EVENTS_MAX];
    const size_t count = event_queue_take(events->queue, PUT_EVENTS_MAX, taken);
    size_t left = 0;
    *told = 0;
    if (count == 0)
        return OK;
    for (size_t i = 0; i < count; i++)
        entries[i] = events_entry_of(&arena, &taken[i]);
    const struct err err = event_bus_put(events->bus, &arena, entries, count, until_ns, outcomes);
    for (size_t i = 0; i < count; i++)
        if (err.code || outcomes[i] == PUT_THROTTLED || outcomes[i] == PUT_FAILED)
            taken[left++] = taken[i];
    event_queue_give_back(events->queue, taken, left);
    *told = count - left;
    return err;
}

/* Until one batch makes no progress. */
static struct err events_tell_unverified(struct events *events, int64_t until_ns)
{
    size_t told = 1;
    while (told > 0)
        TRY(events_tell_batch(events, until_ns, &told));
    return OK;
}

struct err events_round_now(struct events *events, int64_t until_ns)
{
    if (!events || pthread_mutex_trylock(&events->working) != 0)
        return OK;
    struct err err = outbox_round(events->outbox, until_ns);
    if (events->bus && err.code != ERR_TIMEOUT) { /* also while the store fails */
        const struct err told = events_tell_unverified(events, until_ns);
        err = err.code ? err : told;
    }
    pthread_mutex_unlock(&events->working);
    return err;
}

struct events_state events_state(struct events *events)
{
    const struct outbox_state outbox = outbox_state(events->outbox);
    return (struct events_state){ outbox.length, outbox.oldest_at, event_queue_length(events->queue) };
}
