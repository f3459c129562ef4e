/* service/pairwise.h: what a client knows a user by (OpenID Connect Core section 8). With the subject_type "public" it
 * is the user's subject, as everywhere here. With "pairwise" it is an identifier that only the clients of one sector
 * have, so that others can't find out by it that a user is the same; and what it knows a session by (`sid`) is another.
 * Both are computed under a secret (TOKEN_PAIRWISE_SALT), and none is kept with a user. Without the secret there are
 * none: then such a client is told of no user at all.
 *
 * It is told so by id tokens, UserInfo and logout tokens, and tells us so itself by id_token_hint and by `sub` in
 * `claims`. Access and refresh tokens name user and session as they are: they are for resource servers, which must know
 * whom they serve, and rules of revocation go by that; a client must not look into them (RFC 9068 section 6). */
#ifndef SERVICE_PAIRWISE_H
#define SERVICE_PAIRWISE_H

#include "service/client_metadata.h"

struct settings;

enum { PAIRWISE_LEN = 43 };

/* Whether there is a secret. */
bool pairwise_is_offered(const struct settings *settings);

/* The host that a client's sector is called by: of its sector_identifier_uri, or else of all its redirect URIs (section
 * 8.1), as it is spelled there. NULL; or why there is none, and *host is untouched. Static. */
const char *pairwise_find_sector(const struct client_metadata *registered, struct str *host);

/* Whether the client can be told of users: ERR_UNAUTHORIZED_CLIENT. */
MUST_USE struct err pairwise_check(const struct settings *settings, const struct client_metadata *registered);

/* The sector's name, the host in lower case: in the arena; of a public client "". It is kept with what users grant,
 * since a client must not see another sub come of the same grant. ERR_UNAUTHORIZED_CLIENT. */
MUST_USE struct err pairwise_sector(const struct settings *settings, struct arena *arena,
                                    const struct client_metadata *registered, struct str *out);

/* What the client knows a user and a session by: PAIRWISE_LEN characters in the arena, or, of a public client, *subject
 * and *sid themselves. base64url(HMAC-SHA-256(secret, "sub" LF host LF subject)), with the host in lower case, and
 * "sid" for a session. ERR_UNAUTHORIZED_CLIENT, ERR_INTERNAL. */
MUST_USE struct err pairwise_subject(const struct settings *settings, struct arena *arena,
                                     const struct client_metadata *registered, struct str subject, struct str *out);
MUST_USE struct err pairwise_session(const struct settings *settings, struct arena *arena,
                                     const struct client_metadata *registered, struct str sid, struct str *out);

/* Whether `known` is what the client knows that user, or that session, by. The subject itself is not, unless the client
 * is public: else one that suspects whom it has before it could ask. */
bool pairwise_is_subject(const struct settings *settings, struct arena *arena, const struct client_metadata *registered,
                         struct str known, struct str subject);
bool pairwise_is_session(const struct settings *settings, struct arena *arena, const struct client_metadata *registered,
                         struct str known, struct str sid);

#endif
