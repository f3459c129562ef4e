/* oauth/login_calls.c: how the service that logs users in (LOGIN_URL) answers: GET /admin/login-requests/{challenge},
 * and its /accept and /reject. The browser then goes to `redirect_to`, where the authorization request goes on. */
#include "base/settings.h"
#include "jose/claims.h"
#include "oauth/login_request.h"
#include "oauth/operations.h"
#include "oauth/session.h"
#include "service/call.h"
#include "service/client_metadata.h"
#include "service/clients.h"
#include "service/service.h"
#include <stddef.h>

/* As long as a client's scope may be (client_body.c), and as many words as that may have. */
enum { SCOPE_MAX = 2048, SCOPES_MAX = SCOPE_MAX / 2 };

static struct err login_calls_find(const struct call *call, struct login_request *login)
{
    TRY(login_request_find(call, call->path_value, login));
    return login->step == STEP_NOTHING ? failed(ERR_NOT_FOUND, "the login request waits for nobody") : OK;
}

/* --- what is asked ------------------------------------------------------------------------------------------------ */

static void login_calls_write_client(struct buf *body, const struct client *client,
                                     const struct client_metadata *registered)
{
    json_write_name(body, STR("client"));
    buf_add_char(body, '{');
    json_write_optional(body, STR("client_id"), client->id);
    json_write_optional(body, STR("client_name"), client->name);
    json_write_optional(body, STR("client_uri"), registered->client_uri);
    json_write_optional(body, STR("logo_uri"), registered->logo_uri);
    json_write_optional(body, STR("policy_uri"), registered->policy_uri);
    json_write_optional(body, STR("tos_uri"), registered->tos_uri);
    buf_add_char(body, '}');
}

static void login_calls_write_prompt(struct buf *body, unsigned prompt)
{
    static const struct {
        enum prompt bit;
        struct str name;
    } names[] = { { PROMPT_LOGIN, STR_INIT("login") },
                  { PROMPT_CONSENT, STR_INIT("consent") },
                  { PROMPT_SELECT_ACCOUNT, STR_INIT("select_account") } };
    struct buf words;
    buf_init(&words, body->arena, 64, 64);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(prompt & names[i].bit))
            continue;
        buf_add_word(&words, names[i].name);
    }
    json_write_words(body, STR("prompt"), buf_str(&words));
}

static void login_calls_write_request(struct buf *body, const struct login_request *login)
{
    const struct authorize_request *request = &login->request;
    json_write_optional(body, STR("step"), login->step == STEP_LOGIN ? STR("login") : STR("consent"));
    json_write_words(body, STR("requested_scopes"), authorize_request_asks(body->arena, request));
    json_write_optional(body, STR("subject"), login->subject);
    json_write_optional(body, STR("login_hint"), request->login_hint);
    json_write_optional(body, STR("acr_values"), request->acr_values);
    json_write_optional(body, STR("ui_locales"), request->ui_locales);
    login_calls_write_prompt(body, request->prompt);
    if (request->max_age_s >= 0)
        json_write_int(body, STR("max_age"), request->max_age_s);
    if (request->claims) {
        json_write_name(body, STR("claims"));
        json_write(body, request->claims);
    }
    json_write_int(body, STR("expires_at"), login->item.expires_at);
}

struct err show_login_request(struct call *call, struct response *response)
{
    struct arena *arena = call->request->arena;
    struct login_request login;
    struct client client;
    TRY(login_calls_find(call, &login));
    TRY(clients_find_active(call->service->clients, arena, login.request.client_id, &client));
    struct buf *body = &response->body;
    buf_add_char(body, '{');
    login_calls_write_request(body, &login);
    login_calls_write_client(body, &client, client_metadata_of(arena, &client));
    buf_add_char(body, '}');
    return OK;
}

/* --- what is answered --------------------------------------------------------------------------------------------- */

struct accept_body {
    struct str subject, acr;
    const struct json *amr, *claims, *granted_scopes;
    int64_t auth_time, remember_for, remember_consent_for;
};

static const struct field accept_fields[] = {
    { "subject", FIELD_STR, false, offsetof(struct accept_body, subject), 0, 255 },
    { "acr", FIELD_STR, false, offsetof(struct accept_body, acr), 0, 255 },
    { "amr", FIELD_STRINGS, false, offsetof(struct accept_body, amr), 0, 64 },
    { "auth_time", FIELD_INT, false, offsetof(struct accept_body, auth_time), 0, CLAIMS_TIME_MAX },
    { "claims", FIELD_OBJECT, false, offsetof(struct accept_body, claims), 0, 0 },
    { "granted_scopes", FIELD_STRINGS, false, offsetof(struct accept_body, granted_scopes), SCOPES_MAX, 0 },
    { "remember_for", FIELD_INT, false, offsetof(struct accept_body, remember_for), 0, SESSION_LASTING_MAX_S },
    { "remember_consent_for", FIELD_INT, false, offsetof(struct accept_body, remember_consent_for), 0,
      SESSION_LASTING_MAX_S },
};

static const struct json *login_calls_first(const struct json *list)
{
    return list && list->kind == JSON_ARRAY ? list->child : list;
}

