/* oauth/authorize_user.c: who is the user of an authorization request, and what does the user allow its client (OpenID
 * Connect Core sections 3.1.2.3 and 3.1.2.4): from the session, the login that was asked for, and earlier consents. */
#include "oauth/authorize.h"
#include "base/settings.h"
#include "oauth/claims_request.h"
#include "oauth/consent.h"
#include "service/call.h"
#include "service/pairwise.h"
#include "service/service.h"

static const struct authorize_fault no_fault = { 0, 0 };

/* The login that was asked for becomes a session. */
static void authorize_user_take_login(struct authorize *authorize)
{
    struct login_request *login = &authorize->login;
    struct session begun;
    if (!login->has_login)
        return;
    session_begin(authorize->call, authorize->response, &login->login,
                  authorize->has_session ? &authorize->session : NULL, login->login_lasts_s, &begun);
    authorize->session = begun;
    authorize->has_session = true;
    login->has_login = false;
    login->is_logged_in = true;
}

static int64_t authorize_user_max_age_s(const struct authorize *authorize)
{
    const int64_t asked_s = authorize->request.max_age_s;
    return asked_s >= 0 ? asked_s : authorize->registered.default_max_age_s;
}

/* By the hint; what it says may be as it is if the client had another subject_type then (token_hint.h). */
static bool authorize_user_is_hinted(const struct authorize *authorize)
{
    const struct call *call = authorize->call;
    const struct str hinted = authorize->login.hinted, sub = authorize->session.login.sub;
    return hinted.len == 0 || str_eq(hinted, sub) ||
           pairwise_is_subject(call->service->settings, call->request->arena, &authorize->registered, hinted, sub);
}

/* Section 3.1.2.2: an id token is asked for of this user, as the client knows that one, and of nobody else. */
static bool authorize_user_is_claimed(const struct authorize *authorize)
{
    const struct call *call = authorize->call;
    struct claim_request asked;
    struct str known;
    if (!claims_request_find(authorize->request.claims, STR("id_token"), STR("sub"), &asked))
        return true;
    return !pairwise_subject(call->service->settings, call->request->arena, &authorize->registered,
                             authorize->session.login.sub, &known)
                .code &&
           claim_request_takes(&asked, known);
}

static bool authorize_user_is_the_one(const struct authorize *authorize)
{
    const struct login_request *login = &authorize->login;
    return (login->subject.len == 0 || str_eq(login->subject, authorize->session.login.sub)) &&
           authorize_user_is_hinted(authorize) && authorize_user_is_claimed(authorize);
}

/* Whoever logs users in knows none by what a client knows them by; but of the user who is signed in it is known. */
static void authorize_user_name_hinted(struct authorize *authorize)
{
    struct login_request *login = &authorize->login;
    if (authorize->has_session && login->hinted.len > 0 && authorize_user_is_hinted(authorize))
        login->subject = authorize->session.login.sub;
}

/* Whether the client insists on an acr that the login does not have (section 5.5.1.1). */
static bool authorize_user_lacks_acr(const struct authorize *authorize)
{
    struct claim_request asked;
    return claims_request_find(authorize->request.claims, STR("id_token"), STR("acr"), &asked) && asked.is_essential &&
           !claim_request_takes(&asked, authorize->session.login.acr);
}

static bool authorize_user_needs_login(struct authorize *authorize)
{
    const int64_t max_age_s = authorize_user_max_age_s(authorize);
    const int64_t age_s = authorize->call->request->now_s - authorize->session.login.auth_time;
    if (!authorize->has_session)
        authorize->login.is_logged_in = false;
    if (!authorize->has_session || !authorize_user_is_the_one(authorize))
        return true;
    if (authorize->login.is_logged_in) /* a moment ago, for this request */
        return false;
    return authorize->request.prompt & (PROMPT_LOGIN | PROMPT_SELECT_ACCOUNT) || max_age_s == 0 ||
           (max_age_s > 0 && age_s > max_age_s) || authorize_user_lacks_acr(authorize);
}

/* Whether the login that this request has asked for was before the time that it may be of (sections 3.1.2.1
 * and 3.1.2.3). A service that logs users in may know of an earlier one; its clock is another. */
static bool authorize_user_logged_in_too_early(const struct authorize *authorize)
{
    const struct login_request *login = &authorize->login;
    const int64_t begun_at = login->item.expires_at - LOGIN_REQUEST_TTL_S;
    const int64_t max_age_s = authorize->request.prompt & PROMPT_LOGIN ? 0 : authorize_user_max_age_s(authorize);
    return login->is_logged_in && max_age_s >= 0 &&
           authorize->session.login.auth_time < begun_at - max_age_s - authorize->call->service->settings->clock_skew_s;
}

