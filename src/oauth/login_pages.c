/* oauth/login_pages.c: the built-in login (TOKEN_LOGIN=builtin): its pages for a login request, and what is posted by
 * them. */
#include "base/clock.h"
#include "base/settings.h"
#include "oauth/consent.h"
#include "oauth/cookie.h"
#include "oauth/csrf.h"
#include "oauth/login_request.h"
#include "oauth/oauth.h"
#include "oauth/operations.h"
#include "oauth/pages.h"
#include "oauth/password_login.h"
#include "oauth/see_other.h"
#include "service/call.h"
#include "service/client_metadata.h"
#include "service/clients.h"
#include "service/service.h"

struct login_pages {
    struct call *call;
    struct response *response;
    struct login_request login;
    struct client client;
    struct client_metadata registered;
    struct str key; /* the browser's */
};

static bool login_pages_is_secure(const struct call *call)
{
    return cookie_is_secure(call->request, str_of(call->service->settings->issuer));
}

/* What a form is good for: this step of this request. */
static struct str login_pages_purpose(const struct login_pages *pages)
{
    const struct str challenge = pages->login.challenge;
    return arena_printf(pages->call->request->arena, "%s\n%.*s", pages->login.step == STEP_LOGIN ? "login" : "consent",
                        (int)challenge.len, challenge.at);
}

static struct page_form login_pages_form(const struct login_pages *pages)
{
    const struct call *call = pages->call;
    struct arena *arena = call->request->arena;
    return (struct page_form){
        .action = login_request_url(call, &pages->login, "/login"),
        .csrf = csrf_token(arena, pages->key, login_pages_purpose(pages)),
        .challenge = pages->login.challenge,
        .ui_locales = pages->login.request.ui_locales,
    };
}

static struct page_client login_pages_client(const struct login_pages *pages)
{
    return (struct page_client){ .name = pages->client.name.len > 0 ? pages->client.name : pages->client.id,
                                 .logo_uri = pages->registered.logo_uri,
                                 .policy_uri = pages->registered.policy_uri,
                                 .tos_uri = pages->registered.tos_uri,
                                 .redirect_uri = pages->login.request.redirect_uri };
}

static struct err login_pages_find(struct login_pages *pages)
{
    struct call *call = pages->call;
    struct arena *arena = call->request->arena;
    if (!call->service->oauth->password_login) /* users log in elsewhere */
        return failed(ERR_NOT_FOUND, "there is nothing at this path");
    const struct err err = login_request_find(call, call->path_value, &pages->login);
    if (err.code == ERR_NOT_FOUND || (!err.code && pages->login.step == STEP_NOTHING))
        return failed(ERR_INVALID_REQUEST, "this login is over, or took too long: go back to where you came from");
    TRY(err);
    pages->key = csrf_key(call->request, pages->response, login_pages_is_secure(call));
    if (!login_request_is_bound_to(&pages->login, pages->key))
        return failed(ERR_INVALID_REQUEST, "this login was begun in another browser, or its cookies are gone");
    TRY(clients_find_active(call->service->clients, arena, pages->login.request.client_id, &pages->client));
    pages->registered = *client_metadata_of(arena, &pages->client);
    return OK;
}

/* A person reads it, but for what a retry may mend. */
static struct err login_pages_show_error(struct login_pages *pages, struct err err)
{
    if (err.code == ERR_UNAVAILABLE || err.code == ERR_INTERNAL || err.code == ERR_NOT_FOUND)
        return err;
    page_error(pages->response, pages->call->request->arena, pages->login.request.ui_locales, err);
    return OK;
}

static void login_pages_show_login(struct login_pages *pages, struct str username, enum login_problem problem,
                                   int64_t wait_s)
{
    const struct login_page page = { .form = login_pages_form(pages),
                                     .client = login_pages_client(pages),
                                     .username = username,
                                     .problem = problem,
                                     .wait_s = wait_s };
    page_login(pages->response, pages->call->request->arena, &page);
}

