/* oauth/standard_claims.h: the claims about a user that OpenID Connect Core 1.0 section 5.1 names, a row each: which
 * scope asks for it (section 5.4), and what its value must look like. Pure. */
#ifndef OAUTH_STANDARD_CLAIMS_H
#define OAUTH_STANDARD_CLAIMS_H

#include "base/json.h"

enum claim_form {
    CLAIM_TEXT,
    CLAIM_URL,     /* http or https */
    CLAIM_EMAIL,   /* something@something */
    CLAIM_DATE,    /* YYYY-MM-DD, YYYY, or 0000-MM-DD for who keeps the year */
    CLAIM_TRUTH,   /* true or false */
    CLAIM_TIME,    /* seconds since 1970 */
    CLAIM_ADDRESS, /* an object of texts (section 5.1.1) */
};

struct standard_claim {
    struct str name;
    struct str scope; /* profile, email, address or phone */
    enum claim_form form;
};

extern const struct standard_claim standard_claims[];
extern const size_t standard_claims_count;

/* NULL: no claim has this name. */
const struct standard_claim *standard_claim_named(struct str name);
/* The members of an address (section 5.1.1), and whether it has one of this name. */
extern const struct str standard_address_members[];
extern const size_t standard_address_members_count;
bool standard_claim_is_address_member(struct str name);
/* Whether the claim can have this value. */
bool standard_claim_takes(const struct standard_claim *claim, const struct json *value);

/* `claims`: an object. ERR_INVALID_REQUEST, with a sentence in the arena that names the claim: a name that is not in
 * the table, or a value of another form. A text has 1 to 2048 bytes and says something: it is not blank, and not the
 * word null, which programs write by mistake. */
MUST_USE struct err standard_claims_check(struct arena *arena, const struct json *claims);

#endif
