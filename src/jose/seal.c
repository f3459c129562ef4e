/* jose/seal.c: the key, then both ways of the cipher. */
#include "jose/seal.h"
#include "jose/hmac.h"
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>

/* One block of output is as long as the key, so RFC 5869 section 2.3 takes one step. */
_Static_assert((int)SEAL_KEY_LEN == (int)HMAC_LEN, "HKDF-Expand makes one block");

bool seal_key(struct str secret, struct str info, unsigned char key[SEAL_KEY_LEN])
{
    static const char no_salt[HMAC_LEN]; /* section 2.2 */
    unsigned char extracted[HMAC_LEN];
    char step[SEAL_INFO_MAX + 1];
    if (info.len > SEAL_INFO_MAX)
        return false;
    memcpy(step, info.at, info.len);
    step[info.len] = 1;
    bool good = hmac_sha256((struct str){ no_salt, sizeof no_salt }, secret, extracted) &&
                hmac_sha256((struct str){ (const char *)extracted, sizeof extracted },
                            (struct str){ step, info.len + 1 }, key);
    mem_wipe(extracted, sizeof extracted);
    return good;
}

/* --- the cipher -------------------------------------------------------------------------------------------------- */

static EVP_CIPHER *aes_gcm; /* found once, as in hmac.c */
static pthread_once_t aes_gcm_once = PTHREAD_ONCE_INIT;

static void seal_fetch_cipher(void)
{
    aes_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    if (!aes_gcm)
        abort();
}

/* A context with key, nonce and the associated data `context`; NULL when OpenSSL fails. EVP_CIPHER_CTX_free wipes it.
 */
static EVP_CIPHER_CTX *seal_begin(bool encrypts, const unsigned char *key, const unsigned char *nonce,
                                  struct str context)
{
    int len = 0;
    pthread_once(&aes_gcm_once, seal_fetch_cipher);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (ctx && context.len <= SEAL_TEXT_MAX && EVP_CipherInit_ex2(ctx, aes_gcm, key, nonce, encrypts, NULL) == 1 &&
        EVP_CipherUpdate(ctx, NULL, &len, (const unsigned char *)context.at, (int)context.len) == 1)
        return ctx;
    EVP_CIPHER_CTX_free(ctx);
    return NULL;
}

bool seal_write(const unsigned char key[SEAL_KEY_LEN], const unsigned char nonce[SEAL_NONCE_LEN], struct str context,
                struct str text, unsigned char *out)
{
    int len = 0, last = 0;
    unsigned char *encrypted = out + SEAL_NONCE_LEN;
    if (text.len > SEAL_TEXT_MAX)
        return false;
    EVP_CIPHER_CTX *ctx = seal_begin(true, key, nonce, context);
    memcpy(out, nonce, SEAL_NONCE_LEN);
    bool good = ctx && EVP_CipherUpdate(ctx, encrypted, &len, (const unsigned char *)text.at, (int)text.len) == 1 &&
                EVP_CipherFinal_ex(ctx, encrypted + len, &last) == 1 &&
                EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, SEAL_TAG_LEN, encrypted + text.len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    return good && (size_t)len + (size_t)last == text.len;
}

bool seal_open(const unsigned char key[SEAL_KEY_LEN], struct str context, struct str sealed, unsigned char *out)
{
    int len = 0, last = 0;
    if (sealed.len < SEAL_ADDS || sealed.len - SEAL_ADDS > SEAL_TEXT_MAX)
        return false;
    const size_t text_len = sealed.len - SEAL_ADDS;
    const unsigned char *nonce = (const unsigned char *)sealed.at, *encrypted = nonce + SEAL_NONCE_LEN;
    unsigned char tag[SEAL_TAG_LEN]; /* a copy, since OpenSSL takes a pointer that is not const */
    memcpy(tag, encrypted + text_len, sizeof tag);
    EVP_CIPHER_CTX *ctx = seal_begin(false, key, nonce, context);
    bool good = ctx && EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, SEAL_TAG_LEN, tag) == 1 &&
                EVP_CipherUpdate(ctx, out, &len, encrypted, (int)text_len) == 1 &&
                EVP_CipherFinal_ex(ctx, out + len, &last) == 1; /* where the tag is compared */
    EVP_CIPHER_CTX_free(ctx);
    if (!good)
        mem_wipe(out, text_len);
    return good;
}
