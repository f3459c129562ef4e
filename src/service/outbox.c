/* service/outbox.c: page for page: what was not taken before and is due again, one by one; then the rest in batches;
 * and then what was taken is deleted. */
#include "service/outbox.h"
#include "base/clock.h"
#include "base/hex.h"
#include "base/json.h"
#include "base/random.h"
#include "jose/jws.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "service/event_batch.h"
#include "service/event_bus.h"
#include "store/store.h"
#include <stdatomic.h>
#include <stdlib.h>

enum { PAGE = 100, KEY_MAX = 64, ID_BYTES = 16, REFUSED_PAUSE_TRIES = 8 };

static const int64_t look_ns = INT64_C(5000000000), lease_again_ns = INT64_C(5000000000);

/* An event that the bus did not take. All later ones of its key wait for it. */
struct held {
    int64_t position, again_ns;
    unsigned tries;
    char key[KEY_MAX + 1];
};

struct outbox {
    struct store *store;
    struct event_bus *bus;
    int64_t look_ns, leased_ns; /* when the length is to be looked at; when the lease was taken; clock_ns() */
    struct held held[OUTBOX_HELD_MAX];
    size_t held_count;
    atomic_size_t length;
    atomic_llong oldest_at;
};

struct page {
    struct event *events;
    struct batch_event *batch; /* the same, as they are put */
    size_t count;
};

struct outbox *outbox_new(struct store *store, struct event_bus *bus)
{
    struct outbox *outbox = mem_alloc(sizeof *outbox);
    *outbox = (struct outbox){ .store = store, .bus = bus };
    return outbox;
}

void outbox_free(struct outbox *outbox)
{
    free(outbox);
}

struct outbox_state outbox_state(const struct outbox *outbox)
{
    return (struct outbox_state){ atomic_load(&outbox->length), atomic_load(&outbox->oldest_at) };
}

static int64_t outbox_now_ns(const struct outbox *outbox)
{
    return outbox->bus ? outbox->bus->now_ns() : clock_ns();
}

static struct err outbox_look(struct outbox *outbox)
{
    const int64_t now_ns = outbox_now_ns(outbox);
    size_t length = 0;
    int64_t oldest_at = 0;
    if (now_ns < outbox->look_ns)
        return OK;
    TRY(outbox->store->ops->count_events(outbox->store, OUTBOX_COUNTED_MAX, &length, &oldest_at));
    outbox->look_ns = now_ns + look_ns;
    atomic_store(&outbox->length, length);
    atomic_store(&outbox->oldest_at, oldest_at);
    return OK;
}

/* --- one event as it is put --------------------------------------------------------------------------------------- */

/* An event of an older version has no name: one is made of what it is, so that it is the same each time. */
static struct str outbox_name_detail(struct arena *arena, const struct event *event)
{
    unsigned char hash[32];
    char id[2 * ID_BYTES + 1];
    const struct str text = arena_printf(arena, "%lld %lld %.*s", (long long)event->position,
                                         (long long)event->created_at, (int)event->detail.len, event->detail.at);
    const bool is_empty = event->detail.len == 2; /* {} */
    sha256(text, hash);
    return arena_printf(arena, "{\"eventId\":\"%s\"%s%.*s", hex_write(hash, ID_BYTES, id).at, is_empty ? "" : ",",
                        (int)event->detail.len - 1, event->detail.at + 1);
}

/* Events of a token or a rule go by its hash, all others by their type. */
static struct batch_event outbox_read(struct arena *arena, const struct event *event)
{
    const struct json *detail = NULL, *hash;
    struct batch_event read = {
        .key = event->type, .entry = { .detail_type = event->type, .detail = event->detail, .at_s = event->created_at }
    };
    if (json_parse(arena, event->detail, &detail).code || detail->kind != JSON_OBJECT)
        return read; /* the bus refuses it */
    hash = json_member(detail, STR("tokenHash"));
    if (hash && hash->kind == JSON_STRING && hash->text.len > 0 && hash->text.len <= KEY_MAX)
        read.key = hash->text;
    if (!json_member(detail, STR("eventId")))
        read.entry.detail = outbox_name_detail(arena, event);
    return read;
}

