/* oauth/sector.h: sector_identifier_uri: where a client says which redirect URIs share its pairwise subjects (OpenID
 * Connect Core section 8.1, OpenID Connect Dynamic Client Registration 1.0 section 5). Fetched through the guard of
 * net/fetch.h when a client is registered or changed, and never after that. */
#ifndef OAUTH_SECTOR_H
#define OAUTH_SECTOR_H

#include "service/client_metadata.h"

struct service;

enum { SECTORS_MAX = 4 }; /* fetched at once: workers are for others too */

/* Fetches it, and compares. Blocking, up to FETCH_TIME_MS. Also of a command, which has nothing of this room open.
 * ERR_CLIENT_METADATA with a sentence: it can't be fetched, or is not fit. ERR_UNAVAILABLE: SECTORS_MAX are being
 * fetched already, or, as ERR_INVALID_REQUEST, the settings of fetching are of no use to a command. */
MUST_USE struct err sector_check(const struct service *service, struct arena *arena,
                                 const struct client_metadata *registered);

/* What is wrong with what stands there, for a client with these redirect URIs; NULL: nothing. Static. It must be a JSON
 * array of strings, and have each redirect URI, character by character. Takes any bytes. Fuzzed: tests/fuzz/sector.c.
 */
const char *sector_fault_of(struct arena *arena, struct str text, const struct client_texts *redirect_uris);

#endif
