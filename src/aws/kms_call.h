/* aws/kms_call.h: one call to KMS, for any operation: retried, bounded in time. Only for aws/kms*.c. */
#ifndef AWS_KMS_CALL_H
#define AWS_KMS_CALL_H

#include "aws/budget.h"
#include "aws/breaker.h"
#include "aws/kms.h"
#include "aws/kms_metrics.h"
#include "aws/signed_call.h"

struct kms {
    const struct settings *settings;
    struct signed_caller caller;
    struct budget *budget;
    struct breaker breaker;
    _Atomic(const char *) fault; /* of the last call that the breaker counts as failed: static; NULL: none yet */
    struct arena arena;          /* of the place */
    struct aws_place place;      /* where it is asked, unless a key's ARN names another region */
};

struct kms_call {
    enum kms_operation operation;
    struct str body;            /* JSON */
    struct str key;             /* its id, ARN or alias: an ARN says the region. May be empty */
    bool draws_on_quota;        /* a signature */
    enum kms_priority priority; /* of it */
    bool is_secret;             /* its response holds a private key */
    bool is_unique;             /* done twice, it would do harm: not tried again unless KMS surely did nothing */
};

/* *answer: the body of a response 200, in the arena. ERR_NOT_FOUND when KMS says that there is no such key,
 * ERR_INSUFFICIENT_SCOPE when it denies access, else ERR_UNAVAILABLE. */
MUST_USE struct err kms_call(struct kms *kms, struct arena *arena, const struct kms_call *call, struct str *answer);

#endif
