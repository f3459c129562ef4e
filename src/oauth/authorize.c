/* oauth/authorize.c: the authorization endpoint (RFC 6749 section 3.1, OpenID Connect Core section 3.1.2): GET and POST
 * /authorize, and /authorize/{challenge}, where a request goes on after its user has logged in or consented. Each time
 * all of it is decided anew, from the request, the session and what has been answered since. */
#include "oauth/authorize.h"
#include "base/clock.h"
#include "base/settings.h"
#include "oauth/cookie.h"
#include "oauth/csrf.h"
#include "oauth/oauth.h"
#include "oauth/operations.h"
#include "oauth/pages.h"
#include "oauth/see_other.h"
#include "oauth/signed_request.h"
#include "oauth/token_hint.h"
#include "service/call.h"
#include "service/failures.h"
#include "service/service.h"

/* A page of ours, and nothing of what the answer would have been: either it is not known where that may go, or the
 * request can't be kept. */
static struct err authorize_show(const struct authorize *authorize, struct err err)
{
    struct response *response = authorize->response;
    if (!err.code || err.code == ERR_UNAVAILABLE || err.code == ERR_INTERNAL)
        return err;
    response->header_count = response->lasting_count;
    response->records = NULL;
    page_error(response, authorize->call->request->arena, authorize->request.ui_locales, err);
    return OK;
}

static struct err authorize_give_fault(struct authorize *authorize, const struct authorize_fault *fault)
{
    return authorize_give_error(authorize, str_of(fault->error), str_of(fault->why));
}

/* --- what the user is asked --------------------------------------------------------------------------------------- */

/* Where users log in: our own page, or the service that does it. */
static struct str authorize_login_url(const struct authorize *authorize)
{
    const struct settings *settings = authorize->call->service->settings;
    struct arena *arena = authorize->call->request->arena;
    const struct str challenge = authorize->login.challenge;
    const char *const url = settings->login_url;
    if (settings->login == LOGIN_BUILTIN)
        return login_request_url(authorize->call, &authorize->login, "/login");
    return arena_printf(arena, "%s%cchallenge=%.*s", url, str_has(str_of(url), '?') ? '&' : '?', (int)challenge.len,
                        challenge.at);
}

/* Whoever asks, without being anybody: one that is new takes room in the store until its time is over. */
static struct err authorize_admit(struct authorize *authorize)
{
    const struct call *call = authorize->call;
    if (authorize->login.item.version > 0)
        return OK;
    const int64_t wait_s = failures_admit(call->service->oauth->login_requests, call->request->peer, clock_coarse_ms());
    if (wait_s == 0)
        return OK;
    metrics_count(COUNT_LOGIN_REQUESTS_LIMITED, 1);
    authorize->response->retry_after_s = wait_s;
    return failed(ERR_TOO_MANY_REQUESTS, "too many log-ins were begun from your network: wait a moment");
}

/* The browser's key binds the request to it. */
static struct err authorize_bind(struct authorize *authorize)
{
    const struct call *call = authorize->call;
    const bool is_secure = cookie_is_secure(call->request, str_of(call->service->settings->issuer));
    const bool is_known = cookie_value(call->request, COOKIE_BROWSER, is_secure).at;
    struct login_request *login = &authorize->login;
    if (login->is_bound)
        return OK;
    const struct str key = csrf_key(call->request, authorize->response, is_secure);
    login_request_bind(login, key);
    return login->item.version == 0 ? login_request_name(call, login, key, is_known) : OK;
}

static struct err authorize_ask(struct authorize *authorize, enum login_step step)
{
    const struct call *call = authorize->call;
    struct login_request *login = &authorize->login;
    TRY(authorize_bind(authorize));
    TRY(authorize_admit(authorize));
    login->step = step;
    if (step == STEP_CONSENT)
        login->subject = authorize->session.login.sub;
    TRY(login_request_store(call->request->arena, login, &authorize->records));
    see_other(authorize->response, authorize_login_url(authorize));
    return OK;
}

/* --- the decision ------------------------------------------------------------------------------------------------- */

static struct err authorize_give(struct authorize *authorize, struct str scope)
{
    session_add_client(&authorize->session, authorize->client.id);
    return authorize_give_code(authorize, scope);
}

/* What is missing now; or the answer. */
static struct err authorize_go_on(struct authorize *authorize)
{
    enum authorize_need need = NEED_NOTHING;
    struct authorize_fault fault;
    struct str scope;
    const struct err found = session_of_request(authorize->call, &authorize->session);
    if (found.code && found.code != ERR_NOT_FOUND)
        return found;
    authorize->has_session = !found.code;
    if (authorize->has_session)
        session_use(authorize->call, &authorize->session);
    TRY(authorize_decide(authorize, &need, &fault, &scope));
    if (fault.error)
        TRY(authorize_give_fault(authorize, &fault));
    else if (need == NEED_NOTHING)
        TRY(authorize_give(authorize, scope));
    else
        TRY(authorize_ask(authorize, need == NEED_LOGIN ? STEP_LOGIN : STEP_CONSENT));
    if (authorize->has_session)
        TRY(session_store(authorize->call->request->arena, &authorize->session, &authorize->records));
    authorize->response->records = authorize->records;
    return OK;
}

/* --- a new request ------------------------------------------------------------------------------------------------ */

static struct err authorize_read_form(struct call *call, struct form *form)
{
    const struct request *request = call->request;
    if (request->method != METHOD_POST)
        return form_read_all(request->arena, request->query.at ? request->query : STR(""), form);
    if (!request_is_form(request))
        return failed(ERR_MEDIA_TYPE, "the body must be application/x-www-form-urlencoded");
    return form_read_all(request->arena, request->body, form);
}

