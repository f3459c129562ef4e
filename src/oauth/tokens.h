/* oauth/tokens.h: the tokens that come of a user's grant, by a code or by a refresh token. */
#ifndef OAUTH_TOKENS_H
#define OAUTH_TOKENS_H

#include "oauth/family.h"
#include "oauth/token_endpoint.h"

/* Issues an access token with the given part of the grant's scope and resources and, where the grant has the scope
 * openid, an id token. ERR_INVALID_GRANT: the user has been disabled or removed since, or the client's sector has
 * changed; ERR_UNAUTHORIZED_CLIENT: it can be told of no user (service/pairwise.h). Both name the grant's session,
 * as long as it has not ended; the access token is revoked with the grant. */
MUST_USE struct err tokens_issue(const struct token_request *request, const struct family *grant, struct str nonce,
                                 struct token_answer *answer);

/* What the client's registration and the settings say of its refresh tokens. */
struct family_terms tokens_terms(const struct token_request *request);
/* How long an access token of this client lasts. */
int64_t tokens_access_lifetime_s(const struct token_request *request);

/* Revokes all access tokens that came of a grant, by the id of its item: in force here at once, and recorded with the
 * response, whatever that is (call_record_always). May wait. ERR_UNAVAILABLE. */
MUST_USE struct err tokens_revoke_grant(struct call *call, const unsigned char grant_id[32], struct str reason);
/* The same, and ends the grant in the store, so that its refresh tokens are refused too. */
MUST_USE struct err tokens_end_grant(struct call *call, const unsigned char grant_id[32], struct str reason);

#endif
