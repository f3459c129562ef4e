/* aws/kms_error.h: what an error response of KMS means for the caller. Pure functions. */
#ifndef AWS_KMS_ERROR_H
#define AWS_KMS_ERROR_H

#include "base/mem.h"

enum kms_verdict {
    KMS_FINAL,          /* another try would end the same */
    KMS_AGAIN,          /* a fault of the service that may pass */
    KMS_THROTTLED,      /* too fast */
    KMS_WRONG_CLOCK,    /* signed at a time that KMS does not take for now */
    KMS_BAD_CREDENTIALS /* expired or unknown: others may do */
};

struct kms_error {
    struct str code; /* AWS's, for the log: "ThrottlingException"; a view, or static */
    enum kms_verdict verdict;
    struct err err; /* for the caller, when it ends here; its sentence is static */
};

/* For a response with that HTTP status, x-amzn-ErrorType (or "") and body. Any bytes; they lie in the arena or live as
 * long. */
void kms_error_read(struct arena *arena, int status, struct str type, struct str body, struct kms_error *out);

#endif
