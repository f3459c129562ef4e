/* oauth/login_request.h: an authorization request that waits for its user: to log in, or to consent. An item, under the
 * hash of a challenge that the browser and whoever logs users in (LOGIN_URL) know. It goes on in the browser in which
 * it began, and in no other: else somebody could have another person's browser go on with a login of his own. */
#ifndef OAUTH_LOGIN_REQUEST_H
#define OAUTH_LOGIN_REQUEST_H

#include "oauth/authorize_request.h"
#include "oauth/granted.h"
#include "store/store.h"

struct call;

enum { LOGIN_REQUEST_TTL_S = 1800, LOGIN_CHALLENGE_LEN = 43 };

enum login_step { STEP_NOTHING, STEP_LOGIN, STEP_CONSENT };

/* Views. */
struct login_request {
    struct item item;     /* as it was read; version 0: it is new */
    struct str challenge; /* its secret name */
    struct authorize_request request;
    enum login_step step; /* what the user is asked to do; STEP_NOTHING: nothing yet */
    bool is_bound;        /* to a browser: by its key's SHA-256 */
    unsigned char browser[32];
    struct str subject; /* the user who must log in, or who is asked to consent; "": any */
    struct str hinted;  /* the user who must log in, as a client with pairwise subjects knows that one; "": any */
    bool is_logged_in;  /* for this request: the session says who */
    /* The answers. */
    bool has_login;
    struct granted login; /* no scope */
    int64_t login_lasts_s;
    bool has_consent;
    struct str consent_scope;
    int64_t consent_lasts_s;       /* 0: for this once */
    struct str denied, denied_why; /* an error code of RFC 6749 section 4.1.2.1 and a sentence; "": it was not denied */
};

/* A new one, with a new challenge. Nothing is stored yet. */
void login_request_begin(const struct call *call, const struct authorize_request *request, struct login_request *out);
/* ERR_NOT_FOUND: there is none, or its time is over. ERR_UNAVAILABLE. */
MUST_USE struct err login_request_find(const struct call *call, struct str challenge, struct login_request *out);
/* Names a new one, which is bound, by a secret of its browser's and by what it asks: so when the same request comes
 * again (a page that is loaded again), its item takes the place of the one before, and none is left behind. `is_known`:
 * the browser came with its key, so there may be one. ERR_TOO_LARGE, ERR_UNAVAILABLE. */
MUST_USE struct err login_request_name(const struct call *call, struct login_request *login, struct str browser_key,
                                       bool is_known);
/* The record that keeps it as it is, in front of *records. ERR_TOO_LARGE. */
MUST_USE struct err login_request_store(struct arena *arena, const struct login_request *login,
                                        struct record **records);
/* The record that ends it; nothing when it was never stored. */
void login_request_end(struct arena *arena, const struct login_request *login, struct record **records);

/* Where it goes on: "/authorize" or "/login" of this service, and the challenge behind it. In the arena. */
struct str login_request_url(const struct call *call, const struct login_request *login, const char *path);

/* Binds it to the browser that has this key, or says whether it is bound to it. */
void login_request_bind(struct login_request *login, struct str browser_key);
bool login_request_is_bound_to(const struct login_request *login, struct str browser_key);

#endif
