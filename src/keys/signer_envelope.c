/* keys/signer_envelope.c: key pairs that KMS makes and wraps with a symmetric key; the wrapped private key is kept in
 * the store, and is unwrapped into memory when the key is loaded. Signing runs at the processor's speed.
 *
 * The encryption context binds a wrapped key to its issuer and kid: one that is moved to another row, or to another
 * service's store, can't be unwrapped. The context must be given when the pair is made, before its public key is known;
 * so the kid is random here, not a thumbprint. */
#include "base/random.h"
#include "jose/b64.h"
#include "keys/kms_keys.h"
#include "keys/pair.h"
#include "keys/signer.h"
#include "observe/log.h"
#include <stdlib.h>

enum { KID_BYTES = 16, WRAPPED_MAX = 6144 /* the most that KMS takes to decrypt */ };

struct signer_envelope {
    struct signer signer;
    const struct settings *settings;
    struct kms *kms;
    struct kms_watch watch;
};

static struct signer_envelope *signer_envelope_of(struct signer *signer)
{
    return (struct signer_envelope *)signer;
}

static void signer_envelope_secret_releasep(struct secret *secret)
{
    secret_release(secret);
}

/* --- loading ----------------------------------------------------------------------------------------------------- */

/* "envelope:<ARN>:<base64url>": an ARN has colons, base64url has none. */
static struct err signer_envelope_read_ref(struct arena *arena, struct str ref, struct str *arn, struct str *wrapped)
{
    const struct err malformed = { ERR_UNAVAILABLE, "the store's wrapped signing key is malformed" };
    const size_t before = pair_prefix(SIGNER_ENVELOPE).len;
    struct str rest = { ref.at + before, ref.len - before };
    const char *colon = rest.len > 0 ? memrchr(rest.at, ':', rest.len) : NULL;
    size_t len = 0;
    if (!colon || colon == rest.at || ref.len > 2 * WRAPPED_MAX)
        return malformed;
    *arn = (struct str){ rest.at, (size_t)(colon - rest.at) };
    struct str text = { colon + 1, rest.len - arn->len - 1 };
    char *to = arena_alloc(arena, text.len / 4 * 3 + 2);
    if (!b64url_decode(text, to, &len) || len == 0 || len > WRAPPED_MAX)
        return malformed;
    *wrapped = (struct str){ to, len };
    return OK;
}

static struct err signer_envelope_unwrap(struct signer_envelope *self, const struct key *key, enum jwa alg,
                                         struct str arn, struct str wrapped, struct jwk **out)
{
    AUTO(signer_envelope_secret_releasep) struct secret der = { 0 };
    const struct kms_context context = { str_of(self->settings->issuer), key->kid };
    struct err err = kms_decrypt(self->kms, arn, wrapped, context, &der);
    if (!err.code)
        err = jwk_read_private_der((struct str){ der.at, der.len }, alg, out);
    if (!err.code && jwk_set_kid(*out, key->kid))
        return OK;
    LOG(LOG_ERROR, "key_not_unwrapped", LOG_STR("kid", key->kid), LOG_STR("kms_key", arn),
        LOG_TEXT_("why", err.code ? err.why : "its kid is malformed"));
    return err.code == ERR_UNAVAILABLE ? err : failed(ERR_UNAVAILABLE, "the signing key can't be unwrapped");
}

/* Whether the key that wraps it may still be used: a disabled one is told from a lost connection. */
static struct err signer_envelope_check_wrapping(struct signer_envelope *self, struct arena *arena, struct str arn)
{
    struct kms_key about;
    struct err err = kms_describe(self->kms, arena, arn, &about);
    if (err.code == ERR_NOT_FOUND)
        return failed(ERR_UNAVAILABLE, "KMS no longer has the key that wraps the signing key");
    TRY(err);
    return kms_check_state(&about);
}

static struct err signer_envelope_load_key(struct signer_envelope *self, struct arena *arena, const struct key *key)
{
    AUTO(jwk_freep) struct jwk *jwk = NULL;
    struct str arn, wrapped;
    enum jwa alg;
    if (!jwa_find(key->alg, &alg))
        return failed(ERR_UNAVAILABLE, "the store names a signing key of an unknown algorithm");
    TRY(signer_envelope_read_ref(arena, key->private_ref, &arn, &wrapped));
    TRY(signer_envelope_check_wrapping(self, arena, arn));
    TRY(signer_envelope_unwrap(self, key, alg, arn, wrapped, &jwk));
    TRY(pair_test(arena, key, jwk));
    loaded_keep(self->signer.keys, jwk, arn);
    jwk = NULL;
    return OK;
}

