/* service/verify.h: token_check(), the one decision whether a token is good. Everything that lets somebody in by a
 * token goes through it: /token/verify, /token/introspect, and a caller's own bearer token. */
#ifndef SERVICE_VERIFY_H
#define SERVICE_VERIFY_H

#include "cache/verified.h"

struct service;

enum { KIND_ACCESS = 1U << TOKEN_ACCESS, KIND_REFRESH = 1U << TOKEN_REFRESH, KIND_ID = 1U << TOKEN_ID };

struct token_ask {
    unsigned kinds;              /* KIND_…, any of them */
    struct claims_expect expect; /* its issuer is the service's own when left empty */
};

/* Checks everything: form, key, signature, kind, revocation (its own, and of the token that it was issued with), times
 * and claims; never waits in a server. On success *out has a reference for the caller: verified_release. Errors:
 * ERR_TOKEN_*, or ERR_UNAVAILABLE for a token that is good but for what other instances may have revoked
 * (revocations_check_elsewhere()). A command waits for Redis. */
MUST_USE struct err token_check(struct service *service, struct str token, const struct token_ask *ask, int64_t now_s,
                                struct verified **out);

/* Checks only whether a present or past key of this service signed the token, so that it can be revoked, whatever the
 * time, its issuer and its state are. May wait for the store. *out as above. ERR_TOKEN_* when it is not a token of this
 * service, ERR_UNAVAILABLE when that can't be known now. */
MUST_USE struct err token_find(struct service *service, struct str token, struct verified **out);

#endif
