/* aws/credentials_container.c: the address that ECS and EKS (Pod Identity) give a container. */
#include "aws/credentials_source.h"
#include "aws/endpoint.h"
#include "observe/log.h"
#include <arpa/inet.h>

/* 127.0.0.0/8 as four numbers; a name that begins like that does not count. */
static bool credentials_container_is_loopback(struct str host)
{
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (host.len >= sizeof text || str_has(host, '\0')) /* inet_pton() would stop there */
        return false;
    memcpy(text, host.at, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

bool credentials_may_ask(struct str url)
{
    static const struct str hosts[] = { STR_INIT("localhost"), STR_INIT("[::1]"), STR_INIT("169.254.170.2"),
                                        STR_INIT("169.254.170.23"), STR_INIT("[fd00:ec2::23]") };
    if (str_has_prefix(url, STR("https://")))
        return true;
    if (!str_has_prefix(url, STR("http://")))
        return false;
    struct str host = endpoint_host(url);
    const char *colon = host.len > 0 ? memrchr(host.at, ':', host.len) : NULL;
    if (colon && !memchr(colon, ']', host.len - (size_t)(colon - host.at))) {
        for (const char *at = colon + 1; at < host.at + host.len; at++)
            if (!char_is_digit(*at))
                return false;
        host.len = (size_t)(colon - host.at);
    }
    return STR_IS_AMONG(host, hosts) || credentials_container_is_loopback(host);
}

/* NULL in *out when neither variable is set. A token file is read again each time: EKS replaces it. */
static struct err credentials_container_read_authorization(struct arena *arena, const char **out)
{
    const char *path = credentials_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    struct str token = str_of(credentials_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN"));
    if (path && credentials_read_file(arena, path, &token).code)
        return failed(ERR_UNAVAILABLE, "the file that AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names can't be read");
    while (token.len > 0 && token.at[token.len - 1] <= ' ')
        token.len--;
    *out = token.len > 0 ? arena_copy(arena, token).at : NULL;
    return OK;
}

static struct err credentials_container_read_container(const struct credentials_ask *ask, struct arena *arena,
                                                       struct credentials_found *out)
{
    const char *relative = credentials_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *url = credentials_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI"), *token = NULL;
    struct net_answer answer = { 0 };
    if (!relative && !url)
        return failed(ERR_NOT_FOUND, "no AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    if (relative) /* goes first, as in AWS's SDKs */
        url = arena_printf(arena, "http://169.254.170.2%s%s", relative[0] == '/' ? "" : "/", relative).at;
    if (!credentials_may_ask(str_of(url)))
        return failed(ERR_INVALID_REQUEST, "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of the "
                                           "container's own machine");
    TRY(credentials_container_read_authorization(arena, &token));
    const struct net_header header = { "Authorization", token };
    struct net_request request = { .method = "GET",
                                   .url = url,
                                   .headers = &header,
                                   .header_count = token ? 1 : 0,
                                   .is_direct = !str_has_prefix(str_of(url), STR("https://")) };
    struct err err = credentials_send(ask, arena, &request, credentials_nothing_is_final, &answer);
    if (err.code)
        return credentials_unreachable(relative ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
                                                : "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                       err);
    if (answer.status == 200)
        return credentials_read_json(arena, answer.body, out);
    LOG(LOG_WARN, "container_credentials_refused", LOG_INT("status", answer.status));
    return failed(ERR_UNAVAILABLE, "the container's address for AWS credentials refused to give any");
}

const struct credentials_source credentials_container = { "container", credentials_container_read_container };
