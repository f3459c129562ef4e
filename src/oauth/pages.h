/* oauth/pages.h: the pages that people see, each written into a response with its status and headers: signing in,
 * consent, signing out, what went wrong, and the page that posts an answer to a client (form_post). All of them work
 * without JavaScript; the last one then waits for its button.
 *
 * Forms are posted to `action`, a path of ours, with the hidden fields `csrf` (oauth/csrf.h) and `challenge`. The
 * button that agrees has id="submit" and no name; the one that doesn't has id="cancel" and sends cancel=1.
 *
 * All texts are views and may be "". They may come from strangers: they are escaped, and a URL that is none is left
 * out. */
#ifndef OAUTH_PAGES_H
#define OAUTH_PAGES_H

#include "base/mem.h"

struct response;

/* Of the client's registration (RFC 7591 section 2). The logo is shown if it is https. */
struct page_client {
    struct str name; /* client_name, or its id */
    struct str logo_uri, policy_uri, tos_uri;
    struct str redirect_uri; /* to which the answer will go */
};

struct page_form {
    struct str action, csrf, challenge;
    struct str ui_locales; /* of the authorization request */
};

/* Fields: username, password. */
enum login_problem {
    LOGIN_FRESH,
    LOGIN_WRONG,   /* username or password */
    LOGIN_LIMITED, /* 429; for wait_s */
    LOGIN_BUSY,    /* 503 */
    LOGIN_STALE,   /* 400; the CSRF token */
};
struct login_page {
    struct page_form form;
    struct page_client client;
    struct str username; /* as it was typed, or login_hint */
    enum login_problem problem;
    int64_t wait_s;
};
void page_login(struct response *response, struct arena *arena, const struct login_page *page);

/* A checkbox `remember` sends 1, if `may_remember`. */
struct consent_page {
    struct page_form form;
    struct page_client client;
    struct str username;
    struct str scope; /* space-separated */
    bool may_remember;
};
void page_consent(struct response *response, struct arena *arena, const struct consent_page *page);

/* Asks whether to sign out. `to`: where the answer to the form may redirect, with `state`: a post_logout_redirect_uri
 * of this client; empty: nowhere. */
struct logout_page {
    struct page_form form;
    struct str username, client_id, to, state;
};
void page_logout(struct response *response, struct arena *arena, const struct logout_page *page);
void page_signed_out(struct response *response, struct arena *arena, struct str ui_locales);

/* What is wrong with a request that may not be answered by a redirect; its error and sentence are shown. The status is
 * the error's, but 400 for those that ask a program for credentials (401, 403); with 429 and 503 the response's
 * retry_after_s is told. */
void page_error(struct response *response, struct arena *arena, struct str ui_locales, struct err err);

/* OAuth 2.0 Form Post Response Mode, section 2: the parameters of an answer, posted to the client's redirect URI by a
 * script, or by a button without one. */
struct page_parameter {
    struct str name, value;
};
struct post_page {
    struct page_client client;
    const struct page_parameter *parameters;
    size_t count;
};
void page_post(struct response *response, struct arena *arena, struct str ui_locales, const struct post_page *page);

#endif
