/* aws/kms_metrics.h: what is counted of calls to KMS, and AWS's names for them. Only for aws/kms*.c. */
#ifndef AWS_KMS_METRICS_H
#define AWS_KMS_METRICS_H

enum kms_operation {
    KMS_SIGN,
    KMS_DESCRIBE_KEY,
    KMS_GET_PUBLIC_KEY,
    KMS_CREATE_KEY,
    KMS_LIST_KEYS,
    KMS_LIST_RESOURCE_TAGS,
    KMS_UPDATE_ALIAS,
    KMS_DISABLE_KEY,
    KMS_GENERATE_DATA_KEY_PAIR_WITHOUT_PLAINTEXT,
    KMS_DECRYPT,
    KMS_OPERATIONS
};
enum kms_outcome {
    KMS_OUTCOME_OK,
    KMS_OUTCOME_THROTTLED, /* by KMS */
    KMS_OUTCOME_FAILED,    /* no response in time, or a 5xx */
    KMS_OUTCOME_REFUSED,   /* another error of KMS */
    KMS_OUTCOME_QUOTA,     /* not sent: no turn before its deadline */
    KMS_OUTCOME_BREAKER,   /* not sent: the circuit breaker is open */
    KMS_OUTCOMES
};

/* "Sign", "DescribeKey", …; static. */
const char *kms_operation_name(enum kms_operation operation);

/* Has metrics.h show and count them from now on. */
void kms_metrics_show(void);
#endif
