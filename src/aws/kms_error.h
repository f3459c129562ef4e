/* aws/kms_error.h: what an error response of KMS means for the caller. Pure functions. */
#ifndef AWS_KMS_ERROR_H
#define AWS_KMS_ERROR_H

#include "aws/call_error.h"

struct kms_error {
    struct str code; /* AWS's, for the log: "ThrottlingException"; a view, or static */
    enum aws_verdict verdict;
    struct err err; /* for the caller, when it ends here; its sentence is static */
};

/* For a response with that HTTP status, x-amzn-ErrorType (or "") and body. Any bytes; they lie in the arena or live as
 * long. */
void kms_error_read(struct arena *arena, int status, struct str type, struct str body, struct kms_error *out);

#endif
