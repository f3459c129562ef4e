/* oauth/authorization_code.c: the authorization code grant, RFC 6749 section 4.1.3: a code becomes a grant, once. The
 * store decides who is first (code_use()); who comes second revokes what the first one got (section 4.1.2). */
#include "base/settings.h"
#include "oauth/code.h"
#include "oauth/pkce.h"
#include "oauth/token_endpoint.h"
#include "oauth/tokens.h"
#include "observe/log.h"
#include "revocation/revocations.h"
#include "service/call.h"
#include "service/events.h"
#include "service/service.h"
#include "store/store.h"

static const struct err no_code = { ERR_INVALID_GRANT, "the code is not good, or not this client's" };

static struct err authorization_code_revoke(const struct token_request *request, const struct code *code)
{
    struct call *call = request->call;
    LOG(LOG_WARN, "code_reused", LOG_STR("request_id", call->request->id), LOG_STR("client_id", request->client->id),
        LOG_STR("sub", code->granted.sub));
    TRY(tokens_end_grant(call, code->grant_id, STR("code reused")));
    return no_code;
}

/* When it was made, if no setting has changed since. */
static int64_t authorization_code_issued_at(const struct token_request *request, const struct code *code)
{
    const int64_t now_s = request->call->request->now_s;
    const int64_t issued_at = code->expires_at - request->call->service->settings->code_ttl_s;
    return issued_at < 0 ? 0 : issued_at < now_s ? issued_at : now_s;
}

/* The grant that the code stands for may have been revoked since, by a rule: with its user, its session or its client.
 */
static bool authorization_code_is_refused(const struct token_request *request, const struct code *code)
{
    const struct claims granted = { .sub = code->granted.sub,
                                    .client_id = code->client_id,
                                    .sid = code->granted.sid,
                                    .iat = authorization_code_issued_at(request, code) };
    return revocations_refuse_new(request->call->service->revocations, &granted);
}

static struct err authorization_code_check(const struct token_request *request, const struct code *code)
{
    const struct form *form = &request->call->form;
    if (!str_eq(code->client_id, request->client->id))
        return no_code;
    if (code->is_used)
        return authorization_code_revoke(request, code);
    if (code->expires_at <= request->call->request->now_s || authorization_code_is_refused(request, code))
        return no_code;
    if (!str_eq(form_value(form, STR("redirect_uri")), code->redirect_uri))
        return failed(ERR_INVALID_GRANT, "the redirect_uri is not the one of the authorization request");
    const char *fault = pkce_verifier_fault(code->code_challenge.len > 0 ? code->code_challenge : (struct str){ 0, 0 },
                                            form_value(form, STR("code_verifier")));
    return fault ? failed(ERR_INVALID_GRANT, fault) : OK;
}

/* OpenID Connect Core section 11: a client that wants to act without its user asks for offline_access. Without OpenID
 * Connect there is no such word, and the registration says it. */
static bool authorization_code_gives_refresh_token(const struct token_request *request, const struct code *code)
{
    return request->registered->grants & GRANT_REFRESH_TOKEN &&
           (str_has_word(code->granted.scope, STR("offline_access")) ||
            !str_has_word(code->granted.scope, STR("openid")));
}

static struct family authorization_code_family(const struct token_request *request, const struct code *code,
                                               bool has_refresh_token)
{
    const struct settings *settings = request->call->service->settings;
    const struct client *client = request->client;
    const int64_t lasts_s = !has_refresh_token      ? tokens_access_lifetime_s(request)
                            : client->refresh_ttl_s ? client->refresh_ttl_s
                                                    : settings->refresh_ttl_s;
    return (struct family){ .client_id = client->id,
                            .expires_at = request->call->request->now_s + lasts_s,
                            .granted = code->granted };
}

/* Others are told of the grant's refresh tokens once, when it begins: they go by its id, by which it is revoked. */
static void authorization_code_tell(const struct token_request *request, const struct family *family,
                                    struct token_answer *answer)
{
    const struct call *call = request->call;
    unsigned char id[32];
    const struct told_token token = { .kind = TOKEN_REFRESH,
                                      .hash = id,
                                      .subject = family->granted.sub,
                                      .client_id = family->client_id,
                                      .issued_at = call->request->now_s,
                                      .expires_at = family->expires_at };
    family_row_id(family->grant_id, id);
    answer->records = events_of_token(call->service, call->request->arena, &token, answer->records);
}

/* The grant as an item, and the code that it uses up. */
static struct err authorization_code_record(const struct token_request *request, const struct code *code,
                                            const struct family *family, struct token_answer *answer)
{
    struct arena *arena = request->call->request->arena;
    struct item item = { .kind = ITEM_GRANT,
                         .expires_at = family->expires_at,
                         .client_id = family->client_id,
                         .subject = family->granted.sub,
                         .sid = family->granted.sid };
    family_row_id(family->grant_id, item.id);
    TRY(family_write(family, arena, &item.body));
    answer->records = item_put(arena, &item, 0, answer->records);
    return code_use(arena, code, item.id, answer->records, &answer->records);
}

struct err grant_authorization_code(const struct token_request *request, struct token_answer *answer)
{
    struct call *call = request->call;
    struct arena *arena = call->request->arena;
    const struct str text = form_value(&call->form, STR("code"));
    AUTO(refresh_token_wipe) struct refresh_token token = { .generation = 0 };
    struct family_terms terms;
    struct code code;
    if (!text.at)
        return failed(ERR_INVALID_REQUEST, "the parameter code is missing");
    TRY(code_find(call->service->store, arena, text, &code));
    TRY(authorization_code_check(request, &code));
    const bool has_refresh_token = authorization_code_gives_refresh_token(request, &code);
    AUTO(family_wipe) struct family family = authorization_code_family(request, &code, has_refresh_token);
    terms = tokens_terms(request);
    TRY(family_begin(&family, &terms, call->request->now_s, &token));
    /* It began with the code: so a rule that was made since refuses it too, also where that is not known yet. */
    family.issued_at = authorization_code_issued_at(request, &code);
    TRY(tokens_issue(request, &family, code.nonce.len > 0 ? code.nonce : STR(""), answer));
    if (has_refresh_token) {
        answer->refresh_token = arena_copy(arena, refresh_token_text(&token));
        authorization_code_tell(request, &family, answer);
    }
    return authorization_code_record(request, &code, &family, answer);
}
