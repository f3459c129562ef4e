/* jose/seal.h: a short text sealed so that only the holder of a secret can open it: AES-256-GCM (NIST SP 800-38D) under
 * a key that HKDF-SHA-256 (RFC 5869) derives from the secret. Pure functions on bytes; the caller wipes keys. */
#ifndef JOSE_SEAL_H
#define JOSE_SEAL_H

#include "base/mem.h"

enum { SEAL_KEY_LEN = 32, SEAL_NONCE_LEN = 12, SEAL_TAG_LEN = 16, SEAL_ADDS = SEAL_NONCE_LEN + SEAL_TAG_LEN };
enum { SEAL_INFO_MAX = 64, SEAL_TEXT_MAX = 1 << 20 };

/* The key for what `info` (at most SEAL_INFO_MAX bytes) names, from a secret of at least 128 random bits; no salt.
 * False when OpenSSL fails. */
MUST_USE bool seal_key(struct str secret, struct str info, unsigned char key[SEAL_KEY_LEN]);

/* Writes nonce, encrypted text and tag to `out`: text.len + SEAL_ADDS bytes. `nonce`: random, never used with this key
 * before. What is opened must have the same `context`, which is not kept. False, with `out` undefined, when OpenSSL
 * fails or the text is longer than SEAL_TEXT_MAX. */
MUST_USE bool seal_write(const unsigned char key[SEAL_KEY_LEN], const unsigned char nonce[SEAL_NONCE_LEN],
                         struct str context, struct str text, unsigned char *out);

/* Writes sealed.len - SEAL_ADDS bytes to `out`. False, with nothing of the text left in `out`, unless `sealed` was made
 * with this key and context, and no bit of it was changed. */
MUST_USE bool seal_open(const unsigned char key[SEAL_KEY_LEN], struct str context, struct str sealed,
                        unsigned char *out);

#endif
