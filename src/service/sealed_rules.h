/* service/sealed_rules.h: which rules of revocation are about an id token that doesn't name its user (pairwise.h).
 * Rules go by the platform's subject and session, and from what such a token says in their place nobody can find them
 * out, not even this service. So the token carries the hashes of both rules (rule_hash()) as well, in the claim
 * `sealed_rules`, encrypted under TOKEN_PAIRWISE_SALT: no store has to keep what a token was about, and a rule is still
 * one entry, however many sectors its user is known in. It has the same length whoever the user is, no two tokens have
 * the same one, and without the secret it says nothing. */
#ifndef SERVICE_SEALED_RULES_H
#define SERVICE_SEALED_RULES_H

#include "base/mem.h"

struct settings;

enum { SEALED_RULES = 2, SEALED_RULES_LEN = 123 }; /* the subject's and the session's; characters of base64url */

/* The claim of a new token: SEALED_RULES_LEN characters in the arena. `jti`: the token's, random. `sid`: at == NULL: it
 * is of no session. ERR_INTERNAL. */
MUST_USE struct err sealed_rules_write(const struct settings *settings, struct arena *arena, struct str jti,
                                       struct str subject, struct str sid, struct str *out);
/* The hashes in that claim; of no session, the one of the rule about all tokens. False unless it was written under this
 * secret, for a token of that jti: then nobody knows which rules are about the token. */
MUST_USE bool sealed_rules_open(const struct settings *settings, struct str jti, struct str text,
                                unsigned char hashes[SEALED_RULES][32]);

#endif
