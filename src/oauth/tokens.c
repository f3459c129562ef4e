/* oauth/tokens.c: from a grant to its tokens. */
#include "oauth/tokens.h"
#include "base/settings.h"
#include "jose/half_hash.h"
#include "keys/keyring.h"
#include "oauth/grant.h"
#include "oauth/resource.h"
#include "oauth/user_claims.h"
#include "revocation/revocations.h"
#include "service/call.h"
#include "service/pairwise.h"
#include "service/revoke_rule.h"
#include "service/service.h"
#include "store/store.h"

enum { CLAIMS_MAX = 32 * 1024 };

/* RFC 6749 section 6: no more than was granted. *out: what is asked for, or all of it. */
static struct err tokens_narrow_scope(struct str asked, struct str granted, struct str *out)
{
    struct str word, rest = asked;
    *out = asked.at ? asked : granted;
    while (asked.at && str_next_word(&rest, &word))
        if (!str_has_word(granted, word))
            return failed(ERR_INVALID_SCOPE, "a scope was asked for that the user has not granted");
    return OK;
}

/* How the user was authenticated: RFC 9068 section 2.2.1, OpenID Connect Core section 2. */
static void tokens_write_authentication(struct buf *out, const struct family *grant)
{
    json_write_optional(out, STR("acr"), grant->granted.acr);
    if (grant->granted.amr_count > 0)
        json_write_texts(out, STR("amr"), grant->granted.amr, grant->granted.amr_count);
}

/* Claims beside those that every token has. `user`: what is known of the user, of which the request's `claims` choose;
 * NULL: the token is none of those that say it. */
static const struct json *tokens_claims(struct arena *arena, const struct family *grant, const struct json *user)
{
    const struct json *claims = NULL;
    struct buf out;
    buf_init(&out, arena, 256, CLAIMS_MAX);
    buf_add_char(&out, '{');
    tokens_write_authentication(&out, grant);
    user_claims_write(&out, user, &grant->granted, STR("id_token"), STR(""));
    buf_add_char(&out, '}');
    return json_parse(arena, buf_str(&out), &claims).code ? NULL : claims;
}

/* What both tokens have in common. `user`: what is known of the user, of the token that says it. */
static struct issue tokens_issue_of(const struct token_request *request, const struct family *grant,
                                    const struct json *user)
{
    const struct call *call = request->call;
    return (struct issue){ .priority = SIGN_INTERACTIVE,
                           .client = request->client,
                           .subject = grant->granted.sub,
                           .custom = tokens_claims(call->request->arena, grant, user),
                           .sid = grant_session(call, grant),
                           .auth_time = grant->granted.auth_time,
                           .now_s = call->request->now_s,
                           .request_id = call->request->id };
}

static struct err tokens_issue_access(const struct token_request *request, const struct family *grant,
                                      struct token_answer *answer)
{
    const struct call *call = request->call;
    struct issue issue = tokens_issue_of(request, grant, NULL);
    struct issue_parent parent = { .client_id = grant->client_id, .iat = grant->issued_at };
    struct resources resources;
    TRY(tokens_narrow_scope(request->scope, grant->granted.scope, &issue.scope));
    TRY(resources_narrow(&request->resource, &grant->granted.resource, &resources));
    family_row_id(grant->grant_id, parent.hash);
    issue.kind = TOKEN_ACCESS;
    issue.parent = &parent;
    issue.audience = resources.of;
    issue.audience_count = resources.count;
    issue.audience_is_granted = true;
    return token_issue(call->service, call->request->arena, &issue, &answer->access);
}

/* By the hash of the key that will sign, which is not the settings' while their algorithm changes. */
static struct str tokens_at_hash(const struct service *service, struct str token, char to[HALF_HASH_MAX])
{
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(service->keyring);
    return half_hash(view->active->jwk->alg, token, to);
}

static struct err tokens_issue_id(const struct token_request *request, const struct family *grant,
                                  const struct json *user, struct str nonce, struct token_answer *answer)
{
    const struct call *call = request->call;
    struct issue issue = tokens_issue_of(request, grant, user);
    char at_hash[HALF_HASH_MAX];
    struct issued issued;
    issue.kind = TOKEN_ID;
    issue.scope = STR("");
    issue.nonce = nonce;
    issue.at_hash = tokens_at_hash(call->service, answer->access.token, at_hash);
    const struct err err = token_issue(call->service, call->request->arena, &issue, &issued);
    answer->retry_after_s = issued.retry_after_s;
    TRY(err);
    answer->id_token = issued.token;
    answer->records = records_join(issued.record, answer->records);
    return OK;
}