/* A string or a list of strings, which fields_read() has bounded. */
static struct err login_calls_take_amr(const struct json *asked, struct granted *login)
{
    for (const struct json *each = login_calls_first(asked); each;
         each = asked->kind == JSON_ARRAY ? each->next : NULL) {
        if (login->amr_count == GRANTED_AMR_MAX)
            return failed(ERR_INVALID_REQUEST, "amr has too many members");
        login->amr[login->amr_count++] = each->text;
    }
    return OK;
}

/* By the clock of who logs users in, which may be a little ahead: then it was now. */
static int64_t login_calls_auth_time(const struct call *call, const struct accept_body *body)
{
    const int64_t now_s = call->request->now_s;
    return body->auth_time >= 0 && body->auth_time < now_s ? body->auth_time : now_s;
}

static struct err login_calls_take_login(const struct call *call, const struct accept_body *body,
                                         struct login_request *login)
{
    if (!body->subject.at)
        return failed(ERR_INVALID_REQUEST, "the subject is missing: who has logged in");
    if (body->auth_time > call->request->now_s + call->service->settings->clock_skew_s)
        return failed(ERR_INVALID_REQUEST, "auth_time lies in the future");
    login->has_login = true;
    login->login = (struct granted){ .scope = STR(""),
                                     .sub = body->subject,
                                     .acr = body->acr.at ? body->acr : STR(""),
                                     .auth_time = login_calls_auth_time(call, body),
                                     .user = body->claims };
    login->login_lasts_s = body->remember_for;
    return login_calls_take_amr(body->amr, &login->login);
}

/* With a login it is optional: then the user is asked afterwards. Where no scope is asked for, there is none to name.
 */
static struct err login_calls_take_consent(const struct call *call, const struct accept_body *body,
                                           struct login_request *login)
{
    const struct json *asked = body->granted_scopes;
    const struct str asks = authorize_request_asks(call->request->arena, &login->request);
    struct buf words;
    if (!asked && login->step != STEP_CONSENT)
        return OK;
    if (!asked && asks.len > 0)
        return failed(ERR_INVALID_REQUEST, "granted_scopes is missing");
    buf_init(&words, call->request->arena, 256, SCOPE_MAX);
    for (const struct json *each = login_calls_first(asked); each;
         each = asked->kind == JSON_ARRAY ? each->next : NULL) {
        if (!str_has_word(asks, each->text))
            return failed(ERR_INVALID_REQUEST, "granted_scopes has a scope that was not asked for");
        if (str_has_word(buf_str(&words), each->text)) /* so it is no longer than what was asked for */
            continue;
        buf_add_word(&words, each->text);
    }
    login->has_consent = true;
    login->consent_scope = buf_str(&words);
    login->consent_lasts_s = body->remember_consent_for;
    return OK;
}

/* `counter`: of a login, not of a consent. */
static struct err login_calls_answer(const struct call *call, struct login_request *login, enum counter counter,
                                     struct response *response)
{
    TRY(login_request_store(call->request->arena, login, &response->records));
    if (login->step == STEP_LOGIN)
        metrics_count(counter, 1);
    buf_add(&response->body, STR("{\"redirect_to\":"));
    json_write_str(&response->body, login_request_url(call, login, "/authorize"));
    buf_add_char(&response->body, '}');
    return OK;
}

struct err accept_login_request(struct call *call, struct response *response)
{
    struct accept_body body = { .auth_time = -1 };
    struct login_request login;
    TRY(login_calls_find(call, &login));
    TRY(request_fields(call->request, accept_fields, sizeof accept_fields / sizeof *accept_fields, &body));
    if (login.step == STEP_LOGIN)
        TRY(login_calls_take_login(call, &body, &login));
    TRY(login_calls_take_consent(call, &body, &login));
    return login_calls_answer(call, &login, COUNT_LOGINS_ACCEPTED, response);
}

struct reject_body {
    struct str error, description;
};

static const struct field reject_fields[] = {
    { "error", FIELD_STR, false, offsetof(struct reject_body, error), 0, 64 },
    { "error_description", FIELD_STR, false, offsetof(struct reject_body, description), 0, 200 },
};

/* What an error of RFC 6749 section 4.1.2.1 may be made of: %x20-21 / %x23-5B / %x5D-7E. */
static bool login_calls_is_plain(struct str text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < 0x20 || text.at[i] > 0x7e || text.at[i] == '"' || text.at[i] == '\\')
            return false;
    return true;
}

struct err reject_login_request(struct call *call, struct response *response)
{
    struct reject_body body = { .error = STR("access_denied"), .description = STR("the request was denied") };
    struct login_request login;
    TRY(login_calls_find(call, &login));
    TRY(request_fields(call->request, reject_fields, sizeof reject_fields / sizeof *reject_fields, &body));
    if (!login_calls_is_plain(body.error) || !login_calls_is_plain(body.description))
        return failed(ERR_INVALID_REQUEST,
                      "error and error_description take visible ASCII without quotes and backslashes");
    login.denied = body.error;
    login.denied_why = body.description;
    return login_calls_answer(call, &login, COUNT_LOGINS_REJECTED, response);
}
