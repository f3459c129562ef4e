/* service/revoke.c: POST /token/revoke, RFC 7009. A revoked token is refused here from this moment on, before its
 * record is durable: should the commit fail, the caller hears 503 and may repeat it, and nobody was let in meanwhile.
 * So a repeated revocation is recorded again: that it is in memory does not say that it is on disk. Other instances are
 * told before the record is handed on; replication.c says what a crash in between does. */
#include "observe/log.h"
#include "service/authn.h"
#include "service/replication.h"
#include "service/verify.h"
#include <stddef.h>

struct revoke_body {
    struct str token, reason, hint;
};

static const struct field body_fields[] = {
    { "token", FIELD_STR, true, offsetof(struct revoke_body, token), 0, 0 },
    { "reason", FIELD_TEXT, false, offsetof(struct revoke_body, reason), 0, 256 },
    { "token_type_hint", FIELD_TEXT, false, offsetof(struct revoke_body, hint), 0, 64 },
};

static struct err read_body(struct call *call, struct revoke_body *body)
{
    const struct json *json;
    if (request_is_form(call->request)) {
        body->token = form_value(&call->form, STR("token"));
        return body->token.at ? OK : failed(ERR_INVALID_REQUEST, "the parameter token is missing");
    }
    TRY(request_json(call->request, &json));
    return fields_read(call->request->arena, json, body_fields, sizeof body_fields / sizeof *body_fields, body);
}

static void write_answer(const struct call *call, struct response *response)
{
    if (request_is_form(call->request))
        response->content = CONTENT_NONE; /* section 2.2: the client looks at the status alone */
    else
        buf_add(&response->body, STR("{\"revoked\":true}"));
}

static struct err revoke_and_record(struct call *call, const struct verified *entry, struct str reason,
                                    struct response *response)
{
    struct arena *arena = call->request->arena;
    const struct settings *settings = call->service->settings;
    struct record *record = arena_zalloc(arena, sizeof *record);
    *record = (struct record){ .kind = RECORD_REVOCATION,
                               .token_kind = entry->kind,
                               .issued_at = call->request->now_s,
                               /* as long as any caller may still accept it, its tolerance included */
                               .expires_at = entry->claims.exp + settings->clock_tolerance_max_s + 1,
                               .token_expires_at = entry->claims.exp,
                               .reason = reason.len > 0 ? reason : STR("revoked"),
                               .revoked_by = call->caller.client_id };
    memcpy(record->token_hash, entry->hash, sizeof record->token_hash);
    revocations_add(call->service->revocations, record->token_hash, record->expires_at);
    TRY(replication_announce(call->service, record, &response->announced));
    response->records = record;

    char id[13];
    log_token_id(entry->hash, id);
    LOG(LOG_INFO, "token_revoked", LOG_STR("request_id", call->request->id), LOG_TEXT_("token", id),
        LOG_STR("type", token_kind_name(entry->kind)), LOG_STR("client_id", claims_owner(&entry->claims)),
        LOG_STR("caller", call->caller.client_id), LOG_STR("reason", record->reason));
    return OK;
}

/* A key that is not known here may be one that another instance has made since: "revoked" would not be true of its
 * token, which others take. The store knows each key before it signs. Callers are authenticated, so that this costs no
 * more than a revocation does. */
static struct err read_keys_again(struct service *service)
{
    return keyring_reload(service->keyring).code
               ? failed(ERR_UNAVAILABLE, "whose key signed the token can't be known now; try again")
               : OK;
}

struct err revoke_token(struct call *call, struct response *response)
{
    struct revoke_body body = { 0 };
    TRY(read_body(call, &body));
    const struct token_ask ask = { .kinds = KIND_ACCESS | KIND_REFRESH | KIND_ID,
                                   .even_revoked = true,
                                   .expect = { .max_age_s = -1,
                                               .tolerance_s = call->service->settings->clock_tolerance_max_s } };
    AUTO(verified_releasep) struct verified *entry = NULL;
    struct err err = token_check(call->service, body.token, &ask, call->request->now_s, &entry);
    if (err.code == ERR_TOKEN_KEY) {
        TRY(read_keys_again(call->service));
        err = token_check(call->service, body.token, &ask, call->request->now_s, &entry);
    }
    if (err.code) { /* section 2.2: an invalid token is no error; there is nothing left to revoke */
        metrics_count(COUNT_REVOKED_UNKNOWN, 1);
        write_answer(call, response);
        return OK;
    }
    if (!str_eq(claims_owner(&entry->claims), call->caller.client_id) &&
        !caller_may(&call->caller, STR("token:revoke:any"))) /* section 2.1 */
        return failed(ERR_INSUFFICIENT_SCOPE, "revoking another client's token needs the scope token:revoke:any");
    TRY(revoke_and_record(call, entry, body.reason, response));
    metrics_count(COUNT_REVOKED, 1);
    write_answer(call, response);
    return OK;
}