static void login_pages_show_consent(struct login_pages *pages)
{
    const bool is_native = pages->client.is_public && pages->registered.application == APPLICATION_NATIVE;
    const struct consent_page page = {
        .form = login_pages_form(pages),
        .client = login_pages_client(pages),
        .username = password_login_name(pages->call->service->oauth->password_login, pages->call->request->arena,
                                        pages->login.subject),
        .scope = authorize_request_asks(pages->call->request->arena, &pages->login.request),
        .may_remember = !is_native
    };
    page_consent(pages->response, pages->call->request->arena, &page);
}

struct err show_login(struct call *call, struct response *response)
{
    struct login_pages pages = { .call = call, .response = response };
    const struct err err = login_pages_find(&pages);
    if (err.code)
        return login_pages_show_error(&pages, err);
    if (pages.login.step == STEP_LOGIN)
        login_pages_show_login(&pages, pages.login.request.login_hint, LOGIN_FRESH, 0);
    else
        login_pages_show_consent(&pages);
    return OK;
}

/* --- what is posted ----------------------------------------------------------------------------------------------- */

/* Back to the authorization request, by a GET. */
static struct err login_pages_go_on(struct login_pages *pages)
{
    TRY(login_request_store(pages->call->request->arena, &pages->login, &pages->response->records));
    see_other(pages->response, login_request_url(pages->call, &pages->login, "/authorize"));
    return OK;
}

static struct err login_pages_deny(struct login_pages *pages)
{
    pages->login.denied = STR("access_denied");
    pages->login.denied_why = STR("the user has refused");
    return login_pages_go_on(pages);
}

static void login_pages_take_user(struct login_pages *pages, const struct user *user)
{
    struct login_request *login = &pages->login;
    login->has_login = true;
    login->login = (struct granted){ .scope = STR(""),
                                     .sub = user->subject,
                                     .acr = STR(BUILTIN_ACR),
                                     .auth_time = pages->call->request->now_s,
                                     .amr = { STR("pwd") },
                                     .amr_count = 1 }; /* of the user, user_claims.c asks the file */
}

static struct err login_pages_check_password(struct login_pages *pages)
{
    struct call *call = pages->call;
    const struct form *form = &call->form;
    const struct str username = form_value(form, STR("username")), password = form_value(form, STR("password"));
    const struct password_try try = { .address = call->request->peer,
                                      .username = username.at ? username : STR(""),
                                      .password = password.at ? password : STR(""),
                                      .now_ms = clock_coarse_ms() };
    struct user user;
    int64_t wait_s = 0;
    const struct err err = password_login_check(call->service->oauth->password_login, call->request->arena, &try, &user,
                                                &wait_s);
    if (!err.code) {
        login_pages_take_user(pages, &user);
        return login_pages_go_on(pages);
    }
    login_pages_show_login(pages, try.username,
                           err.code == ERR_NOT_FOUND           ? LOGIN_WRONG
                           : err.code == ERR_TOO_MANY_REQUESTS ? LOGIN_LIMITED
                                                               : LOGIN_BUSY,
                           wait_s);
    return OK;
}

static struct err login_pages_take_consent(struct login_pages *pages)
{
    struct login_request *login = &pages->login;
    const bool remembers = form_value(&pages->call->form, STR("remember")).at;
    login->has_consent = true;
    login->consent_scope = authorize_request_asks(pages->call->request->arena, &login->request);
    login->consent_lasts_s = remembers ? CONSENT_LASTS_S : 0;
    return login_pages_go_on(pages);
}

struct err take_login(struct call *call, struct response *response)
{
    struct login_pages pages = { .call = call, .response = response };
    struct err err = login_pages_find(&pages);
    if (err.code)
        return login_pages_show_error(&pages, err);
    err = csrf_check(call->request, login_pages_is_secure(call), login_pages_purpose(&pages),
                     form_value(&call->form, STR("csrf")));
    if (err.code && pages.login.step == STEP_LOGIN) {
        login_pages_show_login(&pages, STR(""), LOGIN_STALE, 0);
        return OK;
    }
    if (err.code)
        return login_pages_show_error(&pages, err);
    if (form_value(&call->form, STR("cancel")).at)
        return login_pages_deny(&pages);
    return pages.login.step == STEP_LOGIN ? login_pages_check_password(&pages) : login_pages_take_consent(&pages);
}
