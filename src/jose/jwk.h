/* jose/jwk.h: keys to and from JWK (RFC 7517, RFC 7518 section 6, RFC 8037), thumbprints (RFC 7638), and the table of
 * algorithms. A key is pinned to exactly one algorithm when it is made (RFC 8725 section 3.1); no token can change it.
 */
#ifndef JOSE_JWK_H
#define JOSE_JWK_H

#include "base/json.h"

enum jwa { JWA_RS256 = 1, JWA_PS256, JWA_ES256, JWA_EDDSA };

enum { JWK_THUMBPRINT_LEN = 43, JWK_SIGNATURE_MAX = 1024 }; /* SHA-256 in base64url; RSA 8192 bits */

/* The JOSE name ("RS256"), static. */
const char *jwa_name(enum jwa alg);
/* By exact name; false for anything else, "none" in every spelling included. */
MUST_USE bool jwa_find(struct str name, enum jwa *out);

/* The name that an algorithm of others has here: RFC 9864 calls EdDSA over Ed25519 Ed25519. */
struct str jwa_usual_name(struct str name);

/* A key and what it is pinned to. Owned by its maker; then immutable and safe to share between threads. */
struct jwk {
    enum jwa alg;
    struct evp_pkey_st *pkey; /* OpenSSL's; public, or both halves */
    uint64_t serial;          /* never used twice in a process: names the key in per-thread contexts (jws.c) */
    bool has_private;
    char kid[JWK_THUMBPRINT_LEN + 1]; /* RFC 7638 thumbprint, unless jwk_set_kid gave another */
};

/* Takes `pkey` (freed with the jwk, and also on failure) and pins it to `alg`. ERR_INVALID_REQUEST when the key is not
 * of the algorithm's type, or too weak: RSA modulus below 2048 or above 8192 bits, exponent even or below 65537. */
MUST_USE struct err jwk_of_pkey(struct evp_pkey_st *pkey, enum jwa alg, bool has_private, struct jwk **out);

/* Gives a key that is not shared yet another kid than its thumbprint. False, with the kid unchanged, when `kid` is
 * empty, longer than a thumbprint, or has a character that is not of base64url. */
MUST_USE bool jwk_set_kid(struct jwk *key, struct str kid);

/* Parses a public JWK. The algorithm is its `alg` member, or without one the only one that its type leaves (EC P-256:
 * ES256; Ed25519: EdDSA; RSA: RS256). Refuses symmetric and private keys, unknown curves, points off the curve, `use`
 * other than sig, key_ops without verify, members of a wrong type, and an `alg` of another family. The kid of the
 * result is always the thumbprint; the JWK's own `kid` is the caller's to read. Fuzzed: tests/fuzz/jwk.c. */
MUST_USE struct err jwk_parse_public(struct arena *arena, struct str text, struct jwk **out);

/* Whether a parsed JWK has a member of a private or symmetric key (RFC 7518 sections 6.2.2, 6.3.2, 6.4.1). */
MUST_USE bool jwk_is_private(const struct json *jwk);

/* Makes a fresh pair: RSA 2048 (e = 65537), P-256 or Ed25519. */
MUST_USE struct err jwk_generate(enum jwa alg, struct jwk **out);

/* Private halves as unencrypted PKCS#8 PEM, for a key file. _read takes the PEM's bytes; the written text is the
 * caller's to wipe (secret_release). */
MUST_USE struct err jwk_read_private_pem(struct str pem, enum jwa alg, struct jwk **out);
MUST_USE struct err jwk_write_private_pem(const struct jwk *key, struct secret *out);

/* The same as DER: a private half as PKCS#8 (RFC 5958), which the caller wipes; a public one as SubjectPublicKeyInfo
 * (RFC 5280 section 4.1). Nothing may follow in `der`. */
MUST_USE struct err jwk_read_private_der(struct str der, enum jwa alg, struct jwk **out);
MUST_USE struct err jwk_read_public_der(struct str der, enum jwa alg, struct jwk **out);

/* Appends the public half as a JWK object with kid, kty, use, alg and the public members. */
void jwk_write_public(const struct jwk *key, struct buf *out);

/* Frees and wipes, the copies that threads made for signing included (jws.h); NULL allowed. */
void jwk_free(struct jwk *key);
static inline void jwk_freep(struct jwk **key)
{
    jwk_free(*key);
}

#endif
