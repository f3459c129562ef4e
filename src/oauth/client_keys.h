/* oauth/client_keys.h: the keys with which clients sign (assertions, request objects): registered with the client
 * (`jwks`), or where the client publishes them (`jwks_uri`; RFC 7591 section 2, OpenID Connect Core section 10.1).
 *
 * Sets are kept in memory, of 1,024 clients at most, for as long as their answer's headers allow (net/fetch.h). One
 * that is too old is fetched again by the next caller, while others go on with it; if it can't be fetched, it stays in
 * use for up to a day. A signature that fits none of the keys has the set fetched again, so a client can change its
 * keys at any time, but no client's is fetched more often than every 30 s, whatever the outcome was: neither invented
 * kids nor a client's dead server cost more. One thread fetches for a client at a time, and others wait for it.
 *
 * Blocking, up to FETCH_TIME_MS, when it must fetch; for workers only. Thread-safe. */
#ifndef OAUTH_CLIENT_KEYS_H
#define OAUTH_CLIENT_KEYS_H

#include "jose/jws.h"

struct client_keys;
struct fetched;

enum {
    CLIENT_KEYS_MAX = 1024,                     /* clients in memory */
    CLIENT_KEYS_COOL_MS = 30 * 1000,            /* between two fetches for a client */
    CLIENT_KEYS_STALE_MS = 24 * 60 * 60 * 1000, /* how long after its fetch a set may be used at most */
    CLIENT_KEYS_TRIED_MAX = 4,                  /* keys that one signature is compared with */
};

/* A call to a jwks_uri: fetch_jwks() with its struct fetch (net/fetch.h). */
struct client_keys_way {
    struct err (*fetch)(void *arg, struct arena *arena, struct str url, struct fetched *out);
    void *arg;
};

/* `waiting_max`: how many callers may wait for fetches at once, those who fetch included; a further one is told to come
 * again (ERR_UNAVAILABLE), so that slow servers of clients can't hold all workers. */
struct client_keys *client_keys_new(struct client_keys_way way, size_t waiting_max);
void client_keys_free(struct client_keys *keys); /* NULL allowed */

/* Where a client's keys are: as it is registered. With `jwks` (a JWK Set) the other one is not looked at; neither: the
 * client has no keys. */
struct client_keys_source {
    struct str client_id, jwks, jwks_uri;
};

/* Whether one of the client's keys made the signature. A key is asked when it is pinned to the header's alg
 * (jose/jwk.h; never `none` or HMAC), and its kid is the header's, or one of the two has none; at most
 * CLIENT_KEYS_TRIED_MAX of them. `now_ms` by the monotonic clock (base/clock.h). ERR_TOKEN_ALGORITHM: the alg is none
 * of ours; ERR_TOKEN_KEY: there is no such key, or no set can be had, and the sentence says which; ERR_TOKEN_SIGNATURE,
 * ERR_TOKEN_MALFORMED; ERR_UNAVAILABLE: too many wait. */
MUST_USE struct err client_keys_verify(struct client_keys *keys, struct arena *arena,
                                       const struct client_keys_source *source, const struct jws_parts *parts,
                                       const struct jws_header *header, int64_t now_ms);

#endif
