/* aws/credentials_environment.c: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN. */
#include "aws/credentials_source.h"
#include <stdlib.h>

const char *credentials_variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static struct err read_environment(const struct credentials_ask *ask, struct arena *arena,
                                   struct credentials_found *out)
{
    const char *access_key = credentials_variable("AWS_ACCESS_KEY_ID");
    const char *secret_key = credentials_variable("AWS_SECRET_ACCESS_KEY");
    (void)ask;
    (void)arena;
    if (!access_key && !secret_key)
        return failed(ERR_NOT_FOUND, "no AWS_ACCESS_KEY_ID");
    if (!access_key || !secret_key)
        return failed(ERR_INVALID_REQUEST, "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must both be set, or neither");
    *out = (struct credentials_found){ str_of(access_key), str_of(secret_key),
                                       str_of(credentials_variable("AWS_SESSION_TOKEN")), 0 };
    return OK;
}

const struct credentials_source credentials_environment = { "environment", read_environment };
