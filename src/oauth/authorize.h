/* oauth/authorize.h: one authorization request on its way to an answer: what authorize.c and its parts share. */
#ifndef OAUTH_AUTHORIZE_H
#define OAUTH_AUTHORIZE_H

#include "oauth/login_request.h"
#include "oauth/redirect_uri.h"
#include "oauth/session.h"
#include "service/client_metadata.h"

struct call;
struct response;

struct authorize {
    struct call *call;
    struct response *response;
    struct client client;
    struct client_metadata registered;
    struct redirect_uri redirect; /* where the answer goes */
    struct authorize_request request;
    struct login_request login; /* version 0 until it has to be kept */
    bool has_session;
    struct session session;
    struct record *records; /* of all that changes */
};

/* --- authorize_client.c: who asks --------------------------------------------------------------------------------- */

/* The client, and then the redirect URI among its own. An error is for a page of ours. */
MUST_USE struct err authorize_find_client(struct authorize *authorize, struct str client_id);
MUST_USE struct err authorize_find_redirect(struct authorize *authorize, struct str redirect_uri);
/* What the request asks for, against the client's registration; error == NULL: it may. Claims of scopes that the client
 * may not ask for are taken out: claims are a wish (OpenID Connect Core section 5.5.1). */
struct authorize_fault authorize_check_request(struct authorize *authorize);

/* --- authorize_user.c: who is the user, and what does the user allow ---------------------------------------------- */

enum authorize_need { NEED_NOTHING, NEED_LOGIN, NEED_CONSENT };

/* Takes what has been answered into the session, and says what is still needed; with nothing needed, *scope is what the
 * user allows, and so are the request's claims. fault->error: that is what the client is told instead. ERR_UNAVAILABLE.
 */
MUST_USE struct err authorize_decide(struct authorize *authorize, enum authorize_need *need,
                                     struct authorize_fault *fault, struct str *scope);

/* --- authorize_answer.c: how the answer gets to the client -------------------------------------------------------- */

/* A code for what was granted: `scope` of it. */
MUST_USE struct err authorize_give_code(struct authorize *authorize, struct str scope);
MUST_USE struct err authorize_give_error(struct authorize *authorize, struct str error, struct str why);

#endif
