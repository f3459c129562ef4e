/* aws/endpoint.c: where a service of AWS is called. */
#include "aws/endpoint.h"
#include <stdlib.h>

/* Its own setting, and the value of that. */
static struct str endpoint_of_its_own(const struct settings *settings, const char *service, const char **name)
{
    const struct {
        const char *service, *name, *url;
    } rows[] = {
        { "kms", "AWS_ENDPOINT_URL_KMS", settings->aws_endpoint_url_kms },
        { "events", "AWS_ENDPOINT_URL_EVENTBRIDGE", settings->aws_endpoint_url_eventbridge },
        { "secretsmanager", "AWS_ENDPOINT_URL_SECRETS_MANAGER", settings->aws_endpoint_url_secrets_manager },
        { "ssm", "AWS_ENDPOINT_URL_SSM", settings->aws_endpoint_url_ssm },
        /* it belongs to the credentials, which are no settings */
        { "sts", "AWS_ENDPOINT_URL_STS", getenv("AWS_ENDPOINT_URL_STS") },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcmp(service, rows[i].service) == 0) {
            *name = rows[i].name;
            return str_of(rows[i].url);
        }
    *name = "AWS_ENDPOINT_URL";
    return (struct str){ 0, 0 };
}

struct str endpoint_url(const struct settings *settings, struct arena *arena, const char *service, struct str region)
{
    const char *name;
    struct str url = endpoint_of_its_own(settings, service, &name);
    if (url.len == 0)
        url = str_of(settings->aws_endpoint_url);
    while (url.len > 0 && url.at[url.len - 1] == '/')
        url.len--;
    if (url.len > 0)
        return arena_copy(arena, url);
    return arena_printf(arena, "https://%s%s.%.*s.amazonaws.com%s", service,
                        settings->aws_use_fips_endpoint ? "-fips" : "", (int)region.len, region.at,
                        str_has_prefix(region, STR("cn-")) ? ".cn" : "");
}

const char *endpoint_setting(const struct settings *settings, const char *service)
{
    const char *name;
    if (endpoint_of_its_own(settings, service, &name).len > 0)
        return name;
    return settings->aws_endpoint_url[0] ? "AWS_ENDPOINT_URL" : "AWS_REGION";
}

static struct str endpoint_after_scheme(struct str url)
{
    const char *at = memmem(url.at, url.len, "://", 3);
    return at ? (struct str){ at + 3, url.len - (size_t)(at + 3 - url.at) } : url;
}

struct str endpoint_host(struct str url)
{
    struct str rest = endpoint_after_scheme(url), host;
    return str_cut(&rest, '/', &host) ? host : rest;
}

struct str endpoint_path(struct str url)
{
    struct str rest = endpoint_after_scheme(url);
    const char *slash = rest.len > 0 ? memchr(rest.at, '/', rest.len) : NULL;
    return slash ? (struct str){ slash, rest.len - (size_t)(slash - rest.at) } : STR("/");
}
