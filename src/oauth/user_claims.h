/* oauth/user_claims.h: what a client is told of a user (OpenID Connect Core section 5): by scope, and by name in the
 * request's `claims`. */
#ifndef OAUTH_USER_CLAIMS_H
#define OAUTH_USER_CLAIMS_H

#include "base/json.h"
#include "oauth/granted.h"

struct call;

/* What is known of the user of a grant: an object of claims, or NULL. Of the built-in login by its file as it is now
 * (ERR_NOT_FOUND: the user is gone, or disabled), else what the login said. */
MUST_USE struct err user_claims_find(const struct call *call, const struct granted *granted, const struct json **out);

/* Adds what the platform's table says of the user, if its store has one, and if the part may have a claim that the
 * login has not said: what was said wins (kept_claims.h). `part` and `scope` as below. May wait. ERR_UNAVAILABLE: never
 * fewer claims instead. */
MUST_USE struct err user_claims_add_kept(const struct call *call, const struct granted *granted, struct str part,
                                         struct str scope, const struct json **user);

/* Appends to an object those claims that a part ("userinfo", "id_token") may have: named in the request's `claims`, and
 * by `scope` ("" in an id token: section 5.4). `sub` and what else tokens say by themselves is never among them,
 * nor a standard claim with a value that it can't have (standard_claims.h). */
void user_claims_write(struct buf *out, const struct json *user, const struct granted *granted, struct str part,
                       struct str scope);

#endif
