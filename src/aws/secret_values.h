/* aws/secret_values.h: reads the secrets that settings only refer to (base/secret_reference.h), from AWS Secrets
 * Manager (GetSecretValue) and from the Parameter Store of AWS Systems Manager (GetParameter), in the region of each
 * ARN. */
#ifndef AWS_SECRET_VALUES_H
#define AWS_SECRET_VALUES_H

#include "base/secret_reference.h"
#include "base/settings.h"

enum { SECRET_VALUES_TIMEOUT_MS = 6000 }; /* for all of them, with retries: a Lambda function has 10 s to start */

/* Puts the values in the place of the references; without references it does nothing and needs nothing. They are kept
 * in locked memory until settings_release(), and wiped everywhere else. On an error the sentence names the setting and
 * the cause, never a value; it lies in the arena, or is static until the next call. ERR_UNAVAILABLE when a value can't
 * be had, ERR_INVALID_REQUEST when it is not what the setting allows. */
MUST_USE struct err secret_values_fetch(struct settings *settings, struct arena *arena);

/* The body of a response 200: the value, in the arena. NULL, or why there is none; static. Any bytes. Fuzzed:
 * tests/fuzz/secret_values.c. */
const char *secret_values_read(struct arena *arena, struct str body, const struct secret_reference *reference,
                               struct str *out);

#endif
