/* base/secret_reference.h: a secret setting may say where its value is, instead of the value: the ARN of a secret of
 * AWS Secrets Manager or of a parameter of AWS Systems Manager. Pure functions; aws/secret_values.h reads what they
 * name. */
#ifndef BASE_SECRET_REFERENCE_H
#define BASE_SECRET_REFERENCE_H

#include "base/mem.h"

enum secret_place { SECRET_OF_MANAGER, SECRET_OF_PARAMETER };

/* Views into the ARN. */
struct secret_reference {
    enum secret_place place;
    struct str region;
    struct str id;     /* the ARN as AWS wants it, without `member` */
    struct str member; /* of the JSON object that the secret is; empty: the whole text */
};

enum { SECRET_REFERENCE_MAX = 1024 };

/* Whether the value of a secret setting is meant as a reference: it begins with "arn:". */
bool secret_reference_is(struct str value);
/* arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME, with :MEMBER:: after it for one member of a JSON object (as ECS
 * writes it), or arn:aws:ssm:REGION:ACCOUNT:parameter/NAME. NULL, or what is wrong with it; static; then *out is
 * untouched. Any bytes. Fuzzed: tests/fuzz/secret_values.c. */
const char *secret_reference_read(struct str value, struct secret_reference *out);

#endif
