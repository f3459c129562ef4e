/* lambda/invocation.c: three ways, by the event's kind. */
#include "lambda/invocation.h"
#include "base/clock.h"
#include "base/sentence.h"
#include "base/wall_clock.h"
#include "lambda/bus_event.h"
#include "lambda/http_answer.h"
#include "oauth/oauth.h"
#include "observe/log.h"
#include "service/emf_flush.h"
#include "service/events.h"
#include "service/housekeeping.h"
#include "service/once.h"
#include "service/service.h"
#include "service/thaw.h"

enum {
    MARGIN_LEAST_MS = 100, /* between our answer and Lambda's end; a refusal takes a millisecond */
    MARGIN_MOST_MS = 500,
    MARGIN_SHARE = 8,         /* of the time that is left */
    CLAIM_S = 50,             /* an event that failed comes again after a minute at the earliest */
    REMEMBERED_S = 48 * 3600, /* a bus delivers for a day, and Lambda tries for six hours */
    ANSWER_FIRST = 2048,
    ANSWER_MAX = RUNTIME_ANSWER_MAX,
};

const struct err invocation_too_late = { ERR_UNAVAILABLE, "there was not enough time for the request; try again" };

/* --- time -------------------------------------------------------------------------------------------------------- */

bool invocation_limit_of(int64_t deadline_ms, struct invocation_limit *out)
{
    *out = (struct invocation_limit){ INT64_MAX, INT64_MAX };
    if (deadline_ms == INT64_MAX)
        return true;
    const int64_t now_ms = wall_clock_day_ms(), left_ms = deadline_ms - now_ms;
    int64_t margin_ms = left_ms / MARGIN_SHARE;
    if (margin_ms < MARGIN_LEAST_MS)
        margin_ms = MARGIN_LEAST_MS;
    else if (margin_ms > MARGIN_MOST_MS)
        margin_ms = MARGIN_MOST_MS;
    if (left_ms <= margin_ms)
        return false;
    enum { DAY_MS = 86400000 }; /* no function has longer */
    const int64_t time_ms = left_ms - margin_ms < DAY_MS ? left_ms - margin_ms : DAY_MS;
    *out = (struct invocation_limit){ clock_ns() + time_ms * 1000000, now_ms + time_ms };
    return true;
}

bool invocation_is_over(const struct invocation_limit *limit)
{
    return clock_ns() >= limit->at_ns || wall_clock_day_ms() >= limit->at_wall_ms;
}

/* --- refusing ---------------------------------------------------------------------------------------------------- */

static void invocation_fail(struct invocation_end *out, const char *type, const char *why)
{
    *out = (struct invocation_end){ .failure = sentence_for_callers(why), .type = type };
}

static void invocation_take(struct invocation_end *out, const struct buf *answer)
{
    if (answer->overflowed)
        invocation_fail(out, "Function.ResponseSizeTooLarge", "the answer is too large");
    else
        *out = (struct invocation_end){ .answer = buf_str(answer) };
}

void invocation_refuse(struct arena *arena, const struct invocation_form *form, struct err err,
                       struct invocation_end *out)
{
    struct buf answer;
    buf_init(&answer, arena, ANSWER_FIRST, ANSWER_MAX);
    if (!form && err.code != ERR_UNAVAILABLE) {
        http_answer_write_refusal(arena, err, &answer);
    } else if (form && event_is_http(&form->event)) {
        const struct request request = { .arena = arena, .method = form->method, .id = form->id };
        struct response response;
        response_init(&response, arena);
        response_fail(&response, arena, err);
        http_answer_write(&form->event, &request, &response, &answer);
    } else {
        invocation_fail(out, "Function.Unavailable", err.why);
        return;
    }
    invocation_take(out, &answer);
}

