/* lambda/slot.c: whose a slot is says its `turn`, under the slot's lock: a thread whose turn is over has lost it. */
#include "lambda/slot.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/condition.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "service/thaw.h"
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    STACK_BYTES = 512 * 1024,
    ROOM = 96 * 1024,  /* of an event's arena, before it takes more: most need none */
    FAILURES_MAX = 10, /* of the runtime API, in a row */
    PAUSE_MS = 20,     /* after one; each further one doubles it */
    PAUSE_MAX_MS = 1000,
    WATCH_NS = 1000000000, /* at least so often the slots are looked at */
    LATE_MAX = 16,         /* threads that have lost their slot and still wait */
    ID_ROOM = 129,
};

struct slot {
    struct slots *slots;
    pthread_mutex_t lock;
    unsigned turn; /* of all that follows, under the lock */
    bool is_busy;  /* an event is in work */
    bool is_read;  /* its form is known */
    struct invocation_limit limit;
    struct event event; /* its kind and form */
    enum method method;
    char id[ID_ROOM]; /* the event's */
    char request_id[ID_ROOM];
};

/* A thread of a slot. */
struct turn {
    struct slot *slot;
    unsigned number;
    struct runtime *runtime;
    struct arena arena;
    char room[ROOM];
};

struct slots {
    const struct invocations *all;
    const char *authority;
    int stop_fd;
    void (*look)(void *context);
    void *context;
    struct runtime *speaker; /* of whoever watches */
    _Atomic int64_t watched_until_ns;
    atomic_bool has_given_up;
    pthread_mutex_t lock;
    pthread_cond_t ended;
    size_t threads, late; /* under the lock: all that run; of them, those that have lost their slot */
    size_t count;
    struct slot of[];
};

/* --- an event ---------------------------------------------------------------------------------------------------- */

static void slot_copy(char to[ID_ROOM], struct str id)
{
    const size_t len = id.len < ID_ROOM ? id.len : ID_ROOM - 1;
    memcpy(to, id.at, len);
    to[len] = '\0';
}

static void slot_begin(struct slot *slot, const struct runtime_event *event, const struct invocation_limit *limit)
{
    struct slots *slots = slot->slots;
    pthread_mutex_lock(&slot->lock);
    slot->is_busy = true;
    slot->is_read = false;
    slot->limit = *limit;
    slot_copy(slot->id, event->id);
    pthread_mutex_unlock(&slot->lock);
    if (limit->at_ns < atomic_load(&slots->watched_until_ns))
        slots->look(slots->context);
}

/* The form is known: a refusal would have it. */
static void slot_note_form(void *context, const struct invocation_form *form)
{
    const struct turn *turn = context;
    struct slot *slot = turn->slot;
    pthread_mutex_lock(&slot->lock);
    if (slot->turn == turn->number) {
        slot->is_read = true;
        slot->event = (struct event){ .kind = form->event.kind, .has_lists = form->event.has_lists };
        slot->method = form->method;
        slot_copy(slot->request_id, form->id);
    }
    pthread_mutex_unlock(&slot->lock);
}

/* False: somebody has answered in its place. */
static bool slot_end(const struct turn *turn)
{
    struct slot *slot = turn->slot;
    pthread_mutex_lock(&slot->lock);
    const bool is_ours = slot->turn == turn->number;
    if (is_ours)
        slot->is_busy = false;
    pthread_mutex_unlock(&slot->lock);
    return is_ours;
}

static void slot_say(struct runtime *runtime, struct arena *arena, struct str id, const struct invocation_end *end)
{
    const struct err err = end->answer.at ? runtime_answer(runtime, arena, id, end->answer)
                                          : runtime_fail(runtime, arena, id, end->type, end->failure);
    (void)err; /* it has been logged */
}

static void slot_decide(struct turn *turn, const struct runtime_event *event, struct err fault,
                        struct invocation_limit *limit, struct invocation_end *end)
{
    struct slots *slots = turn->slot->slots;
    if (!invocation_limit_of(event->deadline_ms, limit)) {
        *limit = (struct invocation_limit){ INT64_MAX, INT64_MAX };
        metrics_count(COUNT_LAMBDA_DEADLINES, 1);
        LOG(LOG_WARN, "deadline_near", LOG_TEXT_("stage", "before"));
        fault = invocation_too_late;
    }
    slot_begin(turn->slot, event, limit);
    if (!fault.code)
        invocation_run(slots->all, &turn->arena, event, limit, slot_note_form, turn, end);
    else
        invocation_refuse_unread(&turn->arena, event, fault, end);
    if (fault.code)
        limit->at_ns = 0; /* nothing more is begun for it */
}

