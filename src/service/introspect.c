/* service/introspect.c: POST /token/introspect, RFC 7662. The safe response is written first; a token that passes every
 * check replaces it. An id token is not an OAuth token: its response is never active, so that no resource server
 * accepts it as one. */
#include "service/introspect.h"
#include "service/call.h"
#include "service/operations.h"
#include "service/service.h"
#include "service/usage.h"
#include "service/verify.h"
#include <stddef.h>

static const struct str inactive = STR_INIT("{\"active\":false}");

static void introspect_write_text(struct buf *out, struct str name, struct str value)
{
    if (value.at)
        json_write_text(out, name, value);
}

void introspection_write(struct buf *out, const struct claims *claims)
{
    buf_add(out, STR("{\"active\":true"));
    introspect_write_text(out, STR("scope"), claims->scope);
    introspect_write_text(out, STR("client_id"), claims->client_id);
    introspect_write_text(out, STR("username"), claims->sub); /* never a custom claim: those are the word of a client */
    introspect_write_text(out, STR("token_type"), claims->token_type);
    json_write_int(out, STR("exp"), claims->exp);
    json_write_int(out, STR("iat"), claims->iat);
    json_write_int(out, STR("nbf"), claims->nbf);
    introspect_write_text(out, STR("sub"), claims->sub);
    json_write_name(out, STR("aud"));
    json_write(out, json_member(claims->all, STR("aud")));
    introspect_write_text(out, STR("iss"), claims->iss);
    introspect_write_text(out, STR("jti"), claims->jti);
    buf_add_char(out, '}');
}

struct introspect_body {
    struct str token, hint;
};

static const struct field body_fields[] = {
    { "token", FIELD_STR, true, offsetof(struct introspect_body, token), 0, 0 },
    { "token_type_hint", FIELD_TEXT, false, offsetof(struct introspect_body, hint), 0, 64 },
};

/* token_type_hint is only a hint: every token says its own kind (section 2.1). */
static struct err introspect_read_body(struct call *call, struct introspect_body *body)
{
    if (request_is_form(call->request)) {
        body->token = form_value(&call->form, STR("token"));
        return body->token.at ? OK : failed(ERR_INVALID_REQUEST, "the parameter token is missing");
    }
    return request_fields(call->request, body_fields, sizeof body_fields / sizeof *body_fields, body);
}

static void introspect_count(bool is_active)
{
    metrics_count(is_active ? COUNT_INTROSPECT_ACTIVE : COUNT_INTROSPECT_INACTIVE, 1);
}

/* What isn't signed lies in the store, for which no loop waits. */
static struct err introspect_opaque(struct call *call, struct str token, struct response *response)
{
    if (!call->may_wait)
        return failed(ERR_NEEDS_WORKER, "the grant has to be looked up");
    const struct err err = call->service->opaque_tokens->introspect(call, token, &response->body);
    if (err.code && err.code != ERR_INVALID_GRANT)
        return err;
    introspect_count(!err.code);
    buf_add(&response->body, err.code ? inactive : STR(""));
    return OK;
}

struct err introspect_token(struct call *call, struct response *response)
{
    const struct opaque_tokens *opaque = call->service->opaque_tokens;
    struct introspect_body body = { 0 };
    TRY(introspect_read_body(call, &body));
    if (opaque && opaque->have_form(body.token))
        return introspect_opaque(call, body.token, response);
    const struct token_ask ask = { .kinds = KIND_ACCESS | KIND_REFRESH, .expect.max_age_s = -1 };
    AUTO(verified_releasep) struct verified *entry = NULL;
    struct err err = token_check(call->service, body.token, &ask, call->request->now_s, &entry);
    if (err.code == ERR_UNAVAILABLE) /* not known: neither answer would be true */
        return err;
    introspect_count(!err.code);
    if (!err.code)
        usage_note(call->service, entry, call->request->now_s);
    buf_add(&response->body, err.code ? inactive : entry->introspection);
    return OK;
}
