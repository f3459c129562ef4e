/* oauth/csrf.h: whether a form that is posted here was one of our pages, shown in this browser, for this purpose.
 *
 * Each browser has a random key in a cookie (COOKIE_BROWSER). A page's form has a hidden field with the SHA-256 of a
 * label, the key and the form's purpose: what it does and the challenge or session that it does it to. Another site can
 * neither read nor set the cookie (__Host-), so it can't know that hash, and the hash of one form is of no use in
 * another: not for another login that is going on in the same browser, and not for a login that somebody else began.
 * The server keeps nothing, and every instance can check it.
 *
 * An HMAC under a key of the server's would say no more; nor would a plain copy of the cookie in the form say as much:
 * whoever reads one page would have the cookie. A hash of texts of fixed length can't be extended, so no HMAC is needed
 * for the construction either.
 *
 * Where the browser says by itself that another site made the request (Sec-Fetch-Site, W3C Fetch Metadata), it is
 * refused too. Origin says nothing here: our pages' Referrer-Policy makes it "null". */
#ifndef OAUTH_CSRF_H
#define OAUTH_CSRF_H

#include "base/mem.h"

struct request;
struct response;

/* The browser's key: from its cookie, else a new one, which the response sets until the browser is closed. For the GET
 * that shows a form (see oauth/cookie.h about POST). In the arena. */
struct str csrf_key(const struct request *request, struct response *response, bool is_secure);

/* What the hidden field holds, in the arena. `purpose`: "login\n" and the challenge, say. */
struct str csrf_token(struct arena *arena, struct str key, struct str purpose);

/* Whether a form came from such a page: ERR_INVALID_REQUEST, with a sentence for the page that says what to do, when
 * the cookie or the field is missing, they don't fit each other and the purpose, or another site posted the form. */
MUST_USE struct err csrf_check(const struct request *request, bool is_secure, struct str purpose, struct str token);

#endif
