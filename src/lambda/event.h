/* lambda/event.h: an event as it came, and who sent it: what distinguishes the kinds is documented by AWS, but nowhere
 * in one place. */
#ifndef LAMBDA_EVENT_H
#define LAMBDA_EVENT_H

#include "base/json.h"

enum event_kind {
    EVENT_REST,         /* API Gateway, REST API; an HTTP API with payload format 1.0 is the same */
    EVENT_HTTP,         /* API Gateway, HTTP API, payload format 2.0 */
    EVENT_FUNCTION_URL, /* the same from a Function URL */
    EVENT_ALB,          /* Application Load Balancer */
    EVENT_BUS,          /* EventBridge */
    EVENT_SCHEDULE,     /* EventBridge, or its Scheduler, by the clock */
    EVENT_OTHER,
};

struct event {
    enum event_kind kind;
    const struct json *json; /* an object */
    bool has_lists;          /* REST and ALB: multiValueHeaders, and the answer is to have them too */
};

/* Reads an event; its strings are views into `text` or the arena. ERR_INVALID_REQUEST: it is not JSON, or more of it
 * than any event of AWS's (base/json.h). What is no object, or nobody's that is known, is EVENT_OTHER. Fuzzed:
 * tests/fuzz/lambda_event.c. */
MUST_USE struct err event_read(struct arena *arena, struct str text, struct event *out);

static inline bool event_is_http(const struct event *event)
{
    return event->kind <= EVENT_ALB;
}

/* The string at the end of a path of at most three names, where "" ends it; {NULL, 0}: there is none. */
struct str event_text(const struct event *event, struct str first, struct str second, struct str third);
/* The object or list that a name has, or a name in an object of that name; NULL: there is none. */
const struct json *event_part(const struct event *event, struct str first, struct str second);

#endif
