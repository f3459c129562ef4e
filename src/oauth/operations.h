/* oauth/operations.h: the room's operations and its table of routes. They return an error to be rendered, or OK with
 * *response filled, as those of the service do. */
#ifndef OAUTH_OPERATIONS_H
#define OAUTH_OPERATIONS_H

#include "base/err.h"
#include <stdbool.h>

struct call;
struct response;
struct routes;

/* The room's routes, and after them the service's: what a server answers. The second list has those for users too; a
 * server without LOGIN_URL and TOKEN_LOGIN has none. */
extern const struct routes oauth_routes, oauth_user_routes;

MUST_USE struct err publish_metadata(struct call *call, struct response *response);
MUST_USE struct err token_endpoint(struct call *call, struct response *response);
bool token_endpoint_only_signs(const struct call *call); /* service/route.h */
MUST_USE struct err authorize_begin(struct call *call, struct response *response);
MUST_USE struct err authorize_resume(struct call *call, struct response *response);
MUST_USE struct err show_login(struct call *call, struct response *response);
MUST_USE struct err take_login(struct call *call, struct response *response);
MUST_USE struct err show_login_request(struct call *call, struct response *response);
MUST_USE struct err accept_login_request(struct call *call, struct response *response);
MUST_USE struct err reject_login_request(struct call *call, struct response *response);
MUST_USE struct err userinfo(struct call *call, struct response *response);
MUST_USE struct err begin_logout(struct call *call, struct response *response);
MUST_USE struct err confirm_logout(struct call *call, struct response *response);
MUST_USE struct err list_sessions(struct call *call, struct response *response);
MUST_USE struct err end_sessions(struct call *call, struct response *response);
MUST_USE struct err show_session(struct call *call, struct response *response);
MUST_USE struct err end_session(struct call *call, struct response *response);

#endif
