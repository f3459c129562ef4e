/* oauth/cookie.h: the cookies of the pages: which there are, what they look like, and how they are read (RFC 6265 and
 * its successor, "6265bis").
 *
 * Over https their names begin with __Host-: a browser takes such a cookie only with Secure, with Path=/ and without
 * Domain, so no other host of the site, and nobody on an unencrypted connection, can plant one. Over http a browser
 * would refuse that (and Secure); so a service whose issuer is an http URL, on a developer's machine, has plain names.
 *
 * All are HttpOnly, and SameSite=Lax: a browser sends them along when somebody follows a link to us from another site,
 * but not with a form that another site posts here, nor in frames and images. SameSite=None would send them with those
 * too, so that only the CSRF token and frame-ancestors stood between another site and what a page of ours does. But
 * OpenID Connect has clients send users to us with POST as well (Core section 3.1.2.1), and a session must be seen
 * then. So the authorization endpoint answers a POST, before it looks at any cookie, by keeping the request and
 * redirecting to a GET of its own (303 with the challenge), which is again a navigation that Lax cookies come with. And
 * it sets no cookie in the answer to such a POST: it can't see the one that is there, and would replace it. */
#ifndef OAUTH_COOKIE_H
#define OAUTH_COOKIE_H

#include "base/mem.h"

struct request;
struct response;

enum cookie {
    COOKIE_SESSION, /* who is signed in */
    COOKIE_BROWSER, /* which browser this is, for oauth/csrf.h */
};

enum { COOKIE_VALUE_MAX = 128 };

/* Whether cookies are those of https: when this request came by it, or when the issuer says that users do. (Behind a
 * proxy that is not in TOKEN_TRUSTED_PROXIES, each request seems to be http.) */
bool cookie_is_secure(const struct request *request, struct str issuer);

/* The value of a cookie that came with the request: 1 to COOKIE_VALUE_MAX characters of base64url, as all of ours are;
 * at == NULL: it did not come, or is nothing that was set here, or came twice. */
struct str cookie_value(const struct request *request, enum cookie cookie, bool is_secure);

/* Has the browser keep a cookie: for `max_age_s`, or with 0 until it is closed. An unfit value makes the response
 * unfit. And has it forget one. */
void cookie_set(struct response *response, struct arena *arena, enum cookie cookie, bool is_secure, struct str value,
                int64_t max_age_s);
void cookie_forget(struct response *response, struct arena *arena, enum cookie cookie, bool is_secure);

/* The value of the one pair of this name in a Cookie header's value; false when there is none, or more than one. It may
 * hold anything but a semicolon. Fuzzed: tests/fuzz/cookie.c. */
MUST_USE bool cookie_find(struct str header, struct str name, struct str *value);

#endif
