/* aws/kms_error.c: what is KMS's own of AWS's error codes, a row each, and its sentences. */
#include "aws/kms_error.h"

static const char failing[] = "AWS KMS has a fault; try again later";
static const char not_known[] = "AWS KMS does not accept the AWS credentials";
static const char refused[] = "AWS KMS refused the request";

static const char *const sentences[] = {
    [AWS_FINAL] = refused,
    [AWS_AGAIN] = failing,
    [AWS_THROTTLED] = "AWS KMS is overloaded; try again later",
    [AWS_WRONG_CLOCK] = "AWS KMS does not agree with this machine's clock",
    [AWS_BAD_CREDENTIALS] = not_known,
};

static const struct {
    const char *code;
    enum aws_verdict verdict;
    enum err_code err;
    const char *why;
} rows[] = {
    { "KMSInternalException", AWS_AGAIN, ERR_UNAVAILABLE, failing },
    { "DependencyTimeoutException", AWS_AGAIN, ERR_UNAVAILABLE, failing },
    { "KeyUnavailableException", AWS_AGAIN, ERR_UNAVAILABLE, "the key is not available in AWS KMS at present" },
    { "MissingAuthenticationTokenException", AWS_FINAL, ERR_UNAVAILABLE, not_known },
    { "IncompleteSignatureException", AWS_FINAL, ERR_UNAVAILABLE, not_known },
    { "AccessDeniedException", AWS_FINAL, ERR_INSUFFICIENT_SCOPE, "AWS KMS denies access to the key: see its policy" },
    { "DisabledException", AWS_FINAL, ERR_UNAVAILABLE, "the key is disabled in AWS KMS" },
    { "KMSInvalidStateException", AWS_FINAL, ERR_UNAVAILABLE, "the key's state in AWS KMS does not allow its use" },
    { "NotFoundException", AWS_FINAL, ERR_NOT_FOUND, "AWS KMS has no such key" },
    { "InvalidKeyUsageException", AWS_FINAL, ERR_UNAVAILABLE, "the key in AWS KMS is not for this use" },
    { "InvalidCiphertextException", AWS_FINAL, ERR_UNAVAILABLE,
      "AWS KMS can't unwrap the key: another key wrapped it" },
    { "IncorrectKeyException", AWS_FINAL, ERR_UNAVAILABLE, "AWS KMS can't unwrap the key: another key wrapped it" },
};

void kms_error_read(struct arena *arena, int status, struct str type, struct str body, struct kms_error *out)
{
    const struct aws_error error = aws_error_read(arena, status, type, body);
    *out = (struct kms_error){ error.code, error.verdict, failed(ERR_UNAVAILABLE, sentences[error.verdict]) };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (str_eq(error.code, str_of(rows[i].code)))
            *out = (struct kms_error){ error.code, rows[i].verdict, failed(rows[i].err, rows[i].why) };
}
