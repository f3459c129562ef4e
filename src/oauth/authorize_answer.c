/* oauth/authorize_answer.c: the answer to an authorization request, at the client's redirect URI: in its query, or
 * posted to it by a page (OAuth 2.0 Form Post Response Mode). `iss` is in each (RFC 9207). */
#include "base/settings.h"
#include "oauth/authorize.h"
#include "oauth/code.h"
#include "oauth/pages.h"
#include "oauth/see_other.h"
#include "service/call.h"
#include "service/pairwise.h"
#include "service/service.h"

enum { PARAMETERS_MAX = 4 };

static struct err authorize_answer_redirect(struct authorize *authorize, const struct redirect_parameter *parameters,
                                            size_t count)
{
    struct str location;
    TRY(redirect_uri_with(authorize->call->request->arena, &authorize->redirect, parameters, count, &location));
    see_other(authorize->response, location);
    return OK;
}

static struct err authorize_answer_post(struct authorize *authorize, const struct redirect_parameter *parameters,
                                        size_t count)
{
    struct page_parameter posted[PARAMETERS_MAX];
    struct post_page page = { .client = { .name = authorize->client.name, .redirect_uri = authorize->redirect.text },
                              .parameters = posted };
    for (size_t i = 0; i < count && page.count < PARAMETERS_MAX; i++)
        if (parameters[i].value.at)
            posted[page.count++] = (struct page_parameter){ parameters[i].name, parameters[i].value };
    page_post(authorize->response, authorize->call->request->arena, authorize->request.ui_locales, &page);
    return OK;
}

static struct err authorize_answer(struct authorize *authorize, const struct redirect_parameter *parameters,
                                   size_t count)
{
    login_request_end(authorize->call->request->arena, &authorize->login, &authorize->records);
    authorize->response->records = authorize->records;
    return authorize->request.response_mode == RESPONSE_FORM_POST
               ? authorize_answer_post(authorize, parameters, count)
               : authorize_answer_redirect(authorize, parameters, count);
}

struct err authorize_give_code(struct authorize *authorize, struct str scope)
{
    const struct call *call = authorize->call;
    const struct settings *settings = call->service->settings;
    const struct authorize_request *request = &authorize->request;
    struct str text;
    struct code code = { .client_id = authorize->client.id,
                         .redirect_uri = authorize->redirect.text,
                         .nonce = request->nonce.at ? request->nonce : STR(""),
                         .code_challenge = request->code_challenge.at ? request->code_challenge : STR(""),
                         .expires_at = call->request->now_s + settings->code_ttl_s,
                         .granted = authorize->session.login };
    code.granted.scope = scope;
    code.granted.resource = request->resource;
    code.granted.claims = request->claims;
    TRY(pairwise_sector(settings, call->request->arena, &authorize->registered, &code.granted.sector));
    TRY(code_make(call->request->arena, &code, authorize->records, &text, &authorize->records));
    const struct redirect_parameter parameters[PARAMETERS_MAX] = { { STR("code"), text },
                                                                   { STR("state"), request->state },
                                                                   { STR("iss"), str_of(settings->issuer) } };
    return authorize_answer(authorize, parameters, 3);
}

struct err authorize_give_error(struct authorize *authorize, struct str error, struct str why)
{
    const struct settings *settings = authorize->call->service->settings;
    const struct redirect_parameter parameters[PARAMETERS_MAX] = { { STR("error"), error },
                                                                   { STR("error_description"), why },
                                                                   { STR("state"), authorize->request.state },
                                                                   { STR("iss"), str_of(settings->issuer) } };
    return authorize_answer(authorize, parameters, 4);
}
