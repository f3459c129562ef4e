/* keys/pair.c: a key of the store and its two halves. */
#include "keys/pair.h"
#include "observe/log.h"

struct str pair_prefix(enum signer_kind kind)
{
    static const char *const prefixes[] = {
        [SIGNER_AUTO] = "", [SIGNER_LOCAL] = "file:", [SIGNER_KMS] = "kms:", [SIGNER_ENVELOPE] = "envelope:"
    };
    return str_of(prefixes[kind]);
}

bool pair_is_of(const struct key *row, enum signer_kind kind)
{
    return str_has_prefix(row->private_ref, pair_prefix(kind));
}

/* An envelope key has the kid that its JWK says; the wrapped private half is bound to it by its encryption context. */
static struct err pair_name_key(struct arena *arena, const struct key *row, struct jwk *key)
{
    const struct json *jwk;
    if (!pair_is_of(row, SIGNER_ENVELOPE))
        return OK;
    TRY(json_parse(arena, row->public_jwk, &jwk));
    const struct json *kid = json_member(jwk, STR("kid"));
    if (!kid || kid->kind != JSON_STRING || !jwk_set_kid(key, kid->text))
        return failed(ERR_UNAVAILABLE, "its JWK has no usable kid");
    return OK;
}

struct err pair_read_public(struct arena *arena, const struct key *row, struct jwk **out)
{
    AUTO(jwk_freep) struct jwk *key = NULL;
    struct err err = jwk_parse_public(arena, row->public_jwk, &key);
    if (!err.code)
        err = pair_name_key(arena, row, key);
    if (err.code || !str_eq(str_of(key->kid), row->kid) || !str_eq(str_of(jwa_name(key->alg)), row->alg)) {
        LOG(LOG_ERROR, "key_unusable", LOG_STR("kid", row->kid),
            LOG_TEXT_("why", err.code ? err.why : "its JWK is not the key that its row names"));
        return failed(ERR_UNAVAILABLE, "the store holds a signing key that can't be used");
    }
    *out = key;
    key = NULL;
    return OK;
}

void pair_describe(struct arena *arena, const struct jwk *key, struct key *out)
{
    struct buf public;
    buf_init(&public, arena, 512, 4096);
    jwk_write_public(key, &public);
    out->kid = arena_copy(arena, str_of(key->kid));
    out->alg = str_of(jwa_name(key->alg));
    out->public_jwk = buf_str(&public);
}

struct str pair_test_message(struct arena *arena, const struct jwk *public)
{
    struct buf token;
    buf_init(&token, arena, 512, 4096);
    jws_write_signing_input(&token, public->alg, STR("JWT"), str_of(public->kid), STR("{}"));
    return buf_str(&token);
}

struct err pair_check(const struct jwk *public, struct str message, struct str signature)
{
    if (jws_check(public, message, signature))
        return OK;
    LOG(LOG_ERROR, "key_pair_differs", LOG_TEXT_("kid", public->kid));
    return failed(ERR_UNAVAILABLE, "the private key that signs does not belong to the published key");
}

struct err pair_test(struct arena *arena, const struct key *row, const struct jwk *private)
{
    AUTO(jwk_freep) struct jwk *public = NULL;
    char signature[JWK_SIGNATURE_MAX];
    size_t len = 0;
    TRY(pair_read_public(arena, row, &public));
    if (public->alg != private->alg)
        return failed(ERR_UNAVAILABLE, "a private key has another algorithm than its public key");
    struct str message = pair_test_message(arena, public);
    TRY(jws_sign(private, message, signature, &len));
    return pair_check(public, message, (struct str){ signature, len });
}

struct err pair_leave(const struct key *key)
{
    LOG(LOG_WARN, "key_left_to_its_signer", LOG_STR("kid", key->kid),
        LOG_TEXT_("why", "another kind of signer made it: remove its private key yourself"));
    return OK;
}
