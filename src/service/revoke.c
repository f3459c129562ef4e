/* service/revoke.c: POST /token/revoke, RFC 7009. A revoked token is refused here at once, before its record is
 * durable: if the commit fails, the caller gets 503 and may repeat the call, and the token was not accepted in between.
 * So a repeated revocation is recorded again: that it is in memory does not mean that it is on disk. Other instances
 * are told before the record is handed on; revocation/replication.c says what a crash in between does. */
#include "base/settings.h"
#include "observe/log.h"
#include "revocation/revocations.h"
#include "service/authn.h"
#include "service/call.h"
#include "service/operations.h"
#include "service/reason.h"
#include "service/service.h"
#include "service/verify.h"
#include "store/store.h"
#include <stddef.h>

struct revoke_body {
    struct str token, reason, hint;
};

static const struct field body_fields[] = {
    { "token", FIELD_STR, true, offsetof(struct revoke_body, token), 0, 0 },
    { "reason", FIELD_TEXT, false, offsetof(struct revoke_body, reason), 0, 256 },
    { "token_type_hint", FIELD_TEXT, false, offsetof(struct revoke_body, hint), 0, 64 },
};

static struct err revoke_read_body(struct call *call, struct revoke_body *body)
{
    if (request_is_form(call->request)) {
        body->token = form_value(&call->form, STR("token"));
        return body->token.at ? OK : failed(ERR_INVALID_REQUEST, "the parameter token is missing");
    }
    return request_fields(call->request, body_fields, sizeof body_fields / sizeof *body_fields, body);
}

static void revoke_write_answer(const struct call *call, struct response *response)
{
    if (request_is_form(call->request))
        response_empty(response, 200); /* section 2.2: the client looks only at the status */
    else
        buf_add(&response->body, STR("{\"revoked\":true}"));
}

/* Until when the revocation is kept: as long as any caller may still accept the token, its tolerance included. A token
 * that has expired by this machine's clock, or is not valid yet, says that the clock may be wrong. */
static int64_t revoke_keep_until(const struct call *call, const struct claims *claims)
{
    const struct settings *settings = call->service->settings;
    const int64_t now = call->request->now_s, end = claims->exp + settings->clock_tolerance_max_s + 1;
    const int64_t latest = now + settings->clock_skew_s;
    bool is_now = claims->exp > now && claims->iat <= latest && claims->nbf <= latest;
    return is_now ? end : (end > now ? end : now) + CLOCK_DOUBT_S;
}

static struct err revoke_and_record(struct call *call, const struct verified *entry, struct str reason,
                                    struct response *response)
{
    struct arena *arena = call->request->arena;
    struct record *record = arena_zalloc(arena, sizeof *record);
    *record = (struct record){ .kind = RECORD_REVOCATION,
                               .token_kind = entry->kind,
                               .issued_at = call->request->now_s,
                               .expires_at = revoke_keep_until(call, &entry->claims),
                               .token_expires_at = entry->claims.exp,
                               .reason = reason_to_keep(reason),
                               .revoked_by = call->caller.client_id };
    memcpy(record->token_hash, entry->hash, sizeof record->token_hash);
    TRY(revocations_make(call->service->revocations, record, &response->announced));
    response->records = record;

    char id[13];
    log_token_id(entry->hash, id);
    LOG(LOG_INFO, "token_revoked", LOG_STR("request_id", call->request->id), LOG_TEXT_("token", id),
        LOG_STR("type", token_kind_name(entry->kind)), LOG_STR("client_id", claims_owner(&entry->claims)),
        LOG_STR("caller", call->caller.client_id), LOG_STR("reason", record->reason));
    return OK;
}

/* Section 2.1: a client that proves who it is, or has no secret to prove it with, revokes its own tokens. A token
 * speaks for less than that: without the scope it revokes itself, and what was issued with it. */
static bool revoke_is_own(const struct caller *caller, const struct verified *entry)
{
    const struct bearer *bearer = caller->bearer;
    if (!bearer)
        return str_eq(claims_owner(&entry->claims), caller->client_id);
    return memcmp(entry->hash, bearer->hash, sizeof entry->hash) == 0 ||
           (entry->has_parent && memcmp(entry->parent, bearer->hash, sizeof entry->parent) == 0);
}

/* Section 2.2: for a client an unknown token is not an error, since there is nothing to revoke. But an operator who
 * pastes one must learn that nothing was done. */
static struct err revoke_answer_unknown(const struct call *call, const char *why, struct response *response)
{
    if (call->caller.is_operator)
        return failed(ERR_TOKEN_CLAIM, why);
    metrics_count(COUNT_REVOKED_UNKNOWN, 1);
    revoke_write_answer(call, response);
    return OK;
}

/* By the key it is ours, but the settings name another issuer: most likely those of this shell, not the server's. */
static struct err revoke_check_issuer(const struct call *call, const struct claims *claims)
{
    const char *here = call->service->settings->issuer;
    if (!call->caller.is_operator || str_eq(claims->iss, str_of(here)))
        return OK;
    return failed(ERR_TOKEN_CLAIM,
                  arena_printf(call->request->arena,
                               "not a token of this service: its issuer is %.*s, and TOKEN_ISSUER here is %s",
                               (int)(claims->iss.len < 100 ? claims->iss.len : 100), claims->iss.at, here)
                      .at);
}

/* A refresh token of a grant: with it ends the grant, and all that came of it (section 2.1). */
static struct err revoke_opaque(struct call *call, const struct revoke_body *body, struct response *response)
{
    const struct str reason = reason_to_keep(body->reason);
    const struct err err = call->service->opaque_tokens->revoke(call, body->token, reason);
    if (err.code == ERR_NOT_FOUND)
        return revoke_answer_unknown(call, err.why, response);
    TRY(err);
    metrics_count(COUNT_REVOKED, 1);
    revoke_write_answer(call, response);
    return OK;
}

struct err revoke_token(struct call *call, struct response *response)
{
    const struct opaque_tokens *opaque = call->service->opaque_tokens;
    struct revoke_body body = { 0 };
    TRY(revoke_read_body(call, &body));
    if (opaque && opaque->have_form(body.token))
        return revoke_opaque(call, &body, response);
    AUTO(verified_releasep) struct verified *entry = NULL;
    struct err err = token_find(call->service, body.token, &entry);
    if (err.code == ERR_UNAVAILABLE)
        return err;
    if (err.code)
        return revoke_answer_unknown(call, "not a token of this service: none of its keys signed it", response);
    TRY(revoke_check_issuer(call, &entry->claims));
    if (!revoke_is_own(&call->caller, entry) && !caller_may(&call->caller, STR("token:revoke:any")))
        return failed(ERR_INSUFFICIENT_SCOPE, call->caller.bearer
                                                  ? "revoking another token needs the scope token:revoke:any"
                                                  : "revoking another client's token needs the scope token:revoke:any");
    TRY(revoke_and_record(call, entry, body.reason, response));
    metrics_count(COUNT_REVOKED, 1);
    revoke_write_answer(call, response);
    return OK;
}
