/* oauth/userinfo.c: the UserInfo endpoint (OpenID Connect Core section 5.3): what the user of an access token has
 * allowed its client to know. The token comes in the header or, of a POST, in the form (RFC 6750 sections 2.1 and 2.2).
 */
#include "base/settings.h"
#include "jose/b64.h"
#include "keys/keyring.h"
#include "oauth/family.h"
#include "oauth/operations.h"
#include "oauth/user_claims.h"
#include "service/authn.h"
#include "service/client_metadata.h"
#include "service/clients.h"
#include "service/pairwise.h"
#include "service/service.h"
#include "service/verify.h"
#include "store/store.h"
#include "wire/fields.h"

enum { USERINFO_MAX = 64 * 1024 };

/* RFC 6750 section 2: in one way only. */
static struct err userinfo_find_token(struct call *call, struct str *token)
{
    const struct request *request = call->request;
    const struct str authorization = request_header(request, STR("Authorization"));
    struct str scheme, posted = { 0, 0 };
    if (request->method == METHOD_POST && request_is_form(request)) {
        TRY(form_read(request->arena, request->body, &call->form));
        posted = form_value(&call->form, STR("access_token"));
    }
    if (authorization.at && posted.at)
        return failed(ERR_INVALID_REQUEST, "the access token comes in more than one way");
    *token = posted.at ? posted : authorization;
    if (posted.at)
        return OK;
    if (!authorization.at || !str_cut(token, ' ', &scheme) || !str_eq_nocase(scheme, STR("Bearer")))
        return failed(ERR_TOKEN_MISSING, "the call needs an access token");
    *token = str_trim(*token);
    return OK;
}

static struct err userinfo_check_token(const struct service *service, const struct claims *claims)
{
    if (json_member(claims->all, STR("cnf"))) /* RFC 7800: valid only with a proof, which is not checked here */
        return failed(ERR_TOKEN_CLAIM, "the token is bound to a key, and the request has no proof of possession");
    if (!claims->client_id.at || !authn_audience_is_ours(service, claims))
        return failed(ERR_TOKEN_CLAIM, "the token is not meant for this service");
    if (!claims->scope.at || !str_has_word(claims->scope, STR("openid")))
        return failed(ERR_INSUFFICIENT_SCOPE, "the token lacks the scope openid");
    return OK;
}

/* Without a grant in the store nothing is known of the user but the token's sub: then out->sector.at is NULL. */
static struct err userinfo_find_grant(const struct call *call, const struct claims *claims, struct granted *out)
{
    struct store *store = call->service->store;
    struct arena *arena = call->request->arena;
    AUTO(family_wipe) struct family family = { .expires_at = 0 };
    unsigned char id[34];
    size_t len = 0;
    struct item item;
    *out = (struct granted){ .sub = arena_copy(arena, claims->sub), .scope = STR(""), .auth_time = -1 };
    if (!claims->parent_hash.at || claims->parent_hash.len != 43 ||
        !b64url_decode(claims->parent_hash, (char *)id, &len) || len != 32)
        return OK;
    const struct err err = store->ops->find_item(store, arena, ITEM_GRANT, id, &item);
    if (err.code == ERR_NOT_FOUND)
        return OK;
    TRY(err);
    const struct family_row row = { .client_id = item.client_id, .expires_at = item.expires_at, .body = item.body };
    TRY(family_read(arena, &row, &family));
    if (family.revoked_at > 0)
        return failed(ERR_TOKEN_REVOKED, "the token has been revoked");
    *out = family.granted;
    if (!out->sector.at)
        out->sector = STR("");
    return OK;
}

/* The sub that the id token has too (section 5.3.2), whichever the access token has. */
static struct err userinfo_name_user(const struct call *call, const struct client_metadata *registered,
                                     struct granted *granted)
{
    const struct settings *settings = call->service->settings;
    struct arena *arena = call->request->arena;
    struct str sector = { 0, 0 };
    struct err err = pairwise_subject(settings, arena, registered, granted->sub, &granted->sub);
    if (!err.code)
        err = pairwise_sector(settings, arena, registered, &sector);
    if (err.code == ERR_UNAUTHORIZED_CLIENT)
        return failed(ERR_TOKEN_CLAIM, "the token's client can't be told of users");
    TRY(err);
    return !granted->sector.at || str_eq(granted->sector, sector)
               ? OK
               : failed(ERR_TOKEN_CLAIM, "the client's subject_type or sector has changed since this was granted");
}

static void userinfo_write(struct buf *body, const struct json *user, const struct granted *granted, struct str scope)
{
    buf_add(body, STR("{\"sub\":"));
    json_write_str(body, granted->sub);
    user_claims_write(body, user, granted, STR("userinfo"), scope);
}

/* Section 5.3.2: signed, with iss and aud. */
static struct err userinfo_sign(const struct call *call, struct str client_id, struct buf *claims,
                                struct response *response)
{
    const struct service *service = call->service;
    json_write_text(claims, STR("iss"), str_of(service->settings->issuer));
    json_write_text(claims, STR("aud"), client_id);
    buf_add_char(claims, '}');
    if (claims->overflowed)
        return failed(ERR_INTERNAL, "what is known of the user is too large for an answer");
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(service->keyring);
    TRY(keyring_sign(service->keyring, view, SIGN_INTERACTIVE, STR("JWT"), buf_str(claims), &response->body));
    response->content_type = STR("application/jwt");
    return OK;
}

static struct err userinfo_answer(const struct call *call, const struct claims *claims, struct response *response)
{
    struct arena *arena = call->request->arena;
    const struct json *user = NULL;
    struct granted granted;
    struct client client;
    struct buf body;
    struct err err = clients_find_active(call->service->clients, arena, claims->client_id, &client);
    if (err.code == ERR_NOT_FOUND)
        return failed(ERR_TOKEN_CLAIM, "the token's client is unknown or disabled");
    TRY(err);
    response->client_id = client.id;
    TRY(userinfo_find_grant(call, claims, &granted));
    err = user_claims_find(call, &granted, &user);
    if (err.code == ERR_NOT_FOUND)
        return failed(ERR_TOKEN_REVOKED, "the user is no longer known");
    TRY(err);
    TRY(user_claims_add_kept(call, &granted, STR("userinfo"), claims->scope, &user));
    const struct client_metadata *registered = client_metadata_of(arena, &client);
    TRY(userinfo_name_user(call, registered, &granted));
    buf_init(&body, arena, 1024, USERINFO_MAX);
    userinfo_write(&body, user, &granted, claims->scope);
    if (registered->userinfo_alg)
        return userinfo_sign(call, client.id, &body, response);
    buf_add_char(&body, '}');
    buf_add(&response->body, buf_str(&body));
    return body.overflowed ? failed(ERR_INTERNAL, "what is known of the user is too large for an answer") : OK;
}

struct err userinfo(struct call *call, struct response *response)
{
    const struct token_ask ask = { .kinds = KIND_ACCESS, .expect.max_age_s = -1 };
    AUTO(verified_releasep) struct verified *entry = NULL;
    struct str token;
    response->wants_bearer = true;
    TRY(userinfo_find_token(call, &token));
    TRY(token_check(call->service, token, &ask, call->request->now_s, &entry));
    TRY(userinfo_check_token(call->service, &entry->claims));
    return userinfo_answer(call, &entry->claims, response);
}
