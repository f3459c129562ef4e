/* oauth/refresh_token.c: the parts of a refresh token, in their order. */
#include "oauth/refresh_token.h"
#include "base/random.h"
#include "jose/b64.h"
#include "jose/hmac.h"
#include "jose/jws.h"

enum { GENERATION_LEN = 4, SECRET_LEN = 32, TAG_LEN = 12, TAGGED_LEN = GRANT_ID_LEN + GENERATION_LEN + SECRET_LEN };
_Static_assert(TAGGED_LEN + TAG_LEN == REFRESH_TOKEN_BYTES, "the parts of a refresh token");

/* What follows from the bytes: the number, the text and its hash. */
static void refresh_token_finish(struct refresh_token *token)
{
    const unsigned char *at = token->bytes + GRANT_ID_LEN;
    token->generation = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
    b64url_encode(refresh_token_bytes(token), token->text);
    sha256(refresh_token_text(token), token->hash);
}

bool refresh_token_read(struct str text, struct refresh_token *out)
{
    char bytes[REFRESH_TOKEN_LEN / 4 * 3 + 2]; /* as b64url_decode() asks */
    size_t len = 0;
    bool good = text.len == REFRESH_TOKEN_LEN && b64url_decode(text, bytes, &len) && len == REFRESH_TOKEN_BYTES;
    if (good)
        refresh_token_of_bytes((const unsigned char *)bytes, out);
    mem_wipe(bytes, sizeof bytes);
    return good;
}

void refresh_token_of_bytes(const unsigned char bytes[REFRESH_TOKEN_BYTES], struct refresh_token *out)
{
    memcpy(out->bytes, bytes, REFRESH_TOKEN_BYTES);
    refresh_token_finish(out);
}

/* The whole HMAC, of which the first TAG_LEN bytes are the tag. */
static bool refresh_token_mac(const unsigned char bytes[TAGGED_LEN], const unsigned char reuse_key[REUSE_KEY_LEN],
                              unsigned char mac[HMAC_LEN])
{
    return hmac_sha256((struct str){ (const char *)reuse_key, REUSE_KEY_LEN },
                       (struct str){ (const char *)bytes, TAGGED_LEN }, mac);
}

struct err refresh_token_make(const unsigned char grant_id[GRANT_ID_LEN], uint32_t generation,
                              const unsigned char reuse_key[REUSE_KEY_LEN], struct refresh_token *out)
{
    unsigned char bytes[REFRESH_TOKEN_BYTES], mac[HMAC_LEN] = { 0 };
    memcpy(bytes, grant_id, GRANT_ID_LEN);
    for (size_t i = 0; i < GENERATION_LEN; i++)
        bytes[GRANT_ID_LEN + i] = (unsigned char)(generation >> (24 - 8 * i));
    random_bytes(bytes + GRANT_ID_LEN + GENERATION_LEN, SECRET_LEN);
    const bool good = refresh_token_mac(bytes, reuse_key, mac);
    memcpy(bytes + TAGGED_LEN, mac, TAG_LEN);
    if (good)
        refresh_token_of_bytes(bytes, out);
    mem_wipe(bytes, sizeof bytes);
    return good ? OK : failed(ERR_INTERNAL, "a refresh token could not be made");
}

bool refresh_token_is_of(const struct refresh_token *token, const unsigned char reuse_key[REUSE_KEY_LEN])
{
    unsigned char mac[HMAC_LEN];
    return refresh_token_mac(token->bytes, reuse_key, mac) &&
           str_eq_secret((struct str){ (const char *)mac, TAG_LEN },
                         (struct str){ (const char *)token->bytes + TAGGED_LEN, TAG_LEN });
}

void refresh_token_wipe(struct refresh_token *token)
{
    mem_wipe(token, sizeof *token);
}