/* False: the slot is another thread's now. */
static bool slot_handle(struct turn *turn, const struct runtime_event *event, struct err fault)
{
    const struct log_field fields[] = { LOG_STR("aws_request_id", event->id), LOG_STR("trace_id", event->trace_id),
                                        LOG_INT("deadline_ms", event->deadline_ms) };
    struct invocation_limit limit;
    struct invocation_end end;
    log_context(fields, event->deadline_ms == INT64_MAX ? 2 : 3);
    thaw_look_at_clock(turn->slot->slots->all->thaw);
    slot_decide(turn, event, fault, &limit, &end);
    invocation_tell(turn->slot->slots->all);
    const bool is_ours = slot_end(turn);
    if (is_ours) {
        slot_say(turn->runtime, &turn->arena, event->id, &end);
        invocation_settle(turn->slot->slots->all, &end, &limit);
    } else {
        LOG(LOG_WARN, "too_late", LOG_TEXT_("why", "the event was answered with 503 before its work had ended"));
    }
    log_context(NULL, 0);
    return is_ours;
}

/* --- a thread ---------------------------------------------------------------------------------------------------- */

static bool slot_is_stopped(const struct slots *slots, int64_t wait_ms)
{
    struct pollfd fd = { slots->stop_fd, POLLIN, 0 };
    return poll(&fd, 1, (int)wait_ms) > 0;
}

/* After a failure of the runtime API. False: enough of them. */
static bool slot_bears(struct slots *slots, unsigned failures, struct err err)
{
    if (slot_is_stopped(slots, 0))
        return false;
    LOG(LOG_WARN, "runtime_api_failed", LOG_TEXT_("why", err.why), LOG_INT("failures", failures));
    if (failures >= FAILURES_MAX) {
        atomic_store(&slots->has_given_up, true);
        slots->look(slots->context);
        return false;
    }
    return !slot_is_stopped(slots, backoff(PAUSE_MS, PAUSE_MAX_MS, failures));
}

static void slot_serve(struct turn *turn)
{
    struct slots *slots = turn->slot->slots;
    unsigned failures = 0;
    bool goes_on = true;
    while (goes_on) {
        struct runtime_event event;
        arena_init(&turn->arena, turn->room, sizeof turn->room);
        const struct err err = runtime_next(turn->runtime, &turn->arena, &event);
        if (err.code == ERR_UNAVAILABLE) {
            goes_on = slot_bears(slots, ++failures, err);
        } else {
            failures = 0;
            goes_on = slot_handle(turn, &event, err);
        }
        arena_wipe(&turn->arena, turn->room, sizeof turn->room); /* it may have held tokens and secrets */
        arena_release(&turn->arena);
    }
}

static void *slot_run(void *arg)
{
    struct turn *turn = arg;
    struct slot *slot = turn->slot;
    struct slots *slots = slot->slots;
    pthread_setname_np(pthread_self(), "invocation");
    slot_serve(turn);
    pthread_mutex_lock(&slot->lock);
    const bool was_late = slot->turn != turn->number;
    pthread_mutex_unlock(&slot->lock);
    runtime_free(turn->runtime);
    free(turn);
    pthread_mutex_lock(&slots->lock);
    slots->threads--;
    slots->late -= was_late;
    pthread_cond_broadcast(&slots->ended);
    pthread_mutex_unlock(&slots->lock);
    return NULL;
}

static struct err slot_start(struct slot *slot, unsigned number)
{
    struct slots *slots = slot->slots;
    struct turn *turn = mem_alloc(sizeof *turn);
    pthread_attr_t attributes;
    pthread_t thread;
    turn->slot = slot;
    turn->number = number;
    turn->runtime = runtime_new(slots->authority, slots->stop_fd);
    pthread_mutex_lock(&slots->lock);
    slots->threads++;
    pthread_mutex_unlock(&slots->lock);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    const bool started = pthread_create(&thread, &attributes, slot_run, turn) == 0;
    pthread_attr_destroy(&attributes);
    if (started)
        return OK;
    runtime_free(turn->runtime);
    free(turn);
    pthread_mutex_lock(&slots->lock);
    slots->threads--;
    pthread_mutex_unlock(&slots->lock);
    return failed(ERR_INTERNAL, "a thread for events could not be started");
}

/* --- watching ---------------------------------------------------------------------------------------------------- */

/* What is said in the place of a thread that still waits. */
struct slot_taken {
    bool is_taken, is_read;
    unsigned turn;
    struct event event;
    enum method method;
    char id[ID_ROOM], request_id[ID_ROOM];
};

