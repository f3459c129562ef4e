/* aws/put_events.c: writes the call, and reads what became of each entry. A 200 says nothing of the entries: each has
 * an EventId or an ErrorCode of its own, in the order in which they were sent. */
#include "aws/put_events.h"
#include "aws/call_error.h"
#include "aws/endpoint.h"
#include "aws/region.h"
#include "aws/retry.h"
#include "aws/signed_call.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/sentence.h"
#include "observe/log.h"
#include <stdlib.h>
#include <time.h>

#define SOURCE "storytailor.token-service"
#define DENIED "EventBridge denies access to the bus: see the permissions of events:PutEvents"
#define NOT_UNDERSTOOD "EventBridge gave a response that is not understood"
#define FAULTY "EventBridge has a fault"

enum {
    TIME_BYTES = 14, /* of an entry's time, as AWS counts it */
    ANSWER_MAX = 64 * 1024,
    BODY_MAX = 2 * 1024 * 1024, /* every byte of a detail may be escaped */
    TRIES_MAX = 3,              /* the first, and one after each of the two faults that can be mended */
    CHECK_MS = 5000,
};

struct put_events {
    const struct settings *settings;
    struct signed_caller caller;
    struct arena arena; /* of the place */
    struct aws_place place;
};

/* --- opening ------------------------------------------------------------------------------------------------------ */

/* A bus's ARN knows its region better than any setting. */
static struct err put_events_find_region(const struct settings *settings, struct arena *arena, struct str *out)
{
    const struct str of_bus = region_of_arn(str_of(settings->event_bus_name));
    if (of_bus.len == 0)
        return region_of_settings(settings, arena, "us-east-1", out);
    *out = arena_copy(arena, of_bus);
    return OK;
}

struct err put_events_open(const struct settings *settings, struct put_events **out)
{
    struct put_events *bus = mem_alloc(sizeof *bus);
    struct str region;
    *bus = (struct put_events){ .settings = settings };
    struct err err = signed_caller_open(&bus->caller, "events", settings);
    if (err.code) {
        free(bus);
        return err;
    }
    err = put_events_find_region(settings, &bus->arena, &region);
    if (err.code) {
        put_events_close(bus);
        return err;
    }
    bus->place = aws_place_in(settings, &bus->arena, "events", region);
    *out = bus;
    return OK;
}

void put_events_close(struct put_events *bus)
{
    if (!bus)
        return;
    signed_caller_close(&bus->caller);
    arena_release(&bus->arena);
    free(bus);
}

/* --- the call ----------------------------------------------------------------------------------------------------- */

size_t put_entry_bytes(const struct put_entry *entry)
{
    return TIME_BYTES + sizeof SOURCE - 1 + entry->detail_type.len + entry->detail.len;
}

static struct err put_events_write(const struct put_events *bus, struct arena *arena, const struct put_entry *entries,
                                   size_t count, struct str *out)
{
    struct buf body;
    buf_init(&body, arena, 8192, BODY_MAX);
    buf_add(&body, STR("{\"Entries\":["));
    for (size_t i = 0; i < count; i++) {
        buf_add(&body, i == 0 ? STR("{") : STR(",{"));
        json_write_int(&body, STR("Time"), entries[i].at_s);
        json_write_text(&body, STR("Source"), STR(SOURCE));
        json_write_text(&body, STR("DetailType"), entries[i].detail_type);
        json_write_text(&body, STR("Detail"), entries[i].detail);
        json_write_text(&body, STR("EventBusName"), str_of(bus->settings->event_bus_name));
        buf_add_char(&body, '}');
    }
    buf_add(&body, STR("]}"));
    *out = buf_str(&body);
    return body.overflowed ? failed(ERR_INTERNAL, "the events are too large for one call") : OK;
}

/* --- what became of the entries ----------------------------------------------------------------------------------- */