void invocation_refuse_unread(struct arena *arena, const struct runtime_event *event, struct err err,
                              struct invocation_end *out)
{
    struct invocation_form form = { .method = METHOD_OTHER, .id = event->id };
    const bool is_known = event->body.at && !event_read(arena, event->body, &form.event).code &&
                          form.event.kind != EVENT_OTHER;
    invocation_refuse(arena, is_known ? &form : NULL, err, out);
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

static struct request invocation_request(struct arena *arena, struct str id)
{
    const int64_t now_ms = wall_clock_day_ms();
    return (struct request){ .arena = arena, .now_s = now_ms / 1000, .now_ms = now_ms, .id = id };
}

/* What is published for anybody needs no revocations, and must be had also when those can't be read. */
static bool invocation_needs_revocations(const struct request *request)
{
    return !(request->method & (METHOD_GET | METHOD_HEAD)) ||
           !(str_has_prefix(request->path, STR("/.well-known/")) || str_eq(request->path, STR("/health/live")));
}

static void invocation_answer_http(const struct invocations *all, struct invocation_form *form, struct request *request,
                                   struct err fault, struct invocation_end *out)
{
    const int64_t began_ns = clock_ns();
    struct response response;
    struct buf answer;
    if (fault.code) {
        response_init(&response, request->arena);
        response_fail(&response, request->arena, fault);
    } else {
        thaw_catch_up(all->thaw, invocation_needs_revocations(request));
        local_call(all->service, request, &response);
    }
    buf_init(&answer, request->arena, response.body.len + ANSWER_FIRST, ANSWER_MAX);
    http_answer_write(&form->event, request, &response, &answer);
    service_account(request, &response, clock_ns() - began_ns);
    invocation_take(out, &answer);
    out->has_recorded = response.records != NULL;
}

/* --- EventBridge ------------------------------------------------------------------------------------------------- */

/* Claims an event that is to be done once. *again: it has been done. */
static struct err invocation_claim(const struct invocations *all, struct request *request, const struct bus_event *bus,
                                   struct once *once, bool *again)
{
    enum once_state state;
    *again = false;
    *once = (struct once){ .name = arena_printf(request->arena, "event:%.*s", (int)bus->id.len, bus->id.at),
                           .now_s = request->now_s,
                           .until_s = request->now_s + CLAIM_S,
                           .remembered_s = request->now_s + REMEMBERED_S };
    TRY(once_claim(all->service, request->arena, once, &state));
    *again = state == ONCE_DONE;
    return OK;
}

/* The operation, with the note that it has been done. */
static void invocation_do_once(const struct invocations *all, struct request *request, const struct bus_event *bus,
                               struct response *response)
{
    struct once once;
    bool again;
    const struct err err = invocation_claim(all, request, bus, &once, &again);
    response_init(response, request->arena);
    if (err.code) {
        response_fail(response, request->arena, err);
    } else if (again) {
        metrics_count(COUNT_LAMBDA_DUPLICATES, 1);
        LOG(LOG_INFO, "event_again", LOG_STR("event_id", bus->id));
        buf_add(&response->body, STR("{\"duplicate\":true}"));
    } else {
        local_call_with(all->service, request, once_done(request->arena, &once), response);
        if (response->status >= 400)
            once_give_back(all->service, request->arena, &once);
    }
}

static void invocation_answer_bus(const struct invocations *all, const struct bus_event *bus, struct request *request,
                                  struct err fault, struct invocation_end *out)
{
    const int64_t began_ns = clock_ns();
    struct response response;
    struct buf answer;
    response_init(&response, request->arena);
    if (fault.code) {
        response_fail(&response, request->arena, fault);
    } else {
        thaw_catch_up(all->thaw, request->method == METHOD_POST);
        if (bus->is_once)
            invocation_do_once(all, request, bus, &response);
        else
            local_call(all->service, request, &response);
    }
    service_account(request, &response, clock_ns() - began_ns);
    if (bus_event_may_come_again(&response)) {
        invocation_fail(out, "Function.Unavailable", "the event can't be dealt with now; try again");
        return;
    }
    buf_init(&answer, request->arena, response.body.len + ANSWER_FIRST, ANSWER_MAX);
    bus_event_answer(&response, &answer);
    invocation_take(out, &answer);
    out->has_recorded = bus->is_once; /* a rotation records by itself */
}

/* --- schedules --------------------------------------------------------------------------------------------------- */

/* All that a daemon does by itself. Twice where the clock seems to be ahead: by then the store has said what the time
 * is (housekeeping.h). */
static bool invocation_keep_house(const struct invocations *all, int64_t until_ns)
{
    struct service *service = all->service;
    housekeeping_nudge(service->housekeeping);
    bool has_more = housekeeping_round_now(service->housekeeping, until_ns);
    if (atomic_load(&service->state.clock_ahead_s) == 0)
        has_more = housekeeping_round_now(service->housekeeping, until_ns);
    return oauth_round_now(service, until_ns) || has_more;
}

static void invocation_answer_schedule(const struct invocations *all, struct arena *arena,
                                       const struct invocation_limit *limit, struct invocation_end *out)
{
    const int64_t now_ns = clock_ns();
    const int64_t until_ns = limit->at_ns == INT64_MAX ? INT64_MAX : now_ns + (limit->at_ns - now_ns) / 4 * 3;
    const bool has_more = invocation_keep_house(all, until_ns);
    const struct service_state *state = &all->service->state;
    const bool is_well = atomic_load(&state->store_ok) && atomic_load(&state->keys_ok);
    LOG(LOG_INFO, "schedule",
        LOG_TEXT_("outcome", !is_well   ? "failed"
                             : has_more ? "to_go_on"
                                        : "complete"),
        LOG_INT("duration_us", (clock_ns() - now_ns) / 1000));
    if (!is_well)
        invocation_fail(out, "Function.Unavailable", "the store or the signer does not answer; try again");
    else
        out->answer = arena_printf(arena, "{\"statusCode\":200,\"body\":{\"complete\":%s}}",
                                   has_more ? "false" : "true");
}

/* --- one event --------------------------------------------------------------------------------------------------- */

static void invocation_count(enum event_kind kind)
{
    metrics_count(kind == EVENT_BUS        ? COUNT_LAMBDA_BUS
                  : kind == EVENT_SCHEDULE ? COUNT_LAMBDA_SCHEDULE
                  : kind == EVENT_OTHER    ? COUNT_LAMBDA_REFUSED
                                           : COUNT_LAMBDA_HTTP,
                  1);
}

void invocation_run(const struct invocations *all, struct arena *arena, const struct runtime_event *event,
                    const struct invocation_limit *limit,
                    void (*read)(void *context, const struct invocation_form *form), void *context,
                    struct invocation_end *out)
{
    struct invocation_form *form = arena_zalloc(arena, sizeof *form);
    struct request request = invocation_request(arena, event->id);
    struct bus_event bus = { .is_once = false };
    struct err fault = event_read(arena, event->body, &form->event);
    *out = (struct invocation_end){ .failure = NULL };
    invocation_count(form->event.kind);
    if (!fault.code && form->event.kind == EVENT_OTHER)
        fault = failed(ERR_INVALID_REQUEST, "the event is none that this function takes");
    if (form->event.kind == EVENT_OTHER) {
        LOG(LOG_INFO, "event_refused", LOG_TEXT_("why", fault.why));
        invocation_refuse(arena, NULL, fault, out);
        return;
    }
    if (event_is_http(&form->event)) {
        fault = http_event_read(&form->event, &all->rules, &request);
        const struct str id = headers_value(request.headers, arena, STR("X-Request-Id"));
        if (request_id_is_harmless(id))
            request.id = id;
    } else if (form->event.kind == EVENT_BUS) {
        fault = bus_event_read(&form->event, &bus, &request);
    }
    form->method = request.method;
    form->id = request.id;
    read(context, form);
    if (event_is_http(&form->event))
        invocation_answer_http(all, form, &request, fault, out);
    else if (form->event.kind == EVENT_BUS)
        invocation_answer_bus(all, &bus, &request, fault, out);
    else
        invocation_answer_schedule(all, arena, limit, out);
}

void invocation_tell(const struct invocations *all)
{
    emf_flush(all->service);
}

/* Each environment has failed verifications of its own to tell of, and a schedule reaches one of them. The outbox can
 * be told of by any; what fails now is left to that. */
void invocation_settle(const struct invocations *all, const struct invocation_end *end,
                       const struct invocation_limit *limit)
{
    struct service *service = all->service;
    if (invocation_is_over(limit)) /* Lambda would end the process in the middle of it */
        return;
    housekeeping_settle(service->housekeeping, limit->at_ns);
    if (service->events && (end->has_recorded || events_state(service->events).queue_length > 0)) {
        const struct err err = events_round_now(service->events, limit->at_ns);
        (void)err;
    }
}
