/* jose/jws.h: compact JWS, RFC 7515 section 7.1. Pure functions on bytes. The algorithm is always the key's, never the
 * token's; `none` has no row in any table. OpenSSL contexts are kept per thread and key, since a fresh one costs 15 %
 * of an RS256 verification; they are freed when their thread ends. */
#ifndef JOSE_JWS_H
#define JOSE_JWS_H

#include "jose/jwk.h"

enum { JWS_HEADER_MAX = 2048, JWS_KID_MAX = 128 };

struct jws_parts {
    struct str header, payload, signature, signed_part; /* views into the token, still base64url */
};

/* Cuts `token` at its dots without decoding it. ERR_TOKEN_MALFORMED, with *out untouched, unless it has exactly
 * three parts and none is empty. Takes any bytes; the caller has bounded their number. Fuzzed: tests/fuzz/jws.c. */
MUST_USE struct err jws_split(struct str token, struct jws_parts *out);

/* The same for any JWS, not only for tokens: an empty payload is allowed (RFC 7515 section 5.1). */
MUST_USE struct err jws_split_any(struct str token, struct jws_parts *out);

struct jws_header {
    struct str alg, kid, typ; /* kid and typ empty when absent */
};

/* Decodes and parses the protected header. ERR_TOKEN_MALFORMED for what RFC 7515 section 4 and RFC 8725 refuse:
 * not base64url, not an object, duplicate members, alg/kid/typ not strings or alg absent, any `crit` or `b64` or `zip`,
 * kid above JWS_KID_MAX. `jwk`, `jku`, `x5u`, `x5c` are never looked at (RFC 8725 section 3.10). */
MUST_USE struct err jws_read_header(struct arena *arena, struct str header, struct jws_header *out);

/* The payload's bytes, decoded into the arena. ERR_TOKEN_MALFORMED when not strict base64url. */
MUST_USE struct err jws_read_payload(struct arena *arena, struct str payload, struct str *out);

/* Checks the signature over parts->signed_part with `key`, and that the header's alg is exactly the one the key is
 * pinned to. ERR_TOKEN_ALGORITHM, ERR_TOKEN_SIGNATURE, ERR_TOKEN_MALFORMED (signature not strict base64url). ES256
 * takes 64 bytes r||s with r and s in [1, n-1] (RFC 7518 section 3.4); PS256 a salt of 32 bytes (section 3.5). */
MUST_USE struct err jws_verify(const struct jwk *key, const struct jws_parts *parts, const struct jws_header *header);

/* Whether `signature`, raw bytes, is `key`'s over `input`; the algorithm is the one that the key is pinned to. */
MUST_USE bool jws_check(const struct jwk *key, struct str input, struct str signature);

/* Appends `base64url(header) "." base64url(payload)`, with header {"alg","typ","kid"}: what is to be signed. */
void jws_write_signing_input(struct buf *out, enum jwa alg, struct str typ, struct str kid, struct str payload);

/* Signs `input` with a private key: raw signature bytes (r||s for ES256) into `out` of JWK_SIGNATURE_MAX bytes.
 * ERR_INTERNAL when OpenSSL fails. */
MUST_USE struct err jws_sign(const struct jwk *key, struct str input, char *out, size_t *len);

/* Wipes every thread's copy of a private key that is about to be freed; waits for signatures that are being made with
 * it. jwk_free calls it. */
void jws_forget(const struct jwk *key);

/* SHA-256 of `in` into 32 bytes; the digest context is this thread's. */
void sha256(struct str in, unsigned char out[32]);
/* Of several texts, one after the other. */
void sha256_parts(const struct str *parts, size_t count, unsigned char out[32]);

#endif
