/* aws/call_error.c: the codes that all services of AWS share, a row each. */
#include "aws/call_error.h"
#include "aws/retry.h"
#include "base/json.h"

static const struct {
    const char *code;
    enum aws_verdict verdict;
} rows[] = {
    { "RequestTimeTooSkewed", AWS_WRONG_CLOCK },
    { "RequestExpired", AWS_WRONG_CLOCK },
    { "ExpiredTokenException", AWS_BAD_CREDENTIALS },
    { "ExpiredToken", AWS_BAD_CREDENTIALS },
    { "UnrecognizedClientException", AWS_BAD_CREDENTIALS },
    { "InvalidClientTokenId", AWS_BAD_CREDENTIALS },
    { "MissingAuthenticationTokenException", AWS_FINAL },
    { "IncompleteSignatureException", AWS_FINAL },
    { "AccessDeniedException", AWS_FINAL },
};

/* "com.amazonaws.kms#NotFoundException:http://…" is NotFoundException. */
static struct str call_error_bare_code(struct str code)
{
    struct str before, rest = code;
    if (str_cut(&rest, '#', &before))
        code = rest;
    rest = code;
    return str_cut(&rest, ':', &before) ? before : code;
}

static struct str call_error_text_of(const struct json *json, struct str name)
{
    const struct json *member = json_member(json, name);
    return member && member->kind == JSON_STRING ? member->text : (struct str){ 0, 0 };
}

static bool call_error_says(struct str text, struct str words)
{
    return text.len >= words.len && memmem(text.at, text.len, words.at, words.len) != NULL;
}

/* A wrong clock has no code of its own: "Signature expired: … is now earlier than …", "Signature not yet current: …".
 */
static bool call_error_is_about_time(struct str code, struct str message)
{
    return str_eq(code, STR("InvalidSignatureException")) &&
           (call_error_says(message, STR("Signature expired")) ||
            call_error_says(message, STR("Signature not yet current")));
}

/* The first of the members that is there. */
static struct str call_error_either(const struct json *json, struct str name, struct str other)
{
    const struct str text = call_error_text_of(json, name);
    return text.len > 0 ? text : call_error_text_of(json, other);
}

/* Smithy's AWS JSON 1.1, "operation error serialization": a header or one of two members says the type. */
static struct str call_error_code_of(const struct json *json, struct str type)
{
    const struct str code = call_error_bare_code(type);
    return code.len > 0 ? code : call_error_bare_code(call_error_either(json, STR("__type"), STR("code")));
}

struct aws_error aws_error_read(struct arena *arena, int status, struct str type, struct str body)
{
    const struct json *json = NULL;
    if (body.len == 0 || json_parse(arena, body, &json).code)
        json = NULL;
    const struct str code = call_error_code_of(json, type),
                     message = call_error_either(json, STR("message"), STR("Message"));
    struct aws_error error = { code.len > 0 ? code : STR("none"), status >= 500 ? AWS_AGAIN : AWS_FINAL };
    if (status == 429 || retry_is_throttling(code))
        error.verdict = AWS_THROTTLED;
    if (call_error_is_about_time(code, message))
        error.verdict = AWS_WRONG_CLOCK;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_eq(code, str_of(rows[i].code)))
            error.verdict = rows[i].verdict;
    return error;
}
