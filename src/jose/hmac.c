/* jose/hmac.c: one context for all, copied for each MAC. */
#include "jose/hmac.h"
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>

/* Without a key. Made once, since finding HMAC and SHA-256 among OpenSSL's algorithms costs more than using them. */
static EVP_MAC_CTX *keyless;
static pthread_once_t keyless_once = PTHREAD_ONCE_INIT;

static void hmac_make_keyless(void)
{
    char digest[] = "SHA256";
    const OSSL_PARAM params[] = { OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                                  OSSL_PARAM_construct_end() };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    keyless = mac ? EVP_MAC_CTX_new(mac) : NULL;
    EVP_MAC_free(mac); /* the context holds it */
    if (!keyless || EVP_MAC_CTX_set_params(keyless, params) != 1)
        abort();
}

bool hmac_sha256(struct str key, struct str message, unsigned char out[HMAC_LEN])
{
    size_t len = 0;
    pthread_once(&keyless_once, hmac_make_keyless);
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(keyless);
    bool good = ctx && EVP_MAC_init(ctx, (const unsigned char *)key.at, key.len, NULL) == 1 &&
                EVP_MAC_update(ctx, (const unsigned char *)message.at, message.len) == 1 &&
                EVP_MAC_final(ctx, out, &len, HMAC_LEN) == 1 && len == HMAC_LEN;
    EVP_MAC_CTX_free(ctx); /* wipes the key */
    return good;
}
