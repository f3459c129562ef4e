/* oauth/token_hint.h: id_token_hint (OpenID Connect Core section 3.1.2.1, RP-Initiated Logout 1.0 section 2): an id
 * token that this service has issued, perhaps long ago. */
#ifndef OAUTH_TOKEN_HINT_H
#define OAUTH_TOKEN_HINT_H

#include "base/mem.h"

struct call;

/* In the arena. */
struct token_hint {
    struct str sub, sid, client_id; /* sid "": none; client_id: whom it was issued to, who knows the others by these */
};

/* Whether one of our keys has signed it, for this issuer, as an id token; its times don't matter. On a worker.
 * ERR_INVALID_REQUEST, ERR_UNAVAILABLE. */
MUST_USE struct err token_hint_read(const struct call *call, struct str text, struct token_hint *out);

/* Whether it names that user, and that session or none: as its client knows them, or as they are, which is how that one
 * knew them if it had another subject_type then. ERR_UNAVAILABLE. */
MUST_USE struct err token_hint_names(const struct call *call, const struct token_hint *hint, struct str sub,
                                     struct str sid, bool *out);

#endif
