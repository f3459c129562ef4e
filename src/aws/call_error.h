/* aws/call_error.h: what an error response of AWS's JSON protocol says, whichever service it is from. Pure functions.
 */
#ifndef AWS_CALL_ERROR_H
#define AWS_CALL_ERROR_H

#include "base/mem.h"

enum aws_verdict {
    AWS_FINAL,          /* another try would end the same */
    AWS_AGAIN,          /* a fault of the service that may pass */
    AWS_THROTTLED,      /* too fast */
    AWS_WRONG_CLOCK,    /* signed at a time that the service does not take for now */
    AWS_BAD_CREDENTIALS /* expired or unknown: others may do */
};

struct aws_error {
    struct str code; /* AWS's, for the log: "ThrottlingException"; a view, or static; "none" */
    enum aws_verdict verdict;
};

/* For a response with that HTTP status, x-amzn-ErrorType (or "") and body. Any bytes; they lie in the arena or live as
 * long. Fuzzed: tests/fuzz/kms_error.c, tests/fuzz/put_events.c. */
struct aws_error aws_error_read(struct arena *arena, int status, struct str type, struct str body);

#endif
