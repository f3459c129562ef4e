/* service/authority.h: no token does more than whoever had it issued. Every way to a new token, a grant too, ends in
 * authority_check(), with the token's claims as they will be signed.
 *
 * Who comes with a secret is the client itself: it passes on whatever the token's client is allowed, but of this
 * service's own scopes (token:…, keys:…) only those that it has itself. Who comes with a token has no more than that
 * token: its scopes, its lifetime, its audience, and it can issue at all only when the token is a client's own. Where a
 * grant has authorised the token there is no such caller (NULL): then nothing of this service's own is passed on, and
 * the rest is as it was granted. */
#ifndef SERVICE_AUTHORITY_H
#define SERVICE_AUTHORITY_H

#include "service/call.h"

struct claims;
struct claims_new;

/* Whether a token speaks for its client itself: its sub is the client's id, and it names neither a session nor somebody
 * who acts for another. All others are users'. (So no user may have the id of a client as subject.) */
bool authority_is_clients(const struct claims *claims);

/* Whether a caller, not NULL, may have anything issued: ERR_INSUFFICIENT_SCOPE for a user's token, and for one that was
 * itself issued with a token. */
MUST_USE struct err authority_to_issue(const struct caller *caller);

/* Whether `claims` exceed nobody: ERR_INSUFFICIENT_SCOPE, or ERR_INVALID_SCOPE and ERR_INVALID_TARGET with a sentence
 * that names what was too much. */
MUST_USE struct err authority_check(const struct caller *caller, const struct claims_new *claims);

/* What the caller's token still lasts, in seconds; INT64_MAX when there is none. */
int64_t authority_lasts_s(const struct caller *caller, int64_t now_s);

#endif
