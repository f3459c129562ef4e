/* jose/half_hash.h: what at_hash and c_hash of an id token hold (OpenID Connect Core sections 3.1.3.6 and 3.3.2.11). */
#ifndef JOSE_HALF_HASH_H
#define JOSE_HALF_HASH_H

#include "jose/jwk.h"

enum { HALF_HASH_MAX = 43 };

/* The left half of the hash of an access token or a code, in base64url, in `to`; the hash is the one of the algorithm
 * that signs the id token: SHA-256, and SHA-512 for Ed25519 (RFC 8032 section 5.1). Returns a view of `to`. */
struct str half_hash(enum jwa alg, struct str value, char to[HALF_HASH_MAX]);

#endif