static enum put_outcome put_events_outcome_of(struct str code)
{
    static const char *const passing[] = {
        "InternalFailure",    "InternalException",           "InternalError",
        "ServiceUnavailable", "ServiceUnavailableException", "ConcurrentModificationException"
    };
    if (retry_is_throttling(code))
        return PUT_THROTTLED;
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (str_eq(code, str_of(passing[i])))
            return PUT_FAILED;
    return PUT_REFUSED;
}

static bool put_events_read_entry(const struct json *entry, enum put_outcome *out)
{
    const struct json *id = json_member(entry, STR("EventId")), *code = json_member(entry, STR("ErrorCode"));
    if (code && code->kind == JSON_STRING && code->text.len > 0) {
        *out = put_events_outcome_of(code->text);
        LOG(*out == PUT_REFUSED ? LOG_ERROR : LOG_DEBUG, "event_not_taken", LOG_STR("code", code->text));
        return true;
    }
    *out = PUT_TAKEN;
    return id && id->kind == JSON_STRING && id->text.len > 0;
}

/* NULL: they are not so many. */
static const struct json *put_events_entries(struct arena *arena, struct str body, size_t count)
{
    const struct json *json = NULL, *entries;
    if (json_parse(arena, body, &json).code)
        return NULL;
    entries = json_member(json, STR("Entries"));
    return entries && entries->kind == JSON_ARRAY && entries->count == count ? entries->child : NULL;
}

bool put_events_read(struct arena *arena, struct str body, size_t count, enum put_outcome outcomes[])
{
    const struct json *entry = put_events_entries(arena, body, count);
    size_t i = 0;
    for (; entry; entry = entry->next)
        if (!put_events_read_entry(entry, &outcomes[i++]))
            return false;
    return i > 0;
}

/* An EventBridge that takes such an entry takes any. */
struct err put_events_read_check(struct arena *arena, struct str body)
{
    static const struct {
        const char *code, *why;
    } known[] = {
        { "MalformedDetail", NULL },
        { "AccessDeniedException", DENIED },
        { "NotAuthorizedForSourceException", DENIED },
        { "NotAuthorizedForDetailTypeException", DENIED },
    };
    const struct json *entry = put_events_entries(arena, body, 1), *code;
    enum put_outcome outcome;
    if (!entry)
        return failed(ERR_UNAVAILABLE, NOT_UNDERSTOOD);
    code = json_member(entry, STR("ErrorCode"));
    for (size_t i = 0; code && code->kind == JSON_STRING && i < sizeof known / sizeof *known; i++)
        if (str_eq(code->text, str_of(known[i].code)))
            return known[i].why ? failed(ERR_UNAVAILABLE, known[i].why) : OK;
    if (!put_events_read_entry(entry, &outcome))
        return failed(ERR_UNAVAILABLE, NOT_UNDERSTOOD);
    return outcome == PUT_TAKEN ? OK
           : outcome == PUT_REFUSED
               ? failed(ERR_UNAVAILABLE, "EventBridge refuses events for this bus; the log has its code")
               : failed(ERR_UNAVAILABLE, FAULTY);
}

/* --- tries -------------------------------------------------------------------------------------------------------- */

/* A call as a whole. */
struct attempt {
    struct str body;
    int64_t deadline_ns;
    unsigned tries;
    bool moved_clock, changed_credentials; /* each mends a call once */
    bool again, is_throttled;
};

static struct err put_events_judge(struct put_events *bus, struct arena *arena, uint64_t serial,
                                   const struct net_answer *answer, struct attempt *attempt)
{
    const struct aws_error error = aws_error_read(arena, answer->status, answer->error_type, answer->body);
    LOG(error.verdict == AWS_THROTTLED ? LOG_DEBUG : LOG_WARN, "eventbridge_error", LOG_INT("status", answer->status),
        LOG_STR("code", error.code), LOG_STR("request_id", answer->request_id));
    attempt->is_throttled = error.verdict == AWS_THROTTLED;
    if (error.verdict == AWS_WRONG_CLOCK && !attempt->moved_clock) {
        signed_caller_move_clock(&bus->caller, answer);
        attempt->moved_clock = attempt->again = true;
    }
    if (error.verdict == AWS_BAD_CREDENTIALS && !attempt->changed_credentials) {
        credentials_refused(bus->caller.credentials, serial);
        attempt->changed_credentials = attempt->again = true;
    }
    if (error.verdict == AWS_THROTTLED)
        return failed(ERR_UNAVAILABLE, "EventBridge is overloaded, or called too often");
    if (error.verdict == AWS_AGAIN)
        return failed(ERR_UNAVAILABLE, FAULTY);
    return failed(ERR_UNAVAILABLE, str_eq(error.code, STR("AccessDeniedException"))
                                       ? DENIED
                                       : "EventBridge refused the call; the log has its code");
}