static struct err signer_envelope_load(struct signer *signer, struct arena *arena, const struct key *key)
{
    struct signer_envelope *self = signer_envelope_of(signer);
    if (!pair_is_of(key, SIGNER_ENVELOPE))
        return failed(ERR_NOT_FOUND, "the store's signing key belongs to another signer: KMS has not wrapped it");
    if (!loaded_has(self->signer.keys, key->kid))
        TRY(signer_envelope_load_key(self, arena, key));
    if (key->state == KEY_ACTIVE)
        kms_watch_follow(&self->watch, key->kid);
    return OK;
}

/* --- making ------------------------------------------------------------------------------------------------------ */

static struct err signer_envelope_wrapping_key(struct signer_envelope *self, struct arena *arena, struct kms_key *out)
{
    struct err err = kms_describe(self->kms, arena, str_of(self->settings->kms_key_id), out);
    if (err.code == ERR_NOT_FOUND)
        return failed(ERR_INVALID_REQUEST, "KMS does not have the key that KMS_KEY_ID names");
    TRY(err);
    return kms_check_state(out);
}

static struct str signer_envelope_random_kid(struct arena *arena)
{
    unsigned char bytes[KID_BYTES];
    struct buf kid;
    random_bytes(bytes, sizeof bytes);
    buf_init(&kid, arena, 32, 32);
    b64url_add(&kid, (struct str){ (const char *)bytes, sizeof bytes });
    return buf_str(&kid);
}

static struct str signer_envelope_ref_of(struct arena *arena, struct str arn, struct str wrapped)
{
    struct buf ref;
    buf_init(&ref, arena, 4096, (size_t)2 * WRAPPED_MAX);
    buf_add(&ref, pair_prefix(SIGNER_ENVELOPE));
    buf_add(&ref, arn);
    buf_add_char(&ref, ':');
    b64url_add(&ref, wrapped);
    return buf_str(&ref);
}

static struct err signer_envelope_create(struct signer *signer, struct arena *arena, enum jwa alg, struct key *out)
{
    struct signer_envelope *self = signer_envelope_of(signer);
    AUTO(jwk_freep) struct jwk *public = NULL;
    const struct kms_context context = { str_of(self->settings->issuer), signer_envelope_random_kid(arena) };
    struct kms_key wrapping;
    struct str wrapped, spki;
    TRY(signer_envelope_wrapping_key(self, arena, &wrapping));
    TRY(kms_generate_pair(self->kms, arena, wrapping.arn, kms_spec_for(alg), context, &wrapped, &spki));
    struct err err = jwk_read_public_der(spki, alg, &public);
    if (err.code || !jwk_set_kid(public, context.kid) || wrapped.len > WRAPPED_MAX)
        return failed(ERR_UNAVAILABLE, err.code ? err.why : "KMS gave a wrapped key that is too long");
    pair_describe(arena, public, out);
    out->private_ref = signer_envelope_ref_of(arena, wrapping.arn, wrapped);
    TRY(signer_envelope_load_key(self, arena, out));
    LOG(LOG_INFO, "key_created", LOG_STR("kid", out->kid), LOG_STR("alg", out->alg), LOG_STR("kms_key", wrapping.arn));
    return OK;
}

/* --- the rest ---------------------------------------------------------------------------------------------------- */

/* The wrapped half may stay in the store: only KMS opens it. */
static struct err signer_envelope_dispose(struct signer *signer, struct arena *arena, const struct key *key)
{
    (void)arena;
    loaded_unload(signer, key->kid);
    return pair_is_of(key, SIGNER_ENVELOPE) ? OK : pair_leave(key);
}

/* Keys in memory go on signing when KMS is away; but a wrapping key that is disabled fails the next start, so that is
 * said now. */
static struct err signer_envelope_check(struct signer *signer)
{
    struct signer_envelope *self = signer_envelope_of(signer);
    return kms_watch_check(&self->watch, self->signer.keys, false);
}

static void signer_envelope_close(struct signer *signer)
{
    struct signer_envelope *self = signer_envelope_of(signer);
    loaded_free(self->signer.keys);
    kms_watch_close(&self->watch);
    free(self);
}

static const struct signer_ops envelope_ops = {
    .name = "envelope",
    .create = signer_envelope_create,
    .load = signer_envelope_load,
    .sign = loaded_sign,
    .unload = loaded_unload,
    .dispose = signer_envelope_dispose,
    .check = signer_envelope_check,
    .wait_s = loaded_wait_s,
    .close = signer_envelope_close,
};

struct err signer_envelope_open(const struct settings *settings, struct kms *kms, struct signer **out)
{
    struct signer_envelope *self = mem_alloc(sizeof *self);
    *self = (struct signer_envelope){ .signer = { &envelope_ops, loaded_new() }, .settings = settings, .kms = kms };
    kms_watch_open(&self->watch, kms);
    *out = &self->signer;
    return OK;
}
