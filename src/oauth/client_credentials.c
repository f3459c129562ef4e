/* oauth/client_credentials.c: the client credentials grant, RFC 6749 section 4.4: a client's token for itself. */
#include "oauth/token_endpoint.h"
#include "service/authority.h"
#include "service/call.h"
#include "service/service.h"
#include "store/store.h"

/* What is not asked for by name: no scope of this service's own, and none that needs a user. */
static bool client_credentials_is_given_unasked(struct str scope)
{
    return !authority_is_own_scope(scope) && !str_eq(scope, STR("openid")) && !str_eq(scope, STR("offline_access"));
}

static struct str client_credentials_usual_scope(struct arena *arena, struct str allowed)
{
    struct str word;
    struct buf words;
    buf_init(&words, arena, allowed.len + 1, allowed.len + 1);
    while (str_next_word(&allowed, &word)) {
        if (!client_credentials_is_given_unasked(word))
            continue;
        buf_add_word(&words, word);
    }
    return buf_str(&words);
}

struct err grant_client_credentials(const struct token_request *request, struct token_answer *answer)
{
    const struct client *client = request->client;
    const struct client_texts *own = &request->registered->resources;
    struct arena *arena = request->call->request->arena;
    if (client->is_public)
        return failed(ERR_UNAUTHORIZED_CLIENT, "a public client can't have tokens of its own");
    if (request->scope.at &&
        (str_has_word(request->scope, STR("openid")) || str_has_word(request->scope, STR("offline_access"))))
        return failed(ERR_INVALID_SCOPE, "openid and offline_access need a user, and this grant has none");
    TRY(resources_allow(&request->resource, own->at, own->count, request->call->service->audience));
    const struct issue issue = { .kind = TOKEN_ACCESS,
                                 .priority = SIGN_CLIENT_CREDENTIALS,
                                 .client = client,
                                 .authority = &request->call->caller,
                                 .subject = client->id,
                                 .scope = request->scope.at ? request->scope
                                                            : client_credentials_usual_scope(arena, client->scopes),
                                 .audience = request->resource.of,
                                 .audience_count = request->resource.count,
                                 .audience_is_granted = true,
                                 .auth_time = -1,
                                 .now_s = request->call->request->now_s,
                                 .at_once = !request->call->may_wait,
                                 .request_id = request->call->request->id };
    const struct err err = token_issue(request->call->service, arena, &issue, &answer->access);
    answer->retry_after_s = answer->access.retry_after_s;
    answer->records = answer->access.record;
    return err;
}
