/* oauth/logout.c: RP-Initiated Logout 1.0: GET and POST /logout, and the form by which a user confirms it. Only a
 * client that shows an id token of the session ends it unasked, and only its registered URIs are redirected to. */
#include "oauth/cookie.h"
#include "oauth/csrf.h"
#include "oauth/issuer.h"
#include "oauth/oauth.h"
#include "oauth/operations.h"
#include "oauth/pages.h"
#include "oauth/password_login.h"
#include "oauth/redirect_uri.h"
#include "oauth/see_other.h"
#include "oauth/session.h"
#include "oauth/session_end.h"
#include "oauth/token_hint.h"
#include "base/settings.h"
#include "service/call.h"
#include "service/client_metadata.h"
#include "service/clients.h"
#include "service/service.h"
#include "wire/lines.h"

struct logout {
    struct call *call;
    struct response *response;
    struct form form;
    bool has_hint, has_session, has_target;
    struct token_hint hint;
    struct session session;
    struct redirect_uri target; /* of the hint's client */
    struct str state, ui_locales;
};

static bool logout_is_secure(const struct call *call)
{
    return cookie_is_secure(call->request, str_of(call->service->settings->issuer));
}

static struct err logout_show(const struct logout *logout, struct err err)
{
    if (err.code == ERR_UNAVAILABLE || err.code == ERR_INTERNAL)
        return err;
    page_error(logout->response, logout->call->request->arena, logout->ui_locales, err);
    return OK;
}

/* Where to go afterwards: a URI that the hint's client has registered for this (section 3), and nothing without a hint.
 */
static struct err logout_find_target(struct logout *logout)
{
    const struct str uri = form_value(&logout->form, STR("post_logout_redirect_uri"));
    const struct call *call = logout->call;
    struct client client;
    if (!uri.at || !logout->has_hint)
        return OK;
    const struct err err = clients_find_active(call->service->clients, call->request->arena, logout->hint.client_id,
                                               &client);
    if (err.code == ERR_NOT_FOUND)
        return failed(ERR_INVALID_REQUEST, "the client of the id_token_hint is unknown");
    TRY(err);
    const struct client_metadata *registered = client_metadata_of(call->request->arena, &client);
    const struct client_texts *own = &registered->post_logout_redirect_uris;
    logout->has_target = redirect_uri_find(own->at, own->count, registered->application == APPLICATION_NATIVE, uri,
                                           &logout->target);
    return logout->has_target
               ? OK
               : failed(ERR_INVALID_REQUEST, "the post_logout_redirect_uri is not one that the client has registered");
}

static struct err logout_read(struct logout *logout)
{
    const struct request *request = logout->call->request;
    const struct str body = request->method == METHOD_POST ? request->body : request->query;
    if (request->method == METHOD_POST && request->body.len > 0 && !request_is_form(request))
        return failed(ERR_MEDIA_TYPE, "the body must be application/x-www-form-urlencoded");
    TRY(form_read(request->arena, body.at ? body : STR(""), &logout->form));
    const struct str hint = form_value(&logout->form, STR("id_token_hint"));
    const struct str client_id = form_value(&logout->form, STR("client_id"));
    logout->state = form_value(&logout->form, STR("state"));
    logout->ui_locales = form_value(&logout->form, STR("ui_locales"));
    logout->has_hint = hint.at != NULL;
    if (hint.at)
        TRY(token_hint_read(logout->call, hint, &logout->hint));
    if (hint.at && client_id.at && !str_eq(client_id, logout->hint.client_id))
        return failed(ERR_INVALID_REQUEST, "the client_id is not the one of the id_token_hint");
    return logout_find_target(logout);
}

static struct err logout_find_session(struct logout *logout)
{
    const struct err err = session_of_logout(logout->call, &logout->session);
    logout->has_session = !err.code;
    return err.code == ERR_NOT_FOUND ? OK : err;
}

static struct err logout_end_session(struct logout *logout)
{
    struct call *call = logout->call;
    if (!logout->has_session)
        return OK;
    TRY(session_end(call, &logout->session, SESSION_LOGGED_OUT, &logout->response->records,
                    &logout->response->announced));
    cookie_forget(logout->response, call->request->arena, COOKIE_SESSION, logout_is_secure(call));
    return OK;
}

