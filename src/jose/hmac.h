/* jose/hmac.h: HMAC-SHA-256 (RFC 2104, FIPS 198-1). A pure function on bytes. */
#ifndef JOSE_HMAC_H
#define JOSE_HMAC_H

#include "base/mem.h"

enum { HMAC_LEN = 32 };

/* The MAC of `message` under `key`, which may not be empty. `out` may be where the key lies. False, with `out`
 * undefined, when OpenSSL fails: then nothing may be compared with it. */
MUST_USE bool hmac_sha256(struct str key, struct str message, unsigned char out[HMAC_LEN]);

#endif