static struct err outbox_list(const struct outbox *outbox, struct arena *arena, int64_t after, struct page *out)
{
    TRY(outbox->store->ops->list_events(outbox->store, arena, after, PAGE, &out->events, &out->count));
    out->batch = arena_alloc(arena, (out->count + 1) * sizeof *out->batch); /* one more: it may be empty */
    for (size_t i = 0; i < out->count; i++)
        out->batch[i] = outbox_read(arena, &out->events[i]);
    return OK;
}

/* --- what the bus did not take ------------------------------------------------------------------------------------ */

static struct held *outbox_held_at(struct outbox *outbox, int64_t position)
{
    for (size_t i = 0; i < outbox->held_count; i++)
        if (outbox->held[i].position == position)
            return &outbox->held[i];
    return NULL;
}

static void outbox_let_go(struct outbox *outbox, struct held *held)
{
    *held = outbox->held[--outbox->held_count];
}

/* ERR_UNAVAILABLE: there are too many already, so something is wrong with more than those. */
static struct err outbox_hold(struct outbox *outbox, const struct event *event, struct batch_event *batch,
                              enum put_outcome outcome)
{
    struct held *held = outbox_held_at(outbox, event->position);
    batch->state = EVENT_HELD;
    if (!held && outbox->held_count == OUTBOX_HELD_MAX)
        return failed(ERR_UNAVAILABLE, "EventBridge does not take too many of the events");
    if (!held) {
        held = &outbox->held[outbox->held_count++];
        *held = (struct held){ .position = event->position };
        memcpy(held->key, batch->key.at, batch->key.len < KEY_MAX ? batch->key.len : KEY_MAX);
    }
    held->tries++;
    const unsigned tries = outcome == PUT_REFUSED ? REFUSED_PAUSE_TRIES : held->tries;
    held->again_ns = outbox_now_ns(outbox) + event_bus_pause_ms(tries, random_number()) * 1000000;
    return OK;
}

/* Another instance may have told of some meanwhile: those that lie within the page and are not on it. */
static void outbox_forget_gone(struct outbox *outbox, const struct page *page, int64_t after)
{
    const int64_t last = page->count == PAGE ? page->events[PAGE - 1].position : INT64_MAX;
    for (size_t i = outbox->held_count; i-- > 0;) {
        bool is_there = outbox->held[i].position <= after || outbox->held[i].position > last;
        for (size_t j = 0; j < page->count && !is_there; j++)
            is_there = page->events[j].position == outbox->held[i].position;
        if (!is_there)
            outbox_let_go(outbox, &outbox->held[i]);
    }
}

/* Whether it, or an earlier one of its key, is held. */
static bool outbox_must_wait(const struct outbox *outbox, const struct event *event, struct str key)
{
    const struct str cut = { key.at, key.len < KEY_MAX ? key.len : KEY_MAX };
    for (size_t i = 0; i < outbox->held_count; i++)
        if (outbox->held[i].position <= event->position && str_eq(str_of(outbox->held[i].key), cut))
            return true;
    return false;
}

static void outbox_mark_waiting(const struct outbox *outbox, struct page *page)
{
    for (size_t i = 0; i < page->count; i++)
        if (page->batch[i].state != EVENT_TOLD)
            page->batch[i].state = outbox_must_wait(outbox, &page->events[i], page->batch[i].key) ? EVENT_HELD
                                                                                                  : EVENT_WAITING;
}

/* --- putting ------------------------------------------------------------------------------------------------------ */

/* Taken now, or again some seconds later: the lease says that this instance tells. ERR_CONFLICT: another one does. */
static struct err outbox_keep_lease(struct outbox *outbox)
{
    const int64_t now_ns = outbox_now_ns(outbox);
    if (outbox->leased_ns != 0 && now_ns - outbox->leased_ns < lease_again_ns)
        return OK;
    TRY(outbox->store->ops->take_lease(outbox->store, STR("events"), OUTBOX_LEASE_S));
    outbox->leased_ns = now_ns;
    return OK;
}

static void outbox_drop_lease(struct outbox *outbox)
{
    if (outbox->leased_ns == 0)
        return;
    const struct err err = outbox->store->ops->drop_lease(outbox->store, STR("events"));
    (void)err; /* it ends by itself */
    outbox->leased_ns = 0;
}

