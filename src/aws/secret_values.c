/* aws/secret_values.c: one call for each reference, tried until it succeeds, can't succeed, or the time of all is up.
 */
#include "aws/secret_values.h"
#include "aws/call_error.h"
#include "aws/endpoint.h"
#include "aws/retry.h"
#include "aws/signed_call.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/random.h"
#include "observe/log.h"

enum {
    TRY_MS = 2000,
    ANSWER_MAX = 512 * 1024, /* a secret has 64 KiB at most, and each byte may be escaped */
    BODY_MAX = 4096,
    PLACES = 2,
};

/* What is asked where; the member that names what is wanted, and what else the call has. */
static const struct place {
    const char *service, *name, *target, *id_member, *rest, *permission;
} places[PLACES] = {
    [SECRET_OF_MANAGER] = { "secretsmanager", "Secrets Manager", "secretsmanager.GetSecretValue", "SecretId", "",
                            "secretsmanager:GetSecretValue" },
    [SECRET_OF_PARAMETER] = { "ssm", "the Parameter Store", "AmazonSSM.GetParameter", "Name",
                              ",\"WithDecryption\":true", "ssm:GetParameter" },
};

/* All calls of one start. */
struct secret_values {
    const struct settings *settings;
    struct arena *sentences;
    struct arena arena; /* holds secrets: wiped */
    int64_t deadline_ns;
    struct signed_caller callers[PLACES];
    bool is_open[PLACES];
    struct str last_id, last_body; /* several members of one secret are one call */
};

/* One of them. */
struct asked {
    const char *variable;
    struct secret_reference reference;
    const struct place *place;
    struct signed_caller *caller;
    struct str body;
    unsigned tries;
    bool moved_clock, changed_credentials; /* each mends a call once, without a pause */
    bool again, is_mended;
};

static struct err secret_values_failed(struct secret_values *values, const struct asked *asked, const char *cause)
{
    return failed(ERR_UNAVAILABLE, arena_printf(values->sentences, "%s can't be read: %s", asked->variable, cause).at);
}

/* --- the response ------------------------------------------------------------------------------------------------- */

static const struct json *secret_values_text_in(const struct json *object, struct str name)
{
    const struct json *member = object && object->kind == JSON_OBJECT ? json_member(object, name) : NULL;
    return member && member->kind == JSON_STRING ? member : NULL;
}

static const char *secret_values_read_member(struct arena *arena, struct str text, struct str name, struct str *out)
{
    const struct json *object = NULL, *member;
    if (json_parse(arena, text, &object).code || object->kind != JSON_OBJECT)
        return "the secret is no JSON object, so it has no members";
    member = secret_values_text_in(object, name);
    if (!member)
        return "the secret has no text in a member of that name";
    *out = arena_copy(arena, member->text);
    return NULL;
}

static const char *secret_values_read_secret(struct arena *arena, const struct json *answer, struct str member,
                                             struct str *out)
{
    const struct json *text = secret_values_text_in(answer, STR("SecretString"));
    if (!text)
        return secret_values_text_in(answer, STR("SecretBinary")) ? "the secret is binary, and not text"
                                                                  : "Secrets Manager's response is not understood";
    if (member.len > 0)
        return secret_values_read_member(arena, text->text, member, out);
    *out = arena_copy(arena, text->text);
    return NULL;
}

const char *secret_values_read(struct arena *arena, struct str body, const struct secret_reference *reference,
                               struct str *out)
{
    const struct json *answer = NULL, *value;
    if (json_parse(arena, body, &answer).code)
        answer = NULL;
    if (reference->place == SECRET_OF_MANAGER)
        return secret_values_read_secret(arena, answer, reference->member, out);
    value = secret_values_text_in(answer && answer->kind == JSON_OBJECT ? json_member(answer, STR("Parameter")) : NULL,
                                  STR("Value"));
    if (!value)
        return "the Parameter Store's response is not understood";
    *out = arena_copy(arena, value->text);
    return NULL;
}

/* --- tries -------------------------------------------------------------------------------------------------------- */

