/* lambda/runtime.h: the runtime API of AWS Lambda (2018-06-01): what a custom runtime asks for its next event, and is
 * answered by. Over plain HTTP to a service of the same machine (net/plain.h). One thread at a time; each thread that
 * takes events has one of its own. */
#ifndef LAMBDA_RUNTIME_H
#define LAMBDA_RUNTIME_H

#include "base/mem.h"

enum {
    RUNTIME_EVENT_MAX = 8 * 1024 * 1024, /* AWS: 6 MB of a call, and its JSON around it */
    RUNTIME_ANSWER_MAX = 6 * 1024 * 1024,
};

struct runtime;
/* `authority`: AWS_LAMBDA_RUNTIME_API, which must outlive it, as `stop_fd` (net/plain.h). */
struct runtime *runtime_new(const char *authority, int stop_fd);
void runtime_free(struct runtime *runtime); /* NULL allowed */

/* What came with an event. Views into the arena. */
struct runtime_event {
    struct str id;       /* of the call: letters, digits and "-", as AWS makes them */
    struct str trace_id; /* of X-Ray; "": none */
    struct str arn;      /* of the function as it was called; "": none */
    int64_t deadline_ms; /* Unix time; INT64_MAX: none was named */
    struct str body;
};

/* Waits for the next event, however long. ERR_UNAVAILABLE: nobody answered, or not with an event; ask again, a few
 * times. ERR_TOO_LARGE: it is too large to be read, but can be answered: *out has all but the body. */
MUST_USE struct err runtime_next(struct runtime *runtime, struct arena *arena, struct runtime_event *out);

/* The answer to the event of that id, JSON. ERR_UNAVAILABLE: it was not taken, which nobody can mend; the log says why.
 */
MUST_USE struct err runtime_answer(struct runtime *runtime, struct arena *arena, struct str id, struct str answer);
/* It has failed: whoever called it asynchronously will call it again, or Lambda will. `type` is a short name, `why` a
 * sentence for callers. */
MUST_USE struct err runtime_fail(struct runtime *runtime, struct arena *arena, struct str id, const char *type,
                                 const char *why);

/* The start has failed: no event will be asked for. */
void runtime_tell_init_error(struct runtime *runtime, struct arena *arena, const char *type, const char *why);
/* With SnapStart: says that the process may be frozen for good and copied, and returns in a copy, when an event is to
 * come. ERR_UNAVAILABLE. */
MUST_USE struct err runtime_wait_for_restore(struct runtime *runtime, struct arena *arena);
void runtime_tell_restore_error(struct runtime *runtime, struct arena *arena, const char *type, const char *why);

#endif
