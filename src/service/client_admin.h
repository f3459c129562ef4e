/* service/client_admin.h: clients as an administrator sees and changes them, whichever front asks. What a change says
 * is durable when it returns. This process acts on it at once; others see it within seconds, or after
 * TOKEN_CLIENT_CACHE_TTL at most, where they share a database. Everything here may wait for the store, and passes
 * ERR_UNAVAILABLE on. Of the service, the settings and the store must be there, and check_sector for a client that has
 * a sector_identifier_uri: it is fetched when such a client is added, and when its redirect URIs, that URI or its
 * subject_type change.
 *
 * What comes in and goes out are JSON objects (client_body.h); they are appended to `out`, a secret in them when it was
 * made. `caller` bounds what comes of a change (authority.h): it must be able to pass on the scopes that a client gets,
 * and those that it has already: else ERR_INVALID_SCOPE, ERR_INSUFFICIENT_SCOPE. */
#ifndef SERVICE_CLIENT_ADMIN_H
#define SERVICE_CLIENT_ADMIN_H

#include "base/json.h"

struct caller;
struct service;

enum { CLIENT_OVERLAP_MAX_S = 90 * 24 * 3600 };

/* Adds the client that `wanted` describes, with a secret if it authenticates with one; *id is in the arena.
 * ERR_INVALID_REQUEST, ERR_REDIRECT_URI, ERR_CLIENT_METADATA; ERR_CONFLICT: the id is taken. */
MUST_USE struct err client_admin_add(struct service *service, struct arena *arena, const struct caller *caller,
                                     const struct json *wanted, int64_t now_s, struct str *id, struct buf *out);
/* ERR_NOT_FOUND. */
MUST_USE struct err client_admin_show(struct service *service, struct arena *arena, struct str id, struct buf *out);
/* Shows at most `max` whose id comes after `after` (""; from the first one on), ordered by id, to `each`, until it
 * wants no more. */
typedef bool client_admin_each(void *context, struct str id, struct str object);
MUST_USE struct err client_admin_list(struct service *service, struct arena *arena, struct str after, size_t max,
                                      client_admin_each *each, void *context);
/* Changes what `patch` names. ERR_NOT_FOUND, and as client_admin_add. */
MUST_USE struct err client_admin_change(struct service *service, struct arena *arena, const struct caller *caller,
                                        struct str id, const struct json *patch, struct buf *out);
/* Gives a client another secret in place of the one it has, which stays good for `overlap_s` more seconds; one before
 * that ends now. ERR_NOT_FOUND: there is no such client, or it authenticates without a secret. */
MUST_USE struct err client_admin_renew_secret(struct service *service, struct arena *arena, const struct caller *caller,
                                              struct str id, int64_t overlap_s, int64_t now_s, struct buf *out);
/* Its tokens stay good until they expire: a rule revokes them. ERR_NOT_FOUND; ERR_CONFLICT: something in the database
 * refers to it. */
MUST_USE struct err client_admin_delete(struct service *service, struct arena *arena, const struct caller *caller,
                                        struct str id);

#endif