/* A client whose sector, or type of subject, has changed since would see another sub come of the same grant, which
 * OpenID Connect Core section 12.2 forbids: its users have to log in again. */
static struct err tokens_check_sector(const struct token_request *request, const struct family *grant)
{
    const struct call *call = request->call;
    struct str sector;
    TRY(pairwise_sector(call->service->settings, call->request->arena, request->registered, &sector));
    return str_eq(sector, grant->granted.sector)
               ? OK
               : failed(ERR_INVALID_GRANT, "the client's subject_type or sector has changed since this was granted");
}

struct err tokens_issue(const struct token_request *request, const struct family *grant, struct str nonce,
                        struct token_answer *answer)
{
    const struct json *user = NULL;
    TRY(tokens_check_sector(request, grant));
    struct err err = user_claims_find(request->call, &grant->granted, &user);
    if (err.code == ERR_NOT_FOUND)
        return failed(ERR_INVALID_GRANT, "the user is no longer known here");
    TRY(err);
    const bool has_id_token = str_has_word(grant->granted.scope, STR("openid"));
    if (has_id_token)
        TRY(user_claims_add_kept(request->call, &grant->granted, STR("id_token"), STR(""), &user));
    err = tokens_issue_access(request, grant, answer);
    answer->retry_after_s = answer->access.retry_after_s;
    TRY(err);
    answer->records = answer->access.record;
    return has_id_token ? tokens_issue_id(request, grant, user, nonce, answer) : OK;
}

struct err tokens_revoke_grant(struct call *call, const unsigned char grant_id[32], struct str reason)
{
    const int64_t now_s = call->request->now_s;
    struct record *record = arena_zalloc(call->request->arena, sizeof *record);
    int64_t end;
    TRY(rule_end_of_tokens(call, now_s + call->service->settings->clock_skew_s, &end));
    *record = (struct record){ .kind = RECORD_REVOCATION,
                               .token_kind = TOKEN_ID, /* of which the stores keep no row */
                               .issued_at = now_s,
                               .expires_at = end,
                               .token_expires_at = end,
                               .reason = reason,
                               .revoked_by = call->caller.client_id };
    memcpy(record->token_hash, grant_id, sizeof record->token_hash);
    TRY(revocations_make(call->service->revocations, record, &call->announced));
    call_record_always(call, record);
    return OK;
}

struct err tokens_end_grant(struct call *call, const unsigned char grant_id[32], struct str reason)
{
    struct arena *arena = call->request->arena;
    struct grant grant;
    TRY(tokens_revoke_grant(call, grant_id, reason));
    struct err err = grant_of_id(call->service->store, arena, grant_id, &grant);
    if (err.code == ERR_NOT_FOUND)
        return OK;
    TRY(err);
    if (grant.family.revoked_at == 0) {
        family_revoke(&grant.family, reason.len <= FAMILY_REASON_MAX ? reason : STR("revoked"), call->request->now_s);
        err = family_write(&grant.family, arena, &grant.item.body);
        if (!err.code)
            call_record_always(call, item_put(arena, &grant.item, grant.item.version, NULL));
    }
    family_wipe(&grant.family);
    return err;
}

/* Where instances share a store, one's clock judges what another's has written (docs/refresh-tokens.md, "Clocks"). */
static int64_t tokens_grace_s(const struct service *service, const struct client_metadata *registered)
{
    const struct settings *settings = service->settings;
    const int64_t own_s = registered->refresh_token_grace_s;
    const int64_t grace_s = own_s >= 0 ? own_s : settings->refresh_grace_s;
    return grace_s > 0 && service->store->ops->is_shared ? grace_s + settings->clock_skew_s : grace_s;
}

struct family_terms tokens_terms(const struct token_request *request)
{
    const struct service *service = request->call->service;
    const struct client_metadata *registered = request->registered;
    const int64_t idle_s = registered->refresh_token_idle_s;
    return (struct family_terms){ .client_id = request->client->id,
                                  /* a public client's always (RFC 9700 section 4.14.2) */
                                  .rotates = registered->refresh_token_rotation || request->client->is_public,
                                  .grace_s = tokens_grace_s(service, registered),
                                  .idle_s = idle_s >= 0 ? idle_s : service->settings->refresh_idle_s };
}

int64_t tokens_access_lifetime_s(const struct token_request *request)
{
    const int64_t own_s = request->client->access_ttl_s;
    return own_s ? own_s : request->call->service->settings->access_ttl_s;
}
