/* aws/credentials_web_identity.c: a token of another issuer (Kubernetes' of a service account) for a role's
 * credentials: STS AssumeRoleWithWebIdentity, which needs no signature. */
#include "aws/credentials_source.h"
#include "aws/endpoint.h"
#include "aws/region.h"
#include "aws/retry.h"
#include "base/hex.h"
#include "observe/log.h"

static void credentials_web_identity_add_parameter(struct buf *body, const char *name, struct str value)
{
    buf_add_char(body, '&');
    buf_add(body, str_of(name));
    buf_add_char(body, '=');
    for (size_t i = 0; i < value.len; i++)
        hex_add_percent(body, (unsigned char)value.at[i]);
}

bool credentials_sts_is_final(const struct net_answer *answer)
{
    struct str code = { 0, 0 };
    if (answer->status == 429 || answer->status >= 500)
        return false;
    return !credentials_find_element(answer->body, "Code", &code) ||
           !(str_eq(code, STR("IDPCommunicationError")) || retry_is_throttling(code));
}

struct err credentials_assume_role(const struct credentials_ask *ask, struct arena *arena, const char *token_file,
                                   struct str role_arn, const char *session_name, struct credentials_found *out)
{
    struct str token = { 0, 0 }, code, region;
    struct net_answer answer = { 0 };
    struct buf body;
    if (credentials_read_file(arena, token_file, &token).code)
        return failed(ERR_UNAVAILABLE, "the file that AWS_WEB_IDENTITY_TOKEN_FILE names can't be read");
    while (token.len > 0 && token.at[token.len - 1] <= ' ')
        token.len--;
    TRY(region_of_sts(ask->settings, arena, &region));
    buf_init(&body, arena, 4096, 4 * CREDENTIALS_FILE_MAX);
    buf_add(&body, STR("Action=AssumeRoleWithWebIdentity&Version=2011-06-15"));
    credentials_web_identity_add_parameter(&body, "RoleArn", role_arn);
    credentials_web_identity_add_parameter(&body, "RoleSessionName",
                                           str_of(session_name ? session_name : "token-service"));
    credentials_web_identity_add_parameter(&body, "WebIdentityToken", token);
    const struct net_header header = { "Content-Type", "application/x-www-form-urlencoded" };
    struct net_request request = { .method = "POST",
                                   .url = endpoint_url(ask->settings, arena, "sts", region).at,
                                   .headers = &header,
                                   .header_count = 1,
                                   .body = buf_str(&body) };
    struct err err = credentials_send(ask, arena, &request, credentials_sts_is_final, &answer);
    if (err.code)
        return credentials_unreachable(arena_printf(arena, "AWS STS (%s)", endpoint_setting(ask->settings, "sts")).at,
                                       err);
    if (answer.status == 200)
        return credentials_read_xml(answer.body, out);
    if (!credentials_find_element(answer.body, "Code", &code))
        code = STR("none");
    LOG(LOG_WARN, "sts_refused", LOG_INT("status", answer.status), LOG_STR("code", code),
        LOG_STR("request_id", answer.request_id));
    return failed(ERR_UNAVAILABLE, "AWS STS refused the web identity token");
}

static struct err credentials_web_identity_read_web_identity(const struct credentials_ask *ask, struct arena *arena,
                                                             struct credentials_found *out)
{
    const char *token_file = credentials_variable("AWS_WEB_IDENTITY_TOKEN_FILE");
    const char *role_arn = credentials_variable("AWS_ROLE_ARN");
    if (!token_file)
        return failed(ERR_NOT_FOUND, "no AWS_WEB_IDENTITY_TOKEN_FILE");
    if (!role_arn)
        return failed(ERR_INVALID_REQUEST, "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
    return credentials_assume_role(ask, arena, token_file, str_of(role_arn),
                                   credentials_variable("AWS_ROLE_SESSION_NAME"), out);
}

const struct credentials_source credentials_web_identity = { "web_identity",
                                                             credentials_web_identity_read_web_identity };
