/* service/issue_call.c: POST /token (JSON): reads the request, checks that the caller may make it, and writes the
 * response. The front makes the record durable before it sends the response (response->records). */
#include "base/clock.h"
#include "keys/keyring.h"
#include "service/authn.h"
#include "service/authority.h"
#include "service/clients.h"
#include "service/issue.h"
#include "service/operations.h"
#include <stddef.h>

struct issue_body {
    struct str subject, client_id, scope, token_type, nonce;
    const struct json *claims, *audience;
    int64_t expires_in, auth_time;
};

static const struct field body_fields[] = {
    { "subject", FIELD_STR, true, offsetof(struct issue_body, subject), 0, 255 },
    { "clientId", FIELD_STR, true, offsetof(struct issue_body, client_id), 0, 255 },
    { "scope", FIELD_TEXT, true, offsetof(struct issue_body, scope), 0, 2048 },
    { "tokenType", FIELD_STR, true, offsetof(struct issue_body, token_type), 0, 16 },
    { "claims", FIELD_OBJECT, false, offsetof(struct issue_body, claims), 0, 0 },
    { "expiresIn", FIELD_INT, false, offsetof(struct issue_body, expires_in), 1, INT32_MAX },
    { "audience", FIELD_STRINGS, false, offsetof(struct issue_body, audience), 0, 255 },
    { "nonce", FIELD_STR, false, offsetof(struct issue_body, nonce), 0, 255 },
    { "authTime", FIELD_INT, false, offsetof(struct issue_body, auth_time), 0, CLAIMS_TIME_MAX },
};

/* token:issue is for the caller itself; token:issue:any for every client and subject. */
static struct err issue_call_authorise(const struct caller *caller, const struct issue_body *body)
{
    TRY(authority_to_issue(caller));
    if (caller_may(caller, STR("token:issue:any")))
        return OK;
    if (!caller_may(caller, STR("token:issue")))
        return failed(ERR_INSUFFICIENT_SCOPE, "issuing tokens needs the scope token:issue");
    if (!str_eq(body->client_id, caller->client_id) || !str_eq(body->subject, caller->client_id))
        return failed(ERR_INSUFFICIENT_SCOPE, "issuing for another client or subject needs the scope token:issue:any");
    return OK;
}

/* In memory, or only known to the store. */
static struct err issue_call_look_up(struct call *call, struct str id, struct client *client)
{
    struct clients *clients = call->service->clients;
    if (call->may_wait)
        return clients_find_active(clients, call->request->arena, id, client);
    if (!clients_get(clients, call->request->arena, id, clock_coarse_s(), client))
        return failed(ERR_NEEDS_WORKER, "the client has to be looked up");
    return client->is_active ? OK : failed(ERR_NOT_FOUND, "the client is disabled");
}

static struct err issue_call_find_client(struct call *call, struct str id, struct client *client)
{
    const struct err err = issue_call_look_up(call, id, client);
    return err.code == ERR_NOT_FOUND
               ? failed(ERR_INVALID_REQUEST, "clientId does not name a client of this service, or one that is disabled")
               : err;
}

/* A string or a list of strings, which fields_read() has bounded; NULL: none. */
static void issue_call_list_audience(const struct json *asked, struct str list[CLAIMS_AUD_MAX], struct issue *issue)
{
    const struct json *each = asked && asked->kind == JSON_ARRAY ? asked->child : asked;
    for (; each; each = asked->kind == JSON_ARRAY ? each->next : NULL)
        list[issue->audience_count++] = each->text;
    issue->audience = list;
}

static void issue_call_write_answer(struct buf *body, enum token_kind kind, const struct issued *issued, int64_t now_ms)
{
    buf_add(body, STR("{\"token\":\""));
    buf_add(body, issued->token);
    buf_add(body, STR("\",\"tokenType\":\""));
    buf_add(body, token_kind_name(kind));
    buf_add(body, STR("\",\"expiresIn\":"));
    buf_add_int(body, issued->lifetime_s);
    buf_add(body, STR(",\"expiresAt\":"));
    write_time_ms(body, issued->expires_at * 1000);
    buf_add(body, STR(",\"issuedAt\":"));
    write_time_ms(body, now_ms);
    buf_add(body, STR(",\"claims\":"));
    buf_add(body, issued->payload);
    buf_add_char(body, '}');
}

static struct err issue_call_read_body(const struct request *request, struct issue_body *body, enum token_kind *kind)
{
    if (request_is_form(request))
        return failed(ERR_UNSUPPORTED_GRANT_TYPE, "no grant is offered here; ask for a token with a JSON body");
    TRY(request_fields(request, body_fields, sizeof body_fields / sizeof *body_fields, body));
    if (!token_kind_find(body->token_type, kind))
        return failed(ERR_INVALID_REQUEST, "tokenType must be access, refresh or id");
    return OK;
}

bool issue_only_signs(const struct call *call)
{
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(call->service->keyring);
    return !view->signing_waits;
}

struct err issue_token(struct call *call, struct response *response)
{
    const struct request *request = call->request;
    struct issue_body body = { .auth_time = -1 };
    struct str audience[CLAIMS_AUD_MAX];
    struct client client;
    enum token_kind kind;
    TRY(issue_call_read_body(request, &body, &kind));
    TRY(issue_call_authorise(&call->caller, &body));
    TRY(issue_call_find_client(call, body.client_id, &client));
    struct issue issue = { .kind = kind,
                           .priority = kind == TOKEN_ACCESS ? SIGN_CLIENT_CREDENTIALS : SIGN_INTERACTIVE,
                           .client = &client,
                           .authority = &call->caller,
                           .subject = body.subject,
                           .scope = body.scope,
                           .custom = body.claims,
                           .nonce = body.nonce,
                           .auth_time = body.auth_time,
                           .lifetime_s = body.expires_in,
                           .now_s = request->now_s,
                           .at_once = !call->may_wait,
                           .request_id = request->id };
    struct issued issued = { .retry_after_s = 0 };
    issue_call_list_audience(body.audience, audience, &issue);
    struct err err = token_issue(call->service, request->arena, &issue, &issued);
    response->retry_after_s = issued.retry_after_s;
    TRY(err);
    response->records = issued.record;
    issue_call_write_answer(&response->body, kind, &issued, request->now_ms);
    return OK;
}
