/* oauth/routes.c: the tables of this room's routes. */
#include "oauth/operations.h"
#include "service/route.h"

#define GET_ONLY (METHOD_GET | METHOD_HEAD)
#define OPENID_CONFIGURATION "/.well-known/openid-configuration"
#define AUTHORIZATION_SERVER "/.well-known/oauth-authorization-server"
static const struct route rows[] = {
    { STR_INIT("/token"), METHOD_POST, OP_TOKEN, ANY_CLIENT, .cors = CORS_SETTING, .waits = true, .form_only = true,
      .run = token_endpoint, .only_signs = token_endpoint_only_signs },
    { STR_INIT("/admin/sessions"), GET_ONLY, OP_SESSIONS, CALLER, .scope = "sessions:read", .waits = true,
      .run = list_sessions },
    { STR_INIT("/admin/sessions"), METHOD_DELETE, OP_SESSIONS, CALLER, .scope = "sessions:write", .waits = true,
      .run = end_sessions },
    { STR_INIT("/admin/sessions/{}"), GET_ONLY, OP_SESSIONS, CALLER, .scope = "sessions:read", .is_open = true,
      .waits = true, .run = show_session },
    { STR_INIT("/admin/sessions/{}"), METHOD_DELETE, OP_SESSIONS, CALLER, .scope = "sessions:write", .is_open = true,
      .waits = true, .run = end_session },
    { STR_INIT(OPENID_CONFIGURATION), GET_ONLY, OP_METADATA, OPEN, .cors = CORS_ANY, .run = publish_metadata },
    { STR_INIT(AUTHORIZATION_SERVER), GET_ONLY, OP_METADATA, OPEN, .cors = CORS_ANY, .run = publish_metadata },
    /* of an issuer with a path, which comes last (RFC 8414 section 3.1) */
    { STR_INIT(OPENID_CONFIGURATION "/*"), GET_ONLY, OP_METADATA, OPEN, .is_open = true, .cors = CORS_ANY,
      .run = publish_metadata },
    { STR_INIT(AUTHORIZATION_SERVER "/*"), GET_ONLY, OP_METADATA, OPEN, .is_open = true, .cors = CORS_ANY,
      .run = publish_metadata },

};

const struct routes oauth_routes = { rows, sizeof rows / sizeof *rows, &service_routes };

/* Where users can log in. */
static const struct route user_rows[] = {
    { STR_INIT("/authorize"), GET_ONLY | METHOD_POST, OP_AUTHORIZE, OPEN, .waits = true, .run = authorize_begin },
    { STR_INIT("/authorize/{}"), GET_ONLY, OP_AUTHORIZE, OPEN, .is_open = true, .waits = true,
      .run = authorize_resume },
    { STR_INIT("/login/{}"), GET_ONLY, OP_LOGIN, OPEN, .is_open = true, .waits = true, .run = show_login },
    { STR_INIT("/login/{}"), METHOD_POST, OP_LOGIN, OPEN, .is_open = true, .waits = true, .form_only = true,
      .run = take_login },
    { STR_INIT("/logout"), GET_ONLY | METHOD_POST, OP_LOGOUT, OPEN, .waits = true, .run = begin_logout },
    { STR_INIT("/logout/confirm"), METHOD_POST, OP_LOGOUT, OPEN, .waits = true, .form_only = true,
      .run = confirm_logout },
    { STR_INIT("/userinfo"), GET_ONLY | METHOD_POST, OP_USERINFO, OPEN, .cors = CORS_SETTING, .waits = true,
      .run = userinfo },
    { STR_INIT("/admin/login-requests/{}"), GET_ONLY, OP_LOGIN_REQUEST, CALLER, .scope = "logins:write",
      .is_open = true, .waits = true, .run = show_login_request },
    { STR_INIT("/admin/login-requests/{}/accept"), METHOD_POST, OP_LOGIN_REQUEST, CALLER, .scope = "logins:write",
      .is_open = true, .waits = true, .run = accept_login_request },
    { STR_INIT("/admin/login-requests/{}/reject"), METHOD_POST, OP_LOGIN_REQUEST, CALLER, .scope = "logins:write",
      .is_open = true, .waits = true, .run = reject_login_request },
};

const struct routes oauth_user_routes = { user_rows, sizeof user_rows / sizeof *user_rows, &oauth_routes };
