/* aws/kms_metrics.c */
#include "aws/kms_metrics.h"
#include "observe/metrics.h"

static const char *const operations[] = {
    [KMS_SIGN] = "Sign",
    [KMS_DESCRIBE_KEY] = "DescribeKey",
    [KMS_GET_PUBLIC_KEY] = "GetPublicKey",
    [KMS_CREATE_KEY] = "CreateKey",
    [KMS_LIST_KEYS] = "ListKeys",
    [KMS_LIST_RESOURCE_TAGS] = "ListResourceTags",
    [KMS_UPDATE_ALIAS] = "UpdateAlias",
    [KMS_DISABLE_KEY] = "DisableKey",
    [KMS_GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT] = "GenerateDataKeyPairWithoutPlaintext",
    [KMS_DECRYPT] = "Decrypt",
};
_Static_assert(sizeof operations / sizeof *operations == KMS_OPERATIONS, "each needs a name");

static const char *const outcomes[] = {
    [KMS_OUTCOME_OK] = "ok",           [KMS_OUTCOME_THROTTLED] = "throttled", [KMS_OUTCOME_FAILED] = "failed",
    [KMS_OUTCOME_REFUSED] = "refused", [KMS_OUTCOME_QUOTA] = "quota",         [KMS_OUTCOME_BREAKER] = "breaker_open",
};
_Static_assert(sizeof outcomes / sizeof *outcomes == KMS_OUTCOMES, "each needs a name");
_Static_assert((int)KMS_OPERATIONS *KMS_OUTCOMES <= METRICS_REMOTE_CELLS, "each needs a cell");

static const struct metrics_remote remote = {
    .operations = operations,
    .operation_count = KMS_OPERATIONS,
    .outcomes = outcomes,
    .outcome_count = KMS_OUTCOMES,
    .throttled_outcome = KMS_OUTCOME_THROTTLED,
    .calls = { "token_service_kms_calls_total", "Attempts of calls to AWS KMS" },
    .throttled = { "token_service_kms_throttled_total", "Attempts that AWS KMS throttled" },
    .failures = { "token_service_kms_failures_total", "Attempts that failed, were refused or were not sent" },
    .breaker = { "token_service_kms_breaker_open", "Whether the circuit breaker keeps calls from AWS KMS" },
    .duration = { "token_service_kms_sign_duration_seconds",
                  "Time that AWS KMS took for a signature, without waiting for its quota" },
};

const char *kms_operation_name(enum kms_operation operation)
{
    return operations[operation];
}

void kms_metrics_show(void)
{
    metrics_remote_breaker(false);
    metrics_remote_show(&remote);
}
