/* service/client_body.h: a client as a JSON object, which is what both fronts take and give: client_id, client_name,
 * scope (space-separated), is_active, access_token_ttl, refresh_token_ttl and id_token_ttl (s; absent: the service's),
 * and what it has registered (client_metadata.h). These are only given: client_type, created_at, and old_secret_until,
 * until when the secret before the present one is good, or was. */
#ifndef SERVICE_CLIENT_BODY_H
#define SERVICE_CLIENT_BODY_H

#include "base/json.h"

struct client;

/* What a client's id and scopes may be: RFC 6749 appendix A, and at most 255 and 2048 bytes. */
bool client_body_id_is_fit(struct str id);
bool client_body_scopes_are_fit(struct str scopes);

/* A new client, all but its secret; without a client_id it gets one. ERR_INVALID_REQUEST, ERR_REDIRECT_URI,
 * ERR_CLIENT_METADATA. */
MUST_USE struct err client_body_describe(struct arena *arena, const struct json *wanted, int64_t now_s,
                                         struct client *out);
/* Changes what `patch` names (RFC 7396): a member that is null goes, or gets its default; with old_secret_until null
 * the old secret is good no longer. A client that authenticates with a key from now on loses its secrets. Whether it is
 * public can't be changed. The same errors. */
MUST_USE struct err client_body_apply(struct arena *arena, const struct json *patch, struct client *client);

/* Whether it authenticates with a secret. */
bool client_body_has_secret(struct arena *arena, const struct client *client);
void client_body_drop_old_secret(struct client *client);

/* Appends the object; with the secret, which is shown once, unless it is NULL or "". */
void client_body_write(struct arena *arena, const struct client *client, const char *secret, struct buf *out);

#endif
