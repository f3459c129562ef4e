/* service/authority.h: no token allows more than its requester may do. Every way to a new token, also every grant, ends
 * in authority_check(), with the token's claims as they will be signed.
 *
 * A caller with a secret is the client itself: it can pass on whatever the token's client is allowed, but of this
 * service's own scopes (token:…, keys:…) only those that it has itself. A caller with a token can pass on no more than
 * that token has (its scopes, lifetime and audience), and can issue tokens only if its token is a client's own. When a
 * grant has authorised the token there is no such caller (NULL): then none of this service's own scopes is passed on,
 * and the rest is as granted.
 *
 * A client is a source of tokens, so the same holds for a caller that adds or changes one. */
#ifndef SERVICE_AUTHORITY_H
#define SERVICE_AUTHORITY_H

#include "service/call.h"

struct claims;
struct claims_new;

/* Whether a scope is one of the service's own: it allows calls of this service, and is given to nobody by the way. */
bool authority_is_own_scope(struct str word);

/* Whether a token is a client's own: its sub is the client's id, and it names neither a session nor an actor. All
 * others are users' tokens. (So no user may have a client's id as subject.) */
bool authority_is_clients(const struct claims *claims);

/* Whether a caller, not NULL, may have anything issued: ERR_INSUFFICIENT_SCOPE for a user's token, and for one that was
 * itself issued with a token. */
MUST_USE struct err authority_to_issue(const struct caller *caller);

/* Whether `claims` stay within what the caller may pass on: else ERR_INSUFFICIENT_SCOPE, or ERR_INVALID_SCOPE or
 * ERR_INVALID_TARGET with a sentence that names what was too much. */
MUST_USE struct err authority_check(const struct caller *caller, const struct claims_new *claims);

/* Whether the caller, not NULL, may have in its hands a client that is allowed `scopes`: add it, change it, or give it
 * another secret. ERR_INSUFFICIENT_SCOPE for a user's token and for one that was issued with another;
 * ERR_INVALID_SCOPE, with a sentence, for scopes that it could not pass on in a token. */
MUST_USE struct err authority_check_client(const struct caller *caller, struct str scopes);

/* The remaining lifetime of the caller's token, in seconds; INT64_MAX when it has no token. */
int64_t authority_lasts_s(const struct caller *caller, int64_t now_s);

#endif
