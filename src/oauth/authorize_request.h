/* oauth/authorize_request.h: the parameters of an authorization request (RFC 6749 section 4.1.1, OpenID Connect Core
 * section 3.1.2.1), from a query, a form or a request object, which are all a struct form here. Pure functions.
 *
 * Who may be told of a fault is a matter of types. Until the client and its redirect URI are known, a fault is a struct
 * err, and only a page of ours may show it (RFC 6749 section 4.1.2.1). After that it is a struct authorize_fault, which
 * goes to a struct redirect_uri, and that comes from redirect_uri_find() alone.
 *
 *   form_read_all() → authorize_request_party() → the client, redirect_uri_find() → authorize_request_read()
 *   \------------------------- struct err: a page ----------------------------/     \- authorize_fault: a redirect -/
 *
 * Fuzzed: tests/fuzz/authorize_request.c. */
#ifndef OAUTH_AUTHORIZE_REQUEST_H
#define OAUTH_AUTHORIZE_REQUEST_H

#include "base/json.h"
#include "oauth/resource.h"

struct form;

/* Who asks, and where the answer is to go: both as they came, neither checked. */
struct authorize_party {
    struct str client_id;
    struct str redirect_uri; /* at == NULL: it may be in the request object */
    struct str request;      /* a request object (RFC 9101), as it came; at == NULL: none */
};

/* ERR_INVALID_REQUEST for a page: client_id or redirect_uri is missing, comes twice or is too long. A request object
 * comes without redirect_uri, if it has its own. */
MUST_USE struct err authorize_request_party(const struct form *form, struct authorize_party *out);

/* A fault that is told to the client, at its redirect URI. error == NULL: there is none. Both are static: a code of RFC
 * 6749 section 4.1.2.1, OpenID Connect Core section 3.1.2.6, or RFC 8707, and a sentence, of the characters that an
 * error_description may have. */
struct authorize_fault {
    const char *error, *why;
};

enum response_mode { RESPONSE_QUERY, RESPONSE_FORM_POST };
enum prompt { PROMPT_NONE = 1, PROMPT_LOGIN = 2, PROMPT_CONSENT = 4, PROMPT_SELECT_ACCOUNT = 8 };
enum display { DISPLAY_PAGE, DISPLAY_POPUP, DISPLAY_TOUCH, DISPLAY_WAP };

enum { AUTHORIZE_STATE_MAX = 2048, AUTHORIZE_NONCE_MAX = 512, AUTHORIZE_WRITTEN_MAX = 12 * 1024 };

/* Strings that did not come have at == NULL. Views of the form, or of what was written. */
struct authorize_request {
    struct str client_id, redirect_uri; /* as in struct authorize_party */
    enum response_mode response_mode;
    struct str state, nonce;
    struct str scope;          /* words of RFC 6749 section 3.3; the caller sees to what the client may have */
    struct str code_challenge; /* of S256, in its form (pkce.h) */
    struct str login_hint, acr_values, ui_locales, claims_locales;
    const struct json *claims; /* as claims_request.h reads it; NULL: none */
    struct resources resource; /* RFC 8707; the caller sees to what the client may ask for */
    unsigned prompt;           /* bits of enum prompt; PROMPT_NONE only alone */
    enum display display;
    int64_t max_age_s; /* -1: any */
    /* A token, which is looked at at once and not written: whom it names is the caller's to keep. */
    struct str id_token_hint;
};

/* Reads the rest. `requires_pkce`: whether this client must send a code_challenge. On a fault *out has what an answer
 * needs, as far as it is good: response_mode and state; nothing else counts. Unknown parameters are ignored. A request
 * object that still stands in the form is not supported: a caller that takes it gives the form of its members. */
struct authorize_fault authorize_request_read(struct arena *arena, const struct form *form, bool requires_pkce,
                                              struct authorize_request *out);

/* Whether a parameter of this name means anything here. */
bool authorize_request_knows(struct str name);

/* What the user is asked to allow: the scope, and the scopes of the claims that are asked for by name
 * (claims_request.h). */
struct str authorize_request_asks(struct arena *arena, const struct authorize_request *request);

/* The request as one JSON object, to be kept while its user logs in. ERR_TOO_LARGE above AUTHORIZE_WRITTEN_MAX. */
MUST_USE struct err authorize_request_write(const struct authorize_request *request, struct buf *out);

/* Reads it back: all of it, but for the hint. ERR_INTERNAL when it is not as authorize_request_write() writes it. */
MUST_USE struct err authorize_request_restore(const struct json *written, struct authorize_request *out);

#endif
