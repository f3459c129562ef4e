/* jose/half_hash.c: at_hash and c_hash. */
#include "jose/half_hash.h"
#include "jose/b64.h"
#include "jose/jws.h"
#include <openssl/evp.h>
#include <stdlib.h>

enum { SHA256_LEN = 32, SHA512_LEN = 64 };

static size_t half_hash_digest(enum jwa alg, struct str value, unsigned char out[SHA512_LEN])
{
    if (alg != JWA_EDDSA) {
        sha256(value, out);
        return SHA256_LEN;
    }
    if (EVP_Digest(value.at, value.len, out, NULL, EVP_sha512(), NULL) != 1)
        abort(); /* as in sha256(): nothing may be made from a hash that is not there */
    return SHA512_LEN;
}

struct str half_hash(enum jwa alg, struct str value, char to[HALF_HASH_MAX])
{
    unsigned char digest[SHA512_LEN];
    const struct str half = { (const char *)digest, half_hash_digest(alg, value, digest) / 2 };
    b64url_encode(half, to);
    return (struct str){ to, b64url_encoded_len(half.len) };
}