static const char *secret_values_cause(struct arena *arena, const struct place *place, const struct aws_error *error)
{
    static const struct {
        const char *code, *cause;
    } rows[] = {
        { "ResourceNotFoundException", "there is no such secret" },
        { "ParameterNotFound", "there is no such parameter" },
        { "InvalidRequestException", "the secret is being deleted" },
        { "DecryptionFailure", "its KMS key can't decrypt it" },
        { "InvalidKeyId", "its KMS key can't decrypt it" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_eq(error->code, str_of(rows[i].code)))
            return rows[i].cause;
    if (str_eq(error->code, STR("AccessDeniedException")))
        return arena_printf(arena, "%s denies access: see the permissions %s, and kms:Decrypt of its key", place->name,
                            place->permission)
            .at;
    if (error->verdict == AWS_THROTTLED)
        return arena_printf(arena, "%s is called too often", place->name).at;
    return arena_printf(arena, "%s %s", place->name,
                        error->verdict == AWS_AGAIN ? "has a fault" : "refused the call; the log has its code")
        .at;
}

static struct err secret_values_judge(struct secret_values *values, struct asked *asked, uint64_t serial,
                                      const struct net_answer *answer)
{
    const struct aws_error error = aws_error_read(&values->arena, answer->status, answer->error_type, answer->body);
    LOG(LOG_WARN, "secret_not_read", LOG_TEXT_("setting", asked->variable), LOG_INT("status", answer->status),
        LOG_STR("code", error.code), LOG_STR("request_id", answer->request_id));
    if (error.verdict == AWS_WRONG_CLOCK && !asked->moved_clock) {
        signed_caller_move_clock(asked->caller, answer);
        asked->moved_clock = asked->is_mended = true;
    }
    if (error.verdict == AWS_BAD_CREDENTIALS && !asked->changed_credentials) {
        credentials_refused(asked->caller->credentials, serial);
        asked->changed_credentials = asked->is_mended = true;
    }
    asked->again = asked->is_mended || error.verdict == AWS_AGAIN || error.verdict == AWS_THROTTLED;
    return secret_values_failed(values, asked, secret_values_cause(values->sentences, asked->place, &error));
}

static struct err secret_values_send(struct secret_values *values, struct asked *asked, int64_t left_ms,
                                     const struct aws_credentials *credentials, struct net_answer *answer)
{
    const struct aws_place place = aws_place_in(values->settings, &values->arena, asked->place->service,
                                                arena_copy(&values->arena, asked->reference.region));
    const struct signed_call call = { .place = &place,
                                      .target = asked->place->target,
                                      .body = asked->body,
                                      .timeout_ms = left_ms < TRY_MS ? left_ms : TRY_MS,
                                      .answer_max = ANSWER_MAX,
                                      .is_secret = true };
    const struct err err = signed_call_send(asked->caller, &values->arena, &call, credentials, answer);
    if (!err.code)
        return OK;
    asked->again = err.code == ERR_UNAVAILABLE;
    return secret_values_failed(values, asked,
                                arena_printf(values->sentences, "%s (%s): %s", asked->place->name,
                                             endpoint_setting(values->settings, asked->place->service), err.why)
                                    .at);
}

static struct err secret_values_take(struct secret_values *values, const struct asked *asked, struct str body,
                                     struct str *out)
{
    const char *fault = secret_values_read(&values->arena, body, &asked->reference, out);
    return fault ? secret_values_failed(values, asked, fault) : OK;
}

static struct err secret_values_try(struct secret_values *values, struct asked *asked, struct str *out)
{
    const struct aws_credentials *credentials = NULL;
    const int64_t left_ms = (values->deadline_ns - clock_ns()) / 1000000;
    struct net_answer answer = { 0 };
    struct err err;
    asked->again = asked->is_mended = false;
    if (left_ms <= 0)
        return secret_values_failed(values, asked, "there was no time left to ask for it");
    err = credentials_get(asked->caller->credentials, signed_caller_time_s(asked->caller), &credentials);
    if (err.code)
        return secret_values_failed(values, asked, err.why);
    const uint64_t serial = credentials->serial;
    err = secret_values_send(values, asked, left_ms, credentials, &answer);
    credentials_put(asked->caller->credentials, credentials);
    TRY(err);
    if (answer.status != 200)
        return secret_values_judge(values, asked, serial, &answer);
    values->last_id = asked->reference.id;
    values->last_body = answer.body;
    return secret_values_take(values, asked, answer.body, out);
}

/* Waits before another try; false when the time of all is over before that. */
static bool secret_values_pause(const struct secret_values *values, const struct asked *asked)
{
    if (asked->is_mended)
        return true;
    const int64_t delay_ms = retry_delay_ms(asked->tries, random_number());
    if (clock_ns() + delay_ms * 1000000 >= values->deadline_ns)
        return false;
    clock_sleep_ms(delay_ms);
    return true;
}

/* Opened when it is first needed: most settings name secrets of one service, or of none. */
static struct err secret_values_open(struct secret_values *values, struct asked *asked)
{
    const enum secret_place at = asked->reference.place;
    asked->place = &places[at];
    asked->caller = &values->callers[at];
    if (!values->is_open[at])
        TRY(signed_caller_open(asked->caller, asked->place->service, values->settings));
    values->is_open[at] = true;
    return OK;
}

static struct str secret_values_write(struct secret_values *values, const struct asked *asked)
{
    struct buf body;
    buf_init(&body, &values->arena, 256, BODY_MAX);
    buf_add_char(&body, '{');
    json_write_text(&body, str_of(asked->place->id_member), asked->reference.id);
    buf_add(&body, str_of(asked->place->rest));
    buf_add_char(&body, '}');
    return buf_str(&body);
}

static struct err secret_values_fetch_one(void *context, const char *variable, struct str reference, struct str *out)
{
    struct secret_values *values = context;
    struct asked asked = { .variable = variable };
    struct err err;
    if (secret_reference_read(reference, &asked.reference))
        return secret_values_failed(values, &asked, "its ARN is malformed"); /* settings_read() lets none through */
    if (str_eq(asked.reference.id, values->last_id))
        return secret_values_take(values, &asked, values->last_body, out);
    TRY(secret_values_open(values, &asked));
    asked.body = secret_values_write(values, &asked);
    do {
        asked.tries++;
        err = secret_values_try(values, &asked, out);
    } while (err.code && asked.again && secret_values_pause(values, &asked));
    if (!err.code)
        LOG(LOG_DEBUG, "secret_read", LOG_TEXT_("setting", variable), LOG_TEXT_("from", asked.place->name),
            LOG_INT("tries", asked.tries));
    return err;
}

struct err secret_values_fetch(struct settings *settings, struct arena *arena)
{
    if (!settings_have_references(settings))
        return OK;
    struct secret_values values = { .settings = settings,
                                    .sentences = arena,
                                    .deadline_ns = clock_ns() + (int64_t)SECRET_VALUES_TIMEOUT_MS * 1000000 };
    const struct err err = settings_fetch_secrets(settings, secret_values_fetch_one, &values);
    for (size_t i = 0; i < PLACES; i++)
        if (values.is_open[i])
            signed_caller_close(&values.callers[i]);
    arena_wipe(&values.arena, NULL, 0);
    arena_release(&values.arena);
    return err;
}
