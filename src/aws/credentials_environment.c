/* aws/credentials_environment.c: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN (or its old name), and
 * AWS_CREDENTIAL_EXPIRATION. */
#include "aws/credentials_source.h"
#include "base/rfc3339.h"
#include <stdlib.h>

#define EXPIRY "AWS_CREDENTIAL_EXPIRATION"

const char *credentials_variable(const char *name)
{
    const char *value = getenv(name);
    return value && value[0] ? value : NULL;
}

static struct err credentials_environment_read_environment(const struct credentials_ask *ask, struct arena *arena,
                                                           struct credentials_found *out)
{
    const char *access_key = credentials_variable("AWS_ACCESS_KEY_ID");
    const char *secret_key = credentials_variable("AWS_SECRET_ACCESS_KEY");
    (void)ask;
    (void)arena;
    if (!access_key) /* a secret without an id is ignored, as by AWS's tools */
        return failed(ERR_NOT_FOUND, "no AWS_ACCESS_KEY_ID");
    if (!secret_key)
        return failed(ERR_INVALID_REQUEST, "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
    const char *old_token = credentials_variable("AWS_SECURITY_TOKEN"), *expires = credentials_variable(EXPIRY);
    *out = (struct credentials_found){ .access_key = str_of(access_key),
                                       .secret_key = str_of(secret_key),
                                       .token = str_of(old_token ? old_token
                                                                 : credentials_variable("AWS_SESSION_TOKEN")) };
    if (expires && !rfc3339_read(str_of(expires), &out->expires_s))
        return failed(ERR_INVALID_REQUEST, EXPIRY " is not a time in the form of RFC 3339");
    return OK;
}

const struct credentials_source credentials_environment = { "environment", credentials_environment_read_environment };
