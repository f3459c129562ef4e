/* aws/kms_error.c: AWS's error codes, a row each. */
#include "aws/kms_error.h"
#include "aws/retry.h"
#include "base/json.h"

static const char overloaded[] = "AWS KMS is overloaded; try again later";
static const char failing[] = "AWS KMS has a fault; try again later";
static const char clock_wrong[] = "AWS KMS does not agree with this machine's clock";
static const char not_known[] = "AWS KMS does not accept the AWS credentials";

static const struct {
    const char *code;
    enum kms_verdict verdict;
    enum err_code err;
    const char *why;
} rows[] = {
    { "KMSInternalException", KMS_AGAIN, ERR_UNAVAILABLE, failing },
    { "DependencyTimeoutException", KMS_AGAIN, ERR_UNAVAILABLE, failing },
    { "KeyUnavailableException", KMS_AGAIN, ERR_UNAVAILABLE, "the key is not available in AWS KMS at present" },
    { "RequestTimeTooSkewed", KMS_WRONG_CLOCK, ERR_UNAVAILABLE, clock_wrong },
    { "RequestExpired", KMS_WRONG_CLOCK, ERR_UNAVAILABLE, clock_wrong },
    { "ExpiredTokenException", KMS_BAD_CREDENTIALS, ERR_UNAVAILABLE, not_known },
    { "ExpiredToken", KMS_BAD_CREDENTIALS, ERR_UNAVAILABLE, not_known },
    { "UnrecognizedClientException", KMS_BAD_CREDENTIALS, ERR_UNAVAILABLE, not_known },
    { "InvalidClientTokenId", KMS_BAD_CREDENTIALS, ERR_UNAVAILABLE, not_known },
    { "MissingAuthenticationTokenException", KMS_FINAL, ERR_UNAVAILABLE, not_known },
    { "IncompleteSignatureException", KMS_FINAL, ERR_UNAVAILABLE, not_known },
    { "AccessDeniedException", KMS_FINAL, ERR_INSUFFICIENT_SCOPE, "AWS KMS denies access to the key: see its policy" },
    { "DisabledException", KMS_FINAL, ERR_UNAVAILABLE, "the key is disabled in AWS KMS" },
    { "KMSInvalidStateException", KMS_FINAL, ERR_UNAVAILABLE, "the key's state in AWS KMS does not allow its use" },
    { "NotFoundException", KMS_FINAL, ERR_NOT_FOUND, "AWS KMS has no such key" },
    { "InvalidKeyUsageException", KMS_FINAL, ERR_UNAVAILABLE, "the key in AWS KMS is not for this use" },
    { "InvalidCiphertextException", KMS_FINAL, ERR_UNAVAILABLE,
      "AWS KMS can't unwrap the key: another key wrapped it" },
    { "IncorrectKeyException", KMS_FINAL, ERR_UNAVAILABLE, "AWS KMS can't unwrap the key: another key wrapped it" },
};

/* "com.amazonaws.kms#NotFoundException:http://…" is NotFoundException. */
static struct str kms_error_bare_code(struct str code)
{
    struct str before, rest = code;
    if (str_cut(&rest, '#', &before))
        code = rest;
    rest = code;
    return str_cut(&rest, ':', &before) ? before : code;
}

static struct str kms_error_text_of(const struct json *json, struct str name)
{
    const struct json *member = json_member(json, name);
    return member && member->kind == JSON_STRING ? member->text : (struct str){ 0, 0 };
}

static bool kms_error_says(struct str text, struct str words)
{
    return text.len >= words.len && memmem(text.at, text.len, words.at, words.len) != NULL;
}

/* A wrong clock has no code of its own: "Signature expired: … is now earlier than …", "Signature not yet current: …".
 */
static bool kms_error_is_about_time(struct str code, struct str message)
{
    return str_eq(code, STR("InvalidSignatureException")) &&
           (kms_error_says(message, STR("Signature expired")) ||
            kms_error_says(message, STR("Signature not yet current")));
}

/* The first of the members that is there. */
static struct str kms_error_either(const struct json *json, struct str name, struct str other)
{
    struct str text = kms_error_text_of(json, name);
    return text.len > 0 ? text : kms_error_text_of(json, other);
}

/* Smithy's AWS JSON 1.1, "operation error serialization": a header or one of two members says the type. */
static struct str kms_error_code_of(const struct json *json, struct str type)
{
    struct str code = kms_error_bare_code(type);
    return code.len > 0 ? code : kms_error_bare_code(kms_error_either(json, STR("__type"), STR("code")));
}

void kms_error_read(struct arena *arena, int status, struct str type, struct str body, struct kms_error *out)
{
    const struct json *json = NULL;
    if (body.len == 0 || json_parse(arena, body, &json).code)
        json = NULL;
    const struct str code = kms_error_code_of(json, type),
                     message = kms_error_either(json, STR("message"), STR("Message"));
    *out = (struct kms_error){ code.len > 0 ? code : STR("none"), status >= 500 ? KMS_AGAIN : KMS_FINAL,
                               failed(ERR_UNAVAILABLE, status >= 500 ? failing : "AWS KMS refused the request") };
    if (status == 429 || retry_is_throttling(code))
        *out = (struct kms_error){ out->code, KMS_THROTTLED, failed(ERR_UNAVAILABLE, overloaded) };
    if (kms_error_is_about_time(code, message))
        *out = (struct kms_error){ code, KMS_WRONG_CLOCK, failed(ERR_UNAVAILABLE, clock_wrong) };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_eq(code, str_of(rows[i].code)))
            *out = (struct kms_error){ code, rows[i].verdict, failed(rows[i].err, rows[i].why) };
}