/* Takes the slot from its thread when the event's time is over; *at_ns: until when there is time. */
static struct slot_taken slot_take(struct slot *slot, int64_t *at_ns)
{
    struct slot_taken taken = { .is_taken = false };
    pthread_mutex_lock(&slot->lock);
    *at_ns = slot->is_busy ? slot->limit.at_ns : INT64_MAX;
    if (slot->is_busy && invocation_is_over(&slot->limit)) {
        slot->is_busy = false;
        taken = (struct slot_taken){ true, slot->is_read, ++slot->turn, slot->event, slot->method, "", "" };
        memcpy(taken.id, slot->id, ID_ROOM);
        memcpy(taken.request_id, slot->request_id, ID_ROOM);
        *at_ns = INT64_MAX;
    }
    pthread_mutex_unlock(&slot->lock);
    return taken;
}

static void slot_answer_for(struct slots *slots, const struct slot_taken *taken)
{
    const struct log_field field = LOG_TEXT_("aws_request_id", taken->id);
    const struct invocation_form form = { taken->event, taken->method, str_of(taken->request_id) };
    struct invocation_end end;
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    log_context(&field, 1);
    metrics_count(COUNT_LAMBDA_DEADLINES, 1);
    LOG(LOG_WARN, "deadline_near", LOG_TEXT_("stage", "during"));
    invocation_refuse(&arena, taken->is_read ? &form : NULL, invocation_too_late, &end);
    slot_say(slots->speaker, &arena, str_of(taken->id), &end);
    log_context(NULL, 0);
}

/* A thread that lost its slot goes on by itself; there must not be ever more of them. */
static void slot_replace(struct slots *slots, struct slot *slot, unsigned turn)
{
    pthread_mutex_lock(&slots->lock);
    const bool are_too_many = ++slots->late > LATE_MAX;
    pthread_mutex_unlock(&slots->lock);
    if (are_too_many || slot_start(slot, turn).code)
        atomic_store(&slots->has_given_up, true);
}

int64_t slots_watch(struct slots *slots)
{
    int64_t until_ns = clock_ns() + WATCH_NS;
    atomic_store(&slots->watched_until_ns, INT64_MAX); /* what begins from here on is told, not missed */
    for (size_t i = 0; i < slots->count; i++) {
        int64_t at_ns;
        const struct slot_taken taken = slot_take(&slots->of[i], &at_ns);
        if (at_ns < until_ns)
            until_ns = at_ns;
        if (!taken.is_taken)
            continue;
        slot_answer_for(slots, &taken);
        slot_replace(slots, &slots->of[i], taken.turn);
    }
    atomic_store(&slots->watched_until_ns, until_ns);
    return until_ns;
}

bool slots_have_given_up(struct slots *slots)
{
    return atomic_load(&slots->has_given_up);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

struct slots *slots_new(const struct invocations *all, size_t count, const char *authority, int stop_fd,
                        void (*look)(void *context), void *context)
{
    struct slots *slots = mem_alloc(sizeof *slots + count * sizeof *slots->of);
    *slots = (struct slots){ .all = all,
                             .authority = authority,
                             .stop_fd = stop_fd,
                             .look = look,
                             .context = context,
                             .speaker = runtime_new(authority, stop_fd),
                             .count = count };
    pthread_mutex_init(&slots->lock, NULL);
    condition_init(&slots->ended);
    for (size_t i = 0; i < count; i++) {
        slots->of[i] = (struct slot){ .slots = slots };
        pthread_mutex_init(&slots->of[i].lock, NULL);
    }
    return slots;
}

struct err slots_start(struct slots *slots)
{
    for (size_t i = 0; i < slots->count; i++)
        TRY(slot_start(&slots->of[i], 0));
    return OK;
}

bool slots_end(struct slots *slots, int64_t patience_ms)
{
    const int64_t until_ns = clock_ns() + patience_ms * 1000000;
    pthread_mutex_lock(&slots->lock);
    while (slots->threads > 0 && condition_wait_until(&slots->ended, &slots->lock, until_ns))
        ;
    const bool have_ended = slots->threads == 0;
    pthread_mutex_unlock(&slots->lock);
    return have_ended;
}

void slots_free(struct slots *slots)
{
    for (size_t i = 0; i < slots->count; i++)
        pthread_mutex_destroy(&slots->of[i].lock);
    runtime_free(slots->speaker);
    pthread_cond_destroy(&slots->ended);
    pthread_mutex_destroy(&slots->lock);
    free(slots);
}
