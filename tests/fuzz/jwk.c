/* fuzz/jwk.c: a key that is taken reads back from its own public half: the same key, under the same thumbprint. */
#include "fuzz.h"
#include "jose/jwk.h"
#include <openssl/evp.h>

static struct str public_text(struct arena *arena, const struct jwk *key)
{
    struct buf buf;
    buf_init(&buf, arena, 512, 8192);
    jwk_write_public(key, &buf);
    PROMISE(!buf.overflowed);
    return buf_str(&buf);
}

static void check_key(struct arena *arena, const struct jwk *key)
{
    AUTO(jwk_freep) struct jwk *again = NULL;
    const struct json *json;
    PROMISE(key->alg >= JWA_RS256 && key->alg <= JWA_EDDSA && !key->has_private);
    PROMISE(strlen(key->kid) == JWK_THUMBPRINT_LEN);
    int bits = EVP_PKEY_get_bits(key->pkey);
    PROMISE(key->alg == JWA_RS256 || key->alg == JWA_PS256 ? bits >= 2048 && bits <= 8192 : bits >= 253 && bits <= 256);
    struct str text = public_text(arena, key);
    PROMISE(!json_parse(arena, text, &json).code);
    PROMISE(str_eq(json_member(json, STR("kid"))->text, str_of(key->kid)));
    PROMISE(!jwk_parse_public(arena, text, &again).code);
    PROMISE(again->alg == key->alg && strcmp(again->kid, key->kid) == 0 && again->serial != key->serial);
    PROMISE(EVP_PKEY_eq(again->pkey, key->pkey) == 1);
    PROMISE(str_eq(public_text(arena, again), text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    AUTO(jwk_freep) struct jwk *key = NULL;
    arena_init(&arena, NULL, 0);
    struct err err = jwk_parse_public(&arena, input_of(data, size), &key);
    PROMISE((err.code != ERR_OK) == (key == NULL));
    PROMISE(!err.code || (err.code == ERR_INVALID_REQUEST && err.why));
    if (key)
        check_key(&arena, key);
    arena_release(&arena);
    return 0;
}
