/* oauth/grant.h: grants in the store: an item each, whose body is a refresh family (family.h), whether the client was
 * given a refresh token or not. */
#ifndef OAUTH_GRANT_H
#define OAUTH_GRANT_H

#include "oauth/family.h"
#include "store/store.h"

struct call;

/* A grant as it was read. Views, into the arena that it was read with. Holds secrets: family_wipe(&grant.family). */
struct grant {
    struct item item;
    struct family family;
};

/* The grant that a refresh token names. It says nothing about whether the token is one of its own: family_decide() and
 * refresh_token_is_of() do. May wait. ERR_NOT_FOUND, ERR_UNAVAILABLE, ERR_INTERNAL. */
MUST_USE struct err grant_of_token(struct store *store, struct arena *arena, const struct refresh_token *token,
                                   struct grant *out);
/* The grant whose item has this id. */
MUST_USE struct err grant_of_id(struct store *store, struct arena *arena, const unsigned char id[32],
                                struct grant *out);

/* Whether a rule that is known here revokes the grant: all of it began when it was made, so what refuses tokens that
 * were issued then to its user, its session or its client refuses it too. Of a grant that outlives the logout, the rule
 * about the session is another one, which only an administrator makes (revocation/rule.h). ERR_INVALID_GRANT.
 * ERR_UNAVAILABLE when it is not known what other instances have revoked: a token that came of it now would be later
 * than such a rule. */
MUST_USE struct err grant_check_rules(const struct call *call, const struct family *family);
/* The session that its tokens are of; at == NULL: of none, or of one that is known here to have ended. */
struct str grant_session(const struct call *call, const struct family *family);

#endif