/* Section 3: with the state, and nothing else. */
static struct err logout_leave(struct logout *logout)
{
    const struct redirect_parameter state = { STR("state"), logout->state };
    struct str location;
    if (!logout->has_target) {
        page_signed_out(logout->response, logout->call->request->arena, logout->ui_locales);
        return OK;
    }
    TRY(redirect_uri_with(logout->call->request->arena, &logout->target, &state, 1, &location));
    see_other(logout->response, location);
    return OK;
}

/* What a form is good for: signing out, and then to go where the page said, which was for a client with a hint. */
static struct str logout_purpose(struct arena *arena, struct str client_id, struct str target)
{
    return target.len > 0
               ? arena_printf(arena, "logout\n%.*s\n%.*s", (int)client_id.len, client_id.at, (int)target.len, target.at)
               : STR("logout\n");
}

static void logout_ask(struct logout *logout)
{
    struct call *call = logout->call;
    struct arena *arena = call->request->arena;
    const struct str key = csrf_key(call->request, logout->response, logout_is_secure(call));
    const struct str target = logout->has_target ? logout->target.text : STR("");
    const struct logout_page page = {
        .form = { .action = issuer_url(arena, call->service->settings, STR("/logout/confirm")),
                  .csrf = csrf_token(arena, key, logout_purpose(arena, logout->hint.client_id, target)),
                  .ui_locales = logout->ui_locales },
        .username = password_login_name(call->service->oauth->password_login, arena, logout->session.login.sub),
        .client_id = logout->hint.client_id,
        .to = target,
        .state = logout->state,
    };
    page_logout(logout->response, arena, &page);
}

/* The session is the hint's: the client may end it unasked. */
static struct err logout_is_of_hint(const struct logout *logout, bool *out)
{
    const struct granted *login = &logout->session.login;
    *out = false;
    return logout->has_hint ? token_hint_names(logout->call, &logout->hint, login->sub, login->sid, out) : OK;
}

/* A form of another site comes without our cookies (oauth/cookie.h): the same as a GET comes with them. */
static struct err logout_repeat_as_get(const struct logout *logout)
{
    const struct call *call = logout->call;
    const struct str body = call->request->body;
    struct arena *arena = call->request->arena;
    const struct str url = issuer_url(arena, call->service->settings, STR("/logout"));
    if (!wire_is_visible(body) ||
        str_has(body, '#')) /* which a form has as percent codes, and no address has otherwise */
        return logout_show(logout, failed(ERR_INVALID_REQUEST, "the form has characters that must be encoded in one"));
    see_other(logout->response, arena_printf(arena, "%.*s?%.*s", (int)url.len, url.at, (int)body.len, body.at));
    return OK;
}

struct err begin_logout(struct call *call, struct response *response)
{
    struct logout logout = { .call = call, .response = response };
    const struct err err = logout_read(&logout);
    if (err.code)
        return logout_show(&logout, err);
    if (call->request->method == METHOD_POST && call->request->body.len > 0)
        return logout_repeat_as_get(&logout);
    TRY(logout_find_session(&logout));
    bool is_of_hint = false;
    if (logout.has_session)
        TRY(logout_is_of_hint(&logout, &is_of_hint));
    if (logout.has_session && !is_of_hint) {
        logout_ask(&logout);
        return OK;
    }
    TRY(logout_end_session(&logout));
    return logout_leave(&logout);
}

/* The page's own form: what it says of the client is what the hint said. */
static struct err logout_read_confirmed(struct logout *logout)
{
    const struct call *call = logout->call;
    const struct str client_id = form_value(&call->form, STR("client_id"));
    const struct str target = form_value(&call->form, STR("post_logout_redirect_uri"));
    logout->form = call->form;
    logout->state = form_value(&call->form, STR("state"));
    TRY(csrf_check(call->request, logout_is_secure(call), logout_purpose(call->request->arena, client_id, target),
                   form_value(&call->form, STR("csrf"))));
    logout->has_hint = target.at != NULL;
    logout->hint.client_id = client_id;
    return logout_find_target(logout);
}

struct err confirm_logout(struct call *call, struct response *response)
{
    struct logout logout = { .call = call, .response = response };
    const struct err err = logout_read_confirmed(&logout);
    if (err.code)
        return logout_show(&logout, err);
    TRY(logout_find_session(&logout));
    if (!form_value(&call->form, STR("cancel")).at)
        TRY(logout_end_session(&logout));
    else if (logout.has_session)
        return logout_show(&logout, failed(ERR_INVALID_REQUEST, "you are still signed in"));
    return logout_leave(&logout);
}
