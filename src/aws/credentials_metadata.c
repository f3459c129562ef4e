/* aws/credentials_metadata.c: an EC2 instance's metadata, only version 2: a session token is needed first, which a
 * forged request (SSRF) could not get. */
#include "aws/credentials_source.h"
#include "observe/log.h"

#define TOKEN_PATH "/latest/api/token"
#define ROLE_PATH "/latest/meta-data/iam/security-credentials/"

static const char *credentials_metadata_base_url(void)
{
    const char *url = credentials_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT");
    const char *mode = credentials_variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
    if (url)
        return url;
    return mode && str_eq_nocase(str_of(mode), STR("IPv6")) ? "http://[fd00:ec2::254]" : "http://169.254.169.254";
}

static struct err credentials_metadata_ask_for(const struct credentials_ask *ask, struct arena *arena,
                                               const char *method, const char *path, struct net_header header,
                                               struct net_answer *out)
{
    struct str base = str_of(credentials_metadata_base_url());
    while (base.len > 0 && base.at[base.len - 1] == '/')
        base.len--;
    struct net_request request = { .method = method,
                                   .url = arena_printf(arena, "%.*s%s", (int)base.len, base.at, path).at,
                                   .headers = &header,
                                   .header_count = 1,
                                   .is_direct = true };
    return credentials_send(ask, arena, &request, credentials_nothing_is_final, out);
}

/* It becomes part of a path: the characters of an IAM role's name, and no others. */
static bool credentials_metadata_is_role(struct str name)
{
    return name.len > 0 && name.len <= 128 && str_has_only(name, STR("+=,.@_-"));
}

/* A name's text up to the end of its line. */
static struct str credentials_metadata_first_line(struct arena *arena, struct str text)
{
    size_t len = 0;
    while (len < text.len && text.at[len] > ' ')
        len++;
    return arena_copy(arena, (struct str){ text.at, len });
}

static struct err credentials_metadata_read_metadata(const struct credentials_ask *ask, struct arena *arena,
                                                     struct credentials_found *out)
{
    const char *disabled = credentials_variable("AWS_EC2_METADATA_DISABLED");
    struct net_answer answer = { 0 };
    if (disabled && str_eq_nocase(str_of(disabled), STR("true")))
        return failed(ERR_NOT_FOUND, "AWS_EC2_METADATA_DISABLED");
    struct net_header ttl = { "X-aws-ec2-metadata-token-ttl-seconds", "21600" };
    if (credentials_metadata_ask_for(ask, arena, "PUT", TOKEN_PATH, ttl, &answer).code || answer.status != 200 ||
        answer.body.len == 0)
        return failed(ERR_NOT_FOUND, "there is no instance metadata here");
    struct net_header token = { "X-aws-ec2-metadata-token", credentials_metadata_first_line(arena, answer.body).at };
    TRY(credentials_metadata_ask_for(ask, arena, "GET", ROLE_PATH, token, &answer));
    struct str role = credentials_metadata_first_line(arena, answer.body);
    if (answer.status == 404)
        return failed(ERR_NOT_FOUND, "the instance has no role");
    if (answer.status != 200 || !credentials_metadata_is_role(role))
        return failed(ERR_UNAVAILABLE, "the instance metadata does not name a role");
    TRY(credentials_metadata_ask_for(ask, arena, "GET", arena_printf(arena, ROLE_PATH "%s", role.at).at, token,
                                     &answer));
    if (answer.status == 200) {
        TRY(credentials_read_json(arena, answer.body, out));
        out->outlives_expiry = true;
        return OK;
    }
    LOG(LOG_WARN, "instance_credentials_refused", LOG_INT("status", answer.status));
    return failed(ERR_UNAVAILABLE, "the instance metadata gave no credentials of the instance's role");
}

const struct credentials_source credentials_metadata = { "instance_metadata", credentials_metadata_read_metadata };
