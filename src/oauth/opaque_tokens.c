/* oauth/opaque_tokens.c: a refresh token is judged for others as the token endpoint would judge it for its client, and
 * nothing is changed by that. */
#include "oauth/opaque_tokens.h"
#include "base/settings.h"
#include "jose/b64.h"
#include "oauth/grant.h"
#include "oauth/tokens.h"
#include "oauth/user_claims.h"
#include "observe/log.h"
#include "service/authn.h"
#include "service/client_metadata.h"
#include "service/clients.h"
#include "service/introspect.h"

static const struct err not_good = { ERR_INVALID_GRANT, "the refresh token is not good" };

struct presented {
    struct refresh_token token;
    struct grant grant;
};

static void opaque_tokens_wipe(struct presented *presented)
{
    refresh_token_wipe(&presented->token);
    family_wipe(&presented->grant.family);
}

static bool opaque_tokens_have_form(struct str text)
{
    AUTO(refresh_token_wipe) struct refresh_token token = { .generation = 0 };
    return refresh_token_read(text, &token);
}

/* ERR_NOT_FOUND: no such token was ever made. */
static struct err opaque_tokens_find(const struct call *call, struct str text, struct presented *out)
{
    static const struct err unknown = { ERR_NOT_FOUND, "not a refresh token of this service: no grant has it" };
    if (!refresh_token_read(text, &out->token))
        return unknown;
    const struct err err = grant_of_token(call->service->store, call->request->arena, &out->token, &out->grant);
    if (err.code == ERR_NOT_FOUND)
        return unknown;
    TRY(err);
    return refresh_token_is_of(&out->token, out->grant.family.reuse_key) ? OK : unknown;
}

/* --- introspection ------------------------------------------------------------------------------------------------ */

/* The client for which the token is good: one that may use refresh tokens still. */
static struct err opaque_tokens_find_client(const struct call *call, struct str id, struct client *client,
                                            const struct client_metadata **registered)
{
    struct arena *arena = call->request->arena;
    const struct err err = clients_find_active(call->service->clients, arena, id, client);
    if (err.code == ERR_NOT_FOUND)
        return not_good;
    TRY(err);
    *registered = client_metadata_of(arena, client);
    return (*registered)->grants & GRANT_REFRESH_TOKEN ? OK : not_good;
}

/* Nobody has disabled the user since, and no rule revokes the grant. */
static struct err opaque_tokens_check_user(const struct call *call, const struct family *family)
{
    const struct json *user;
    TRY(grant_check_rules(call, family));
    const struct err err = user_claims_find(call, &family->granted, &user);
    return err.code == ERR_NOT_FOUND ? not_good : err;
}

static struct err opaque_tokens_check(struct call *call, const struct presented *presented)
{
    const struct family *family = &presented->grant.family;
    const struct client_metadata *registered;
    struct client client;
    TRY(opaque_tokens_find_client(call, family->client_id, &client, &registered));
    const struct token_request request = { .call = call, .client = &client, .registered = registered };
    const struct family_terms terms = tokens_terms(&request);
    switch (family_decide(family, &presented->token, &terms, call->request->now_s)) {
    case FAMILY_ROTATE:
    case FAMILY_KEEP:
    case FAMILY_AGAIN: /* it still brings its successor */
        return opaque_tokens_check_user(call, family);
    case FAMILY_UNKNOWN:
    case FAMILY_REVOKED:
    case FAMILY_ENDED:
    case FAMILY_REUSED: /* nothing is revoked for it: who asks here is not who uses it */
        break;
    }
    return not_good;
}

/* As a signed refresh token has it (service/issue.c): the client that uses it, and the issuer that takes it. */
static const struct json *opaque_tokens_audience(const struct call *call, const struct family *family)
{
    const struct json *object = NULL;
    struct buf text;
    buf_init(&text, call->request->arena, 256, 8192);
    buf_add(&text, STR("{\"aud\":["));
    json_write_str(&text, family->client_id);
    buf_add_char(&text, ',');
    json_write_str(&text, str_of(call->service->settings->issuer));
    buf_add(&text, STR("]}"));
    return json_parse(call->request->arena, buf_str(&text), &object).code ? NULL : object;
}

/* Its end is that of the grant, or sooner when nobody uses it; its jti is its hash, which is unlike any other's. */
static void opaque_tokens_write(const struct call *call, const struct presented *presented, struct buf *out)
{
    const struct family *family = &presented->grant.family;
    const bool idle_is_sooner = family->idle_expires_at < family->expires_at;
    char jti[43];
    b64url_encode((struct str){ (const char *)presented->token.hash, sizeof presented->token.hash }, jti);
    const struct claims claims = { .iss = str_of(call->service->settings->issuer),
                                   .sub = family->granted.sub,
                                   .jti = { jti, sizeof jti },
                                   .client_id = family->client_id,
                                   .scope = family->granted.scope,
                                   .token_type = STR("Refresh"),
                                   .exp = idle_is_sooner ? family->idle_expires_at : family->expires_at,
                                   .iat = family->issued_at,
                                   .nbf = family->issued_at,
                                   .all = opaque_tokens_audience(call, family) };
    introspection_write(out, &claims);
}

static struct err opaque_tokens_introspect(struct call *call, struct str text, struct buf *out)
{
    AUTO(opaque_tokens_wipe) struct presented presented = { .token.generation = 0 };
    const struct err err = opaque_tokens_find(call, text, &presented);
    if (err.code == ERR_NOT_FOUND)
        return not_good;
    TRY(err);
    TRY(opaque_tokens_check(call, &presented));
    opaque_tokens_write(call, &presented, out);
    return OK;
}

/* --- revocation --------------------------------------------------------------------------------------------------- */

/* RFC 7009 section 2.1: a client that proves who it is, or has no secret to prove it with, revokes its own. A bearer
 * token speaks for less than that (service/revoke.c). */
static struct err opaque_tokens_check_caller(const struct caller *caller, struct str owner)
{
    if ((!caller->bearer && str_eq(owner, caller->client_id)) || caller_may(caller, STR("token:revoke:any")))
        return OK;
    return failed(ERR_INSUFFICIENT_SCOPE, caller->bearer
                                              ? "revoking a refresh token needs the scope token:revoke:any"
                                              : "revoking another client's token needs the scope token:revoke:any");
}

/* A token that was used stands for its grant as well: it is its holder who wants an end, or somebody who should not
 * have it. */
static struct err opaque_tokens_revoke(struct call *call, struct str text, struct str reason)
{
    AUTO(opaque_tokens_wipe) struct presented presented = { .token.generation = 0 };
    char id[13];
    TRY(opaque_tokens_find(call, text, &presented));
    const struct str owner = presented.grant.family.client_id;
    TRY(opaque_tokens_check_caller(&call->caller, owner));
    TRY(tokens_end_grant(call, presented.grant.item.id, reason));
    log_token_id(presented.token.hash, id);
    LOG(LOG_INFO, "token_revoked", LOG_STR("request_id", call->request->id), LOG_TEXT_("token", id),
        LOG_TEXT_("type", "grant"), LOG_STR("client_id", owner), LOG_STR("caller", call->caller.client_id),
        LOG_STR("reason", reason));
    return OK;
}

const struct opaque_tokens oauth_opaque_tokens = { opaque_tokens_have_form, opaque_tokens_introspect,
                                                   opaque_tokens_revoke };