static struct err put_events_send(struct put_events *bus, struct arena *arena, const struct attempt *attempt,
                                  const struct aws_credentials *credentials, struct net_answer *answer)
{
    const int64_t left_ms = (attempt->deadline_ns - clock_ns()) / 1000000;
    const struct signed_call call = { .place = &bus->place,
                                      .target = "AWSEvents.PutEvents",
                                      .body = attempt->body,
                                      .timeout_ms = left_ms,
                                      .answer_max = ANSWER_MAX };
    if (left_ms <= 0)
        return failed(ERR_UNAVAILABLE, "there was no time left to call EventBridge");
    const struct err err = signed_call_send(&bus->caller, arena, &call, credentials, answer);
    if (err.code)
        return failed(ERR_UNAVAILABLE, sentence_keep("EventBridge can't be reached", "EventBridge (%s): %s",
                                                     endpoint_setting(bus->settings, "events"), err.why));
    return OK;
}

static struct err put_events_try(struct put_events *bus, struct arena *arena, struct attempt *attempt,
                                 struct net_answer *out)
{
    const struct aws_credentials *credentials = NULL;
    *out = (struct net_answer){ 0 };
    attempt->again = false;
    TRY(credentials_get(bus->caller.credentials, signed_caller_time_s(&bus->caller), &credentials));
    const uint64_t serial = credentials->serial;
    const struct err err = put_events_send(bus, arena, attempt, credentials, out);
    credentials_put(bus->caller.credentials, credentials);
    TRY(err);
    return out->status == 200 ? OK : put_events_judge(bus, arena, serial, out, attempt);
}

/* OK: *out is a response 200. */
static struct err put_events_call(struct put_events *bus, struct arena *arena, struct attempt *attempt,
                                  struct net_answer *out)
{
    struct err err;
    do {
        attempt->tries++;
        err = put_events_try(bus, arena, attempt, out);
    } while (err.code && attempt->again && attempt->tries < TRIES_MAX);
    return err;
}

struct err put_events(void *bus, struct arena *arena, const struct put_entry *entries, size_t count, int64_t timeout_ms,
                      enum put_outcome outcomes[], bool *is_throttled)
{
    struct attempt attempt = { .deadline_ns = clock_ns() + timeout_ms * 1000000 };
    struct net_answer answer;
    TRY(put_events_write(bus, arena, entries, count, &attempt.body));
    const struct err err = put_events_call(bus, arena, &attempt, &answer);
    *is_throttled = attempt.is_throttled;
    TRY(err);
    if (put_events_read(arena, answer.body, count, outcomes))
        return OK;
    LOG(LOG_ERROR, "eventbridge_answer_malformed", LOG_STR("request_id", answer.request_id));
    return failed(ERR_UNAVAILABLE, NOT_UNDERSTOOD);
}

/* Of a type that the permission may be restricted to, as it may be to the source. */
struct err put_events_check(struct put_events *bus, struct arena *arena)
{
    const struct put_entry entry = { STR("token_generated"), STR("none"), (int64_t)time(NULL) };
    struct attempt attempt = { .deadline_ns = clock_ns() + (int64_t)CHECK_MS * 1000000 };
    struct net_answer answer;
    TRY(put_events_write(bus, arena, &entry, 1, &attempt.body));
    TRY(put_events_call(bus, arena, &attempt, &answer));
    return put_events_read_check(arena, answer.body);
}
