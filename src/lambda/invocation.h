/* lambda/invocation.h: one event, from its bytes to the answer. */
#ifndef LAMBDA_INVOCATION_H
#define LAMBDA_INVOCATION_H

#include "lambda/event.h"
#include "lambda/http_event.h"
#include "lambda/runtime.h"

struct service;
struct thaw;

/* What all invocations share. */
struct invocations {
    struct service *service;
    struct thaw *thaw;
    struct http_rules rules;
    struct networks trusted;
};

/* What is known of an event as soon as it has been read: enough to refuse it in its own form. */
struct invocation_form {
    struct event event; /* of its json, nothing is used */
    enum method method; /* HTTP */
    struct str id;      /* for X-Request-Id */
};

/* How an invocation ends. */
struct invocation_end {
    struct str answer;   /* JSON; at == NULL: it has failed, */
    const char *failure; /* a sentence, static or in the arena, */
    const char *type;    /* and a short name, static */
    bool has_recorded;   /* something, which others may have to be told of */
};

/* When it has to be answered: by then, Lambda would be about to end it. */
struct invocation_limit {
    int64_t at_ns;      /* clock_ns(); INT64_MAX: never */
    int64_t at_wall_ms; /* the same by the time of day, which a clock that stood still does not hide */
};
/* By the deadline that came with an event. False: it is so near that nothing should be begun. */
bool invocation_limit_of(int64_t deadline_ms, struct invocation_limit *out);
bool invocation_is_over(const struct invocation_limit *limit);

/* Does what the event asks for, and waits where it must; whatever it acknowledges is durable. `read` is called once
 * when the form is known; the form lives as long as the arena. Thread-safe. */
void invocation_run(const struct invocations *all, struct arena *arena, const struct runtime_event *event,
                    const struct invocation_limit *limit,
                    void (*read)(void *context, const struct invocation_form *form), void *context,
                    struct invocation_end *out);

/* An event that can't be dealt with: the error's response in its form for HTTP; a failure for others, which come again.
 * `form` NULL: it is not known whose it is. Then what would mend itself is a failure too, and anything else an answer
 * that every sender takes. */
void invocation_refuse(struct arena *arena, const struct invocation_form *form, struct err err,
                       struct invocation_end *out);
/* The same for one that was not looked at: reads no more of it than its form. */
void invocation_refuse_unread(struct arena *arena, const struct runtime_event *event, struct err err,
                              struct invocation_end *out);
/* The refusal of an event for which Lambda's time is over. */
extern const struct err invocation_too_late;

/* Before the answer: what was counted, for CloudWatch. */
void invocation_tell(const struct invocations *all);
/* After it, if there is time: uses of tokens are written, and the event bus hears of what the call has recorded. May
 * wait. */
void invocation_settle(const struct invocations *all, const struct invocation_end *end,
                       const struct invocation_limit *limit);

#endif
