/* oauth/kept_claims.h: the claims of a user that the platform keeps (oauth_id_token_claims), beside those that the
 * login has said. Pure. */
#ifndef OAUTH_KEPT_CLAIMS_H
#define OAUTH_KEPT_CLAIMS_H

#include "base/json.h"

/* `columns`: an object by the platform's names (store.h, find_user_claims). `said`: what the login has said, an object
 * or NULL. *out: both, as an object of claims. What was said wins: it is of this login, by who has seen the user.
 * Whether an address or a number is verified is of the same source as that itself. A column whose value the claim can't
 * have (standard_claims.h; an empty text) counts as none. ERR_INTERNAL: it is too much. */
MUST_USE struct err kept_claims_join(struct arena *arena, const struct json *columns, const struct json *said,
                                     const struct json **out);

#endif