static struct err outbox_put(struct outbox *outbox, struct arena *arena, struct page *page, const size_t *picked,
                             size_t count, int64_t until_ns)
{
    struct put_entry entries[PUT_EVENTS_MAX];
    enum put_outcome outcomes[PUT_EVENTS_MAX];
    struct err err = OK;
    for (size_t i = 0; i < count; i++)
        entries[i] = page->batch[picked[i]].entry;
    TRY(outbox_keep_lease(outbox));
    TRY(event_bus_put(outbox->bus, arena, entries, count, until_ns, outcomes));
    for (size_t i = 0; i < count; i++) {
        const struct event *event = &page->events[picked[i]];
        if (outcomes[i] != PUT_TAKEN) {
            const struct err held = outbox_hold(outbox, event, &page->batch[picked[i]], outcomes[i]);
            err = held.code ? held : err;
            continue;
        }
        page->batch[picked[i]].state = EVENT_TOLD;
        struct held *held = outbox_held_at(outbox, event->position);
        if (held)
            outbox_let_go(outbox, held);
    }
    return err;
}

/* Those that were not taken before, each by itself when it is due. */
static struct err outbox_put_held(struct outbox *outbox, struct arena *arena, struct page *page, int64_t until_ns)
{
    for (size_t i = 0; i < page->count; i++) {
        const struct held *held = outbox_held_at(outbox, page->events[i].position);
        if (held && outbox_now_ns(outbox) >= held->again_ns)
            TRY(outbox_put(outbox, arena, page, &i, 1, until_ns));
    }
    return OK;
}

static struct err outbox_put_page(struct outbox *outbox, struct arena *arena, struct page *page, int64_t until_ns)
{
    size_t picked[PUT_EVENTS_MAX], count;
    TRY(outbox_put_held(outbox, arena, page, until_ns));
    outbox_mark_waiting(outbox, page);
    while ((count = event_batch_pick(page->batch, page->count, picked)) > 0)
        TRY(outbox_put(outbox, arena, page, picked, count, until_ns));
    return OK;
}

static struct err outbox_drop_told(struct outbox *outbox, struct page *page)
{
    size_t count = 0;
    for (size_t i = 0; i < page->count; i++)
        if (page->batch[i].state == EVENT_TOLD)
            page->events[count++] = page->events[i];
    if (count == 0)
        return OK;
    outbox->look_ns = 0;
    return outbox->store->ops->drop_events(outbox->store, page->events, count);
}

/* One page of those after *after. */
static struct err outbox_page(struct outbox *outbox, int64_t until_ns, int64_t *after, bool *is_last)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct page page;
    TRY(outbox_list(outbox, &arena, *after, &page));
    outbox_forget_gone(outbox, &page, *after);
    *is_last = page.count < PAGE;
    if (page.count > 0)
        *after = page.events[page.count - 1].position;
    const struct err put = outbox_put_page(outbox, &arena, &page, until_ns);
    TRY(outbox_drop_told(outbox, &page)); /* also when the rest could not be put */
    return put;
}

static struct err outbox_is_empty(struct outbox *outbox, bool *out)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct event *first = NULL;
    size_t count = 0;
    TRY(outbox->store->ops->list_events(outbox->store, &arena, 0, 1, &first, &count));
    *out = count == 0;
    return OK;
}

static struct err outbox_tell(struct outbox *outbox, int64_t until_ns)
{
    bool is_empty = false, is_last = false;
    int64_t after = 0;
    TRY(outbox_is_empty(outbox, &is_empty)); /* without a lease, which is a write */
    if (is_empty) {
        outbox->held_count = 0;
        return OK;
    }
    TRY(outbox_keep_lease(outbox));
    while (!is_last)
        TRY(outbox_page(outbox, until_ns, &after, &is_last));
    return OK;
}

struct err outbox_round(struct outbox *outbox, int64_t until_ns)
{
    struct err err = OK;
    TRY(outbox_look(outbox));
    if (outbox->bus && event_bus_is_open(outbox->bus)) {
        err = outbox_tell(outbox, until_ns);
        outbox_drop_lease(outbox);
        const struct err looked = outbox_look(outbox);
        err = err.code ? err : looked;
    } else if (outbox->bus) {
        err = failed(ERR_UNAVAILABLE, outbox->bus->why);
    }
    return err.code == ERR_CONFLICT ? OK : err;
}
