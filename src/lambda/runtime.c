/* lambda/runtime.c: paths, headers, and what an answer of the runtime API must look like. What it says is believed no
 * further than another server's would be. */
#include "lambda/runtime.h"
#include "base/json.h"
#include "net/plain.h"
#include "observe/log.h"
#include "wire/lines.h"
#include <stdlib.h>

enum {
    ID_MAX = 128,
    TRACE_MAX = 512,
    ARN_MAX = 512,
    SAY_MS = 10000, /* for what is not waited for: an answer is taken at once */
    SAID_MAX = 64 * 1024,
    SENTENCE_MAX = 4096,
    ACCEPTED = 202,
};

#define RUNTIME_PATH "/2018-06-01/runtime/"

struct runtime {
    struct plain *plain;
};

struct runtime *runtime_new(const char *authority, int stop_fd)
{
    struct runtime *runtime = mem_alloc(sizeof *runtime);
    *runtime = (struct runtime){ .plain = plain_new(authority, stop_fd) };
    return runtime;
}

void runtime_free(struct runtime *runtime)
{
    if (!runtime)
        return;
    plain_free(runtime->plain);
    free(runtime);
}

/* --- the next event ---------------------------------------------------------------------------------------------- */

/* It becomes a part of a path, and stands in the log. */
static bool runtime_is_id(struct str id)
{
    return id.len > 0 && id.len <= ID_MAX && str_has_only(id, STR("-"));
}

static struct str runtime_text(const struct plain_answer *answer, struct arena *arena, struct str name, size_t max)
{
    const struct str text = headers_value(answer->headers, arena, name);
    return text.at && text.len <= max && wire_is_visible(text) ? text : STR("");
}

struct err runtime_next(struct runtime *runtime, struct arena *arena, struct runtime_event *out)
{
    const struct plain_request request = { .method = STR("GET"),
                                           .target = STR(RUNTIME_PATH "invocation/next"),
                                           .answer_max = RUNTIME_EVENT_MAX };
    struct plain_answer answer;
    *out = (struct runtime_event){ .deadline_ms = INT64_MAX };
    const struct err err = plain_send(runtime->plain, arena, &request, &answer);
    if (err.code && (err.code != ERR_TOO_LARGE || answer.status != 200))
        return failed(ERR_UNAVAILABLE, err.why);
    if (answer.status != 200)
        return failed(ERR_UNAVAILABLE, "the runtime API answered with an error");
    const struct str id = headers_value(answer.headers, arena, STR("Lambda-Runtime-Aws-Request-Id"));
    if (!runtime_is_id(id))
        return failed(ERR_UNAVAILABLE, "the runtime API gave an event without an id");
    out->id = id;
    out->trace_id = runtime_text(&answer, arena, STR("Lambda-Runtime-Trace-Id"), TRACE_MAX);
    out->arn = runtime_text(&answer, arena, STR("Lambda-Runtime-Invoked-Function-Arn"), ARN_MAX);
    (void)str_number(headers_value(answer.headers, arena, STR("Lambda-Runtime-Deadline-Ms")), INT64_MAX / 1000000,
                     &out->deadline_ms);
    out->body = answer.body;
    return err;
}

/* --- answers ----------------------------------------------------------------------------------------------------- */

static struct err runtime_say(struct runtime *runtime, struct arena *arena, struct str target, struct str type,
                              struct str body)
{
    const struct header headers[] = { { STR("Content-Type"), STR("application/json") },
                                      { STR("Lambda-Runtime-Function-Error-Type"), type } };
    const struct plain_request request = { .method = STR("POST"),
                                           .target = target,
                                           .headers = { headers, type.len > 0 ? 2 : 1 },
                                           .body = body,
                                           .timeout_ms = SAY_MS,
                                           .answer_max = SAID_MAX };
    struct plain_answer answer;
    struct err err = plain_send(runtime->plain, arena, &request, &answer);
    if (!err.code && answer.status != ACCEPTED)
        err = failed(ERR_UNAVAILABLE, "the runtime API did not take what was answered");
    if (err.code)
        LOG(LOG_WARN, "runtime_api_failed", LOG_INT("status", answer.status), LOG_TEXT_("why", err.why));
    return err.code ? failed(ERR_UNAVAILABLE, err.why) : OK;
}

static struct str runtime_target(struct arena *arena, struct str id, const char *what)
{
    return arena_printf(arena, RUNTIME_PATH "invocation/%.*s/%s", (int)id.len, id.at, what);
}

struct err runtime_answer(struct runtime *runtime, struct arena *arena, struct str id, struct str answer)
{
    if (answer.len > RUNTIME_ANSWER_MAX)
        return runtime_fail(runtime, arena, id, "Function.ResponseSizeTooLarge", "the answer is too large");
    return runtime_say(runtime, arena, runtime_target(arena, id, "response"), STR(""), answer);
}

/* {"errorMessage", "errorType", "stackTrace"}: all three are expected. */
static struct err runtime_say_error(struct runtime *runtime, struct arena *arena, struct str target, const char *type,
                                    const char *why)
{
    struct buf body;
    buf_init(&body, arena, 256, SENTENCE_MAX);
    buf_add_char(&body, '{');
    json_write_text(&body, STR("errorMessage"), str_of(why));
    json_write_text(&body, STR("errorType"), str_of(type));
    buf_add(&body, STR(",\"stackTrace\":[]}"));
    return runtime_say(runtime, arena, target, str_of(type), body.overflowed ? STR("{}") : buf_str(&body));
}

struct err runtime_fail(struct runtime *runtime, struct arena *arena, struct str id, const char *type, const char *why)
{
    return runtime_say_error(runtime, arena, runtime_target(arena, id, "error"), type, why);
}

/* --- the start --------------------------------------------------------------------------------------------------- */

void runtime_tell_init_error(struct runtime *runtime, struct arena *arena, const char *type, const char *why)
{
    (void)runtime_say_error(runtime, arena, STR(RUNTIME_PATH "init/error"), type, why).code;
}

struct err runtime_wait_for_restore(struct runtime *runtime, struct arena *arena)
{
    const struct plain_request request = { .method = STR("GET"),
                                           .target = STR(RUNTIME_PATH "restore/next"),
                                           .answer_max = SAID_MAX };
    struct plain_answer answer;
    const struct err err = plain_send(runtime->plain, arena, &request, &answer);
    if (err.code || answer.status != 200)
        return failed(ERR_UNAVAILABLE, "the runtime API did not restore the process");
    return OK;
}

void runtime_tell_restore_error(struct runtime *runtime, struct arena *arena, const char *type, const char *why)
{
    (void)runtime_say_error(runtime, arena, STR(RUNTIME_PATH "restore/error"), type, why).code;
}
