/* net/fetch.h: calls to URLs that clients name for themselves: where their keys are (jwks_uri), which redirect URIs
 * belong together (sector_identifier_uri), who is told of a logout (backchannel_logout_uri). Whoever may register a
 * client could otherwise have us call what only we can reach (server-side request forgery, CWE-918).
 *
 * So: https only, in one form of URL (wire/https_url.h); only addresses that are for anybody, or that TOKEN_FETCH_ALLOW
 * has (net/guard.h); no redirects, proxies, cookies, credentials or content codings; 5 s in all and 64 KB. Blocking,
 * for workers only. Thread-safe. */
#ifndef NET_FETCH_H
#define NET_FETCH_H

#include "base/mem.h"

struct fetch;
struct settings;

enum {
    FETCH_TIME_MS = 5000, /* name look-up, connection, TLS and answer together */
    FETCH_SIZE_MAX = 64 * 1024,
    FETCH_LIFETIME_MIN_S = 60,
    FETCH_LIFETIME_S = 300, /* of an answer that says nothing of it */
    FETCH_LIFETIME_MAX_S = 24 * 3600,
};

/* By TOKEN_FETCH_ALLOW and TOKEN_FETCH_CA_FILE. libcurl is loaded at the first call, or at once when there is a file,
 * so that the start can tell what is wrong with it: ERR_INVALID_REQUEST, ERR_UNAVAILABLE. The settings must outlive it.
 */
MUST_USE struct err fetch_open(const struct settings *settings, struct fetch **out);
void fetch_close(struct fetch *fetch); /* NULL allowed */

struct fetched {
    struct str body;    /* in the arena */
    int64_t lifetime_s; /* by its Cache-Control, within the bounds above */
};

/* GET. Only 200 is an answer, and only with a Content-Type of JSON: application/json, for a key set also
 * application/jwk-set+json (RFC 7517 section 8.5). Whether it is JSON is the caller's to see. ERR_INVALID_REQUEST for
 * the URL, ERR_UNAVAILABLE for everything else; what failed is logged with the host, the sentence names none. The first
 * argument of fetch_jwks() is a struct fetch: so it can be given to what has keys fetched. */
MUST_USE struct err fetch_json(struct fetch *fetch, struct arena *arena, struct str url, struct fetched *out);
MUST_USE struct err fetch_jwks(void *fetch, struct arena *arena, struct str url, struct fetched *out);

/* POST of a form, once and never again. Any HTTP status is OK, and in *status; the answer's body is not read further
 * than FETCH_SIZE_MAX, and dropped. Errors as above. */
MUST_USE struct err fetch_post(struct fetch *fetch, struct arena *arena, struct str url, struct str form, int *status);

#endif
