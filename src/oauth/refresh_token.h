/* oauth/refresh_token.h: the text of a refresh token: base64url of
 *
 *   grant id (16 bytes) | generation (4, big endian) | secret (32 random) | tag (12)
 *
 * The grant's id says which row to read, the generation how many tokens of the family there were before. The tag is the
 * beginning of an HMAC of what stands before it, under a key that lies in the grant's row: so each token that was ever
 * made in the family is recognised without a row for each, and nobody can make up a used one to have a family revoked.
 * Pure functions on bytes. Fuzzed: tests/fuzz/family.c. */
#ifndef OAUTH_REFRESH_TOKEN_H
#define OAUTH_REFRESH_TOKEN_H

#include "base/mem.h"

enum {
    GRANT_ID_LEN = 16,
    REUSE_KEY_LEN = 32,
    REFRESH_TOKEN_BYTES = 64,
    REFRESH_TOKEN_LEN = 86, /* of the text */
};

/* A secret: refresh_token_wipe() when it is no longer needed. AUTO(refresh_token_wipe) does it. */
struct refresh_token {
    char text[REFRESH_TOKEN_LEN];
    unsigned char bytes[REFRESH_TOKEN_BYTES];
    unsigned char hash[32]; /* SHA-256 of the text */
    uint32_t generation;    /* 0: the first of its family */
};

/* A text that a client sent. False for whatever has not this form, of which each value has one spelling. It says
 * nothing about whether the token was ever made: refresh_token_is_of() does. */
MUST_USE bool refresh_token_read(struct str text, struct refresh_token *out);

/* The same from its bytes, when they were sealed. */
void refresh_token_of_bytes(const unsigned char bytes[REFRESH_TOKEN_BYTES], struct refresh_token *out);

/* A fresh one. ERR_INTERNAL when OpenSSL fails. */
MUST_USE struct err refresh_token_make(const unsigned char grant_id[GRANT_ID_LEN], uint32_t generation,
                                       const unsigned char reuse_key[REUSE_KEY_LEN], struct refresh_token *out);

/* Whether it was made with this key, in a time that doesn't depend on the tag; false also when OpenSSL fails. */
MUST_USE bool refresh_token_is_of(const struct refresh_token *token, const unsigned char reuse_key[REUSE_KEY_LEN]);

/* GRANT_ID_LEN bytes, of the token's own. */
static inline const unsigned char *refresh_token_grant_id(const struct refresh_token *token)
{
    return token->bytes;
}

static inline struct str refresh_token_text(const struct refresh_token *token)
{
    return (struct str){ token->text, REFRESH_TOKEN_LEN };
}

static inline struct str refresh_token_bytes(const struct refresh_token *token)
{
    return (struct str){ (const char *)token->bytes, REFRESH_TOKEN_BYTES };
}

void refresh_token_wipe(struct refresh_token *token);

#endif