/* Who asks, and where the answer goes. Of a request object that is good its members take the form's place (RFC 9101
 * section 6.3); of another one *fault is told to the client, if the form says where it is. */
static struct err authorize_read_party(struct authorize *authorize, struct form *form, struct authorize_fault *fault)
{
    struct authorize_party party;
    TRY(authorize_request_party(form, &party));
    TRY(authorize_find_client(authorize, party.client_id));
    *fault = signed_request_take(authorize->call, &authorize->client, &authorize->registered, form);
    if (fault->error && !party.redirect_uri.at) /* which may stand in what is not good */
        return failed(ERR_INVALID_REQUEST, fault->why);
    return authorize_find_redirect(authorize, form_value(form, STR("redirect_uri")));
}

/* Whom the client expects: of a hint that is issued to it remains its user. */
static struct authorize_fault authorize_read_subject(struct authorize *authorize, struct str *subject)
{
    const struct str text = authorize->request.id_token_hint;
    struct token_hint hint;
    *subject = STR("");
    if (!text.at)
        return (struct authorize_fault){ 0, 0 };
    const struct err err = token_hint_read(authorize->call, text, &hint);
    if (err.code == ERR_UNAVAILABLE)
        return (struct authorize_fault){ "temporarily_unavailable", "the id_token_hint can't be checked now" };
    if (err.code || !str_eq(hint.client_id, authorize->client.id))
        return (struct authorize_fault){ "invalid_request", "the id_token_hint is not an id token of this client" };
    *subject = hint.sub;
    return (struct authorize_fault){ 0, 0 };
}

/* `fault`: of the request object, if there was one. Also then the rest is read, for the answer's state and mode. */
static struct authorize_fault authorize_read(struct authorize *authorize, const struct form *form,
                                             struct authorize_fault fault)
{
    const bool requires_pkce = authorize->client.is_public || authorize->registered.require_pkce;
    const struct authorize_fault of_form = authorize_request_read(authorize->call->request->arena, form, requires_pkce,
                                                                  &authorize->request);
    struct str subject = STR("");
    if (!fault.error)
        fault = of_form;
    if (!fault.error)
        fault = authorize_check_request(authorize);
    if (!fault.error)
        fault = authorize_read_subject(authorize, &subject);
    if (fault.error)
        return fault;
    login_request_begin(authorize->call, &authorize->request, &authorize->login);
    if (authorize->registered.subject == SUBJECT_PUBLIC)
        authorize->login.subject = subject;
    else
        authorize->login.hinted = subject;
    return fault;
}

/* A browser sends no cookies of ours along with a form that another site posts (oauth/cookie.h): so the request is
 * kept, and goes on with a GET, which they come with. */
static struct err authorize_keep(struct authorize *authorize)
{
    TRY(login_request_store(authorize->call->request->arena, &authorize->login, &authorize->records));
    TRY(authorize_admit(authorize));
    see_other(authorize->response, login_request_url(authorize->call, &authorize->login, "/authorize"));
    authorize->response->records = authorize->records;
    return OK;
}

struct err authorize_begin(struct call *call, struct response *response)
{
    struct authorize authorize = { .call = call, .response = response };
    struct authorize_fault fault = { 0, 0 };
    struct form form;
    struct err err = authorize_read_form(call, &form);
    if (!err.code)
        err = authorize_read_party(&authorize, &form, &fault);
    if (err.code)
        return authorize_show(&authorize, err);
    fault = authorize_read(&authorize, &form, fault);
    err = fault.error                            ? authorize_give_fault(&authorize, &fault)
          : call->request->method == METHOD_POST ? authorize_keep(&authorize)
                                                 : authorize_go_on(&authorize);
    return authorize_show(&authorize, err);
}

/* --- one that goes on --------------------------------------------------------------------------------------------- */

/* In the browser in which it began; one that was posted begins here. */
static struct err authorize_check_browser(struct authorize *authorize)
{
    const struct call *call = authorize->call;
    const bool is_secure = cookie_is_secure(call->request, str_of(call->service->settings->issuer));
    struct login_request *login = &authorize->login;
    if (!login->is_bound || login_request_is_bound_to(login, csrf_key(call->request, authorize->response, is_secure)))
        return OK;
    return failed(ERR_INVALID_REQUEST, "this login was begun in another browser, or its cookies are gone");
}

static struct err authorize_restore(struct authorize *authorize)
{
    TRY(login_request_find(authorize->call, authorize->call->path_value, &authorize->login));
    authorize->request = authorize->login.request;
    TRY(authorize_check_browser(authorize));
    TRY(authorize_find_client(authorize, authorize->request.client_id));
    return authorize_find_redirect(authorize, authorize->request.redirect_uri);
}

struct err authorize_resume(struct call *call, struct response *response)
{
    struct authorize authorize = { .call = call, .response = response };
    const struct err err = authorize_restore(&authorize);
    if (err.code)
        return authorize_show(&authorize, err.code == ERR_NOT_FOUND ? failed(ERR_INVALID_REQUEST, err.why) : err);
    if (authorize.login.denied.len > 0)
        return authorize_give_error(&authorize, authorize.login.denied, authorize.login.denied_why);
    const struct authorize_fault fault = authorize_check_request(&authorize); /* the registration may have changed */
    return authorize_show(&authorize,
                          fault.error ? authorize_give_fault(&authorize, &fault) : authorize_go_on(&authorize));
}
