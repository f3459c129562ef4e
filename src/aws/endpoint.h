/* aws/endpoint.h: where a service of AWS is called. */
#ifndef AWS_ENDPOINT_H
#define AWS_ENDPOINT_H

#include "base/settings.h"

/* The URL of "kms", "events", "secretsmanager", "ssm" or "sts" in that region, NUL-terminated in the arena, without a
 * slash at its end: AWS_ENDPOINT_URL_KMS, _EVENTBRIDGE, _SECRETS_MANAGER, _SSM or _STS, else AWS_ENDPOINT_URL, else
 * AWS's regional address (China's regions have a domain of their own), the FIPS one if wanted. */
struct str endpoint_url(const struct settings *settings, struct arena *arena, const char *service, struct str region);
/* The setting that such a URL comes from, for a sentence; static. */
const char *endpoint_setting(const struct settings *settings, const char *service);
/* Its host and port, as the Host header has them. */
struct str endpoint_host(struct str url);
/* Its path, from the first '/' after the host; "/" when there is none. */
struct str endpoint_path(struct str url);

#endif
