/* oauth/token_endpoint.c: POST /token as a form, RFC 6749 section 3.2: the client proves who it is, the grant decides,
 * and the tokens are answered (section 5.1). */
#include "oauth/token_endpoint.h"
#include "oauth/operations.h"
#include "service/call.h"
#include "service/operations.h"
#include "store/store.h"

static const struct grant_type {
    struct str name;
    enum client_grant registered; /* what its clients have in grant_types */
    struct err (*run)(const struct token_request *, struct token_answer *);
    bool only_signs; /* route.h: the store is not asked */
} grants[] = {
    { STR_INIT("authorization_code"), GRANT_AUTHORIZATION_CODE, grant_authorization_code, false },
    { STR_INIT("refresh_token"), GRANT_REFRESH_TOKEN, grant_refresh_token, false },
    { STR_INIT("client_credentials"), GRANT_CLIENT_CREDENTIALS, grant_client_credentials, true },
};

/* A client authenticates as it is registered to (RFC 7591 section 2, token_endpoint_auth_method); and a token is no
 * client. */
static bool token_endpoint_is_registered_way(enum auth_method came, enum client_auth registered)
{
    static const enum auth_method ways[] = { [CLIENT_AUTH_BASIC] = AUTH_BASIC,
                                             [CLIENT_AUTH_POST] = AUTH_POST,
                                             [CLIENT_AUTH_KEY] = AUTH_ASSERTION,
                                             [CLIENT_AUTH_NONE] = AUTH_NONE };
    return registered != CLIENT_AUTH_UNSUPPORTED && ways[registered] == came;
}

/* All `resource` that came (RFC 8707 section 2). */
static struct err token_endpoint_read_resources(const struct form *form, struct resources *out)
{
    for (size_t i = 0; i < form->count; i++)
        if (str_eq(form->name[i], STR("resource")) && form->value[i].len > 0)
            TRY(resources_add(out, form->value[i]));
    return OK;
}

/* NULL: it is not supported. */
static const struct grant_type *token_endpoint_grant_named(struct str name)
{
    for (size_t i = 0; i < sizeof grants / sizeof *grants; i++)
        if (str_eq(grants[i].name, name))
            return &grants[i];
    return NULL;
}

static struct err token_endpoint_run_grant(const struct token_request *request, struct token_answer *answer)
{
    const struct str name = form_value(&request->call->form, STR("grant_type"));
    if (!name.at)
        return failed(ERR_INVALID_REQUEST, "the parameter grant_type is missing");
    const struct grant_type *grant = token_endpoint_grant_named(name);
    if (!grant)
        return failed(ERR_UNSUPPORTED_GRANT_TYPE, "this grant_type is not supported");
    return request->registered->grants & grant->registered
               ? grant->run(request, answer)
               : failed(ERR_UNAUTHORIZED_CLIENT, "the client is not registered for this grant_type");
}

bool token_endpoint_only_signs(const struct call *call)
{
    const struct grant_type *grant = token_endpoint_grant_named(form_value(&call->form, STR("grant_type")));
    return grant && grant->only_signs && issue_only_signs(call);
}

static void token_endpoint_write(struct buf *body, const struct token_answer *answer)
{
    buf_add(body, STR("{\"access_token\":\""));
    buf_add(body, answer->access.token);
    buf_add(body, STR("\",\"token_type\":\"Bearer\",\"expires_in\":"));
    buf_add_int(body, answer->access.lifetime_s);
    json_write_optional(body, STR("refresh_token"), answer->refresh_token);
    json_write_optional(body, STR("id_token"), answer->id_token);
    json_write_text(body, STR("scope"), answer->access.scope);
    buf_add_char(body, '}');
}

struct err token_endpoint(struct call *call, struct response *response)
{
    const struct client *client = call->caller.client;
    struct token_answer answer = { .retry_after_s = 0 };
    struct token_request request = { .call = call,
                                     .client = client,
                                     .registered = client_metadata_of(call->request->arena, client),
                                     .scope = form_value(&call->form, STR("scope")) };
    if (!token_endpoint_is_registered_way(call->caller.method, request.registered->auth))
        return failed(ERR_INVALID_CLIENT, "the client does not authenticate as it is registered to");
    TRY(token_endpoint_read_resources(&call->form, &request.resource));
    const struct err err = token_endpoint_run_grant(&request, &answer);
    response->retry_after_s = answer.retry_after_s;
    TRY(err);
    response->records = answer.records;
    response_add_header(response, STR("Pragma"), STR("no-cache")); /* RFC 6749 section 5.1 */
    token_endpoint_write(&response->body, &answer);
    return OK;
}