/* A native client can be anybody's program that knows the client_id: it is never let in by an earlier consent, nor
 * without one (RFC 8252 section 8.6). */
static bool authorize_user_may_remember(const struct authorize *authorize)
{
    return !(authorize->client.is_public && authorize->registered.application == APPLICATION_NATIVE);
}

/* The words of `scope` that are allowed too. */
static struct str authorize_user_common(struct arena *arena, struct str scope, struct str allowed)
{
    struct str word;
    struct buf words;
    buf_init(&words, arena, scope.len + 1, scope.len + 1);
    while (scope.at && str_next_word(&scope, &word)) {
        if (!str_has_word(allowed, word))
            continue;
        buf_add_word(&words, word);
    }
    return buf_str(&words);
}

/* What the user has answered, and for how long. */
static struct err authorize_user_take_consent(struct authorize *authorize, struct str *scope)
{
    const struct call *call = authorize->call;
    struct arena *arena = call->request->arena;
    const struct login_request *login = &authorize->login;
    struct authorize_request *request = &authorize->request;
    const struct str allowed = authorize_user_common(arena, authorize_request_asks(arena, request),
                                                     login->consent_scope);
    struct consent consent;
    *scope = authorize_user_common(arena, request->scope, allowed);
    request->claims = claims_request_within(arena, request->claims, allowed);
    if (!authorize_user_may_remember(authorize))
        return OK;
    session_allow(&authorize->session, authorize->client.id, allowed);
    if (login->consent_lasts_s == 0)
        return OK;
    TRY(consent_find(call->service->store, arena, authorize->session.login.sub, authorize->client.id,
                     call->request->now_s, &consent));
    if (consent_covers(&consent, allowed))
        return OK;
    return consent_extend(arena, &consent, allowed, call->request->now_s, login->consent_lasts_s, &authorize->records);
}

/* *scope: what the user allows; at == NULL: that has to be asked. */
static struct err authorize_user_find_consent(struct authorize *authorize, struct str *scope)
{
    const struct call *call = authorize->call;
    const struct str asked = authorize_request_asks(call->request->arena, &authorize->request);
    const struct str its_scope = authorize->request.scope.at ? authorize->request.scope : STR("");
    struct consent consent;
    *scope = (struct str){ 0, 0 };
    if (authorize->login.has_consent)
        return authorize_user_take_consent(authorize, scope);
    if (authorize->request.prompt & PROMPT_CONSENT)
        return OK;
    if (!authorize_user_may_remember(authorize))
        return OK;
    if (authorize->registered.skip_consent) {
        *scope = its_scope;
        return OK;
    }
    TRY(consent_find(call->service->store, call->request->arena, authorize->session.login.sub, authorize->client.id,
                     call->request->now_s, &consent));
    const struct consent of_session = { .scope = session_allowed(&authorize->session, authorize->client.id) };
    if ((consent.expires_at > 0 && consent_covers(&consent, asked)) ||
        (of_session.scope.len > 0 && consent_covers(&of_session, asked)))
        *scope = its_scope;
    return OK;
}

struct err authorize_decide(struct authorize *authorize, enum authorize_need *need, struct authorize_fault *fault,
                            struct str *scope)
{
    const bool is_silent = authorize->request.prompt & PROMPT_NONE;
    *fault = no_fault;
    authorize_user_take_login(authorize);
    authorize_user_name_hinted(authorize);
    if (authorize_user_needs_login(authorize)) {
        *need = NEED_LOGIN;
        if (is_silent)
            *fault = (struct authorize_fault){ "login_required",
                                               "the user must log in, and prompt=none forbids to ask" };
        else if (authorize->login.is_logged_in)
            *fault = (struct authorize_fault){ "access_denied", "another user has logged in than was asked for" };
        return OK;
    }
    if (authorize_user_lacks_acr(authorize)) {
        *fault = (struct authorize_fault){ "unmet_authentication_requirements",
                                           "the login has no acr that was asked for" };
        return OK;
    }
    if (authorize_user_logged_in_too_early(authorize)) {
        *fault = (struct authorize_fault){ "login_required",
                                           "the login was made earlier than prompt or max_age allows" };
        return OK;
    }
    TRY(authorize_user_find_consent(authorize, scope));
    if (scope->at && str_has_word(authorize->request.scope, STR("openid")) && !str_has_word(*scope, STR("openid")))
        *fault = (struct authorize_fault){ "access_denied", "the user does not allow the client to know who it is" };
    *need = scope->at ? NEED_NOTHING : NEED_CONSENT;
    if (*need == NEED_CONSENT && is_silent)
        *fault = (struct authorize_fault){ "consent_required",
                                           "the user must consent, and prompt=none forbids to ask" };
    return OK;
}
