/* oauth/pkce.h: Proof Key for Code Exchange (RFC 7636) with S256, its only method here: `plain` proves nothing to
 * somebody who has read the request. Pure functions on bytes. */
#ifndef OAUTH_PKCE_H
#define OAUTH_PKCE_H

#include "base/mem.h"

enum { PKCE_CHALLENGE_LEN = 43, PKCE_VERIFIER_MIN = 43, PKCE_VERIFIER_MAX = 128 };

/* The authorization request's code_challenge and code_challenge_method; at == NULL: absent. NULL, or what is wrong with
 * them (static): a method without a challenge, another one than S256 (an absent one means `plain`, section 4.3), a
 * challenge that is not the SHA-256 of anything, none where `is_required`. */
const char *pkce_challenge_fault(struct str challenge, struct str method, bool is_required);

/* The token request's code_verifier, against the challenge that the code was issued with. NULL: good, which is also so
 * when there is neither. Otherwise why not (static; the answer is invalid_grant, section 4.6): a verifier that is
 * missing, has another form, or is of another challenge; or one that came without a challenge, since then the challenge
 * was cut off the request (the downgrade of RFC 9700 section 4.8.2). Compared in a time that doesn't depend on it. */
const char *pkce_verifier_fault(struct str challenge, struct str verifier);

#endif
