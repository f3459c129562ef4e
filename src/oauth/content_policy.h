/* oauth/content_policy.h: what a page's browser may load, run and send (Content Security Policy Level 3). Everything is
 * forbidden but what the page needs; a style sheet or script runs only with this page's nonce. Pure. */
#ifndef OAUTH_CONTENT_POLICY_H
#define OAUTH_CONTENT_POLICY_H

#include "base/mem.h"

struct content_policy {
    struct str nonce;
    bool has_script;
    bool posts_here;     /* it has a form for us */
    struct str posts_to; /* a URL to which a form goes, or to which our answer to a form redirects; "" none */
    struct str image;    /* the URL of an image; "" none */
};

/* The header's value, in the arena.
 *
 * form-action names the client too, although a form is posted to us: Chromium and WebKit hold the redirect that answers
 * it to the same directive (w3c/webappsec-csp issue 8), all of its hops. A client whose redirect URI itself redirects
 * to another origin is cut off there. */
struct str content_policy_write(struct arena *arena, const struct content_policy *policy);

/* The source expression (section 2.3.1) that allows a URL: its origin; the scheme alone for an app's own scheme, and
 * for an IPv6 address, which the grammar of hosts lacks. In the arena; "" for what is no URL, or one that would run a
 * script: then it stays forbidden. */
struct str content_policy_source(struct arena *arena, struct str url);

#endif
