/* keys/signer_kms.c: private keys that never leave AWS KMS; each token is one Sign call.
 *
 * A rotation that was cut off between KMS and the store, or that another instance overtook, leaves a KMS key that no
 * row names. Its tag says after which key it was made: so it is known to be this store's, and is put to use before one
 * more is made, by whichever rotation comes next. */
#include "keys/kms_keys.h"
#include "base/clock.h"
#include "keys/pair.h"
#include "keys/signer.h"
#include "observe/log.h"
#include <stdlib.h>

enum {
    AWAIT_TRIES = 20, /* a key that was just made may not be usable, or not even known, at once */
    AWAIT_MS = 250,
    PAST_MAX = 256, /* past keys looked at; older ones are disabled in KMS, and so taken no more */
};

static const struct str successor_tag = STR_INIT("token-service-successor-of");

struct signer_kms {
    struct signer signer;
    const struct settings *settings;
    struct kms *kms;
    struct store *store;
    struct kms_watch watch;
};

static struct signer_kms *signer_kms_of(struct signer *signer)
{
    return (struct signer_kms *)signer;
}

static struct str signer_kms_arn_of(const struct key *key)
{
    const size_t before = pair_prefix(SIGNER_KMS).len;
    return (struct str){ key->private_ref.at + before, key->private_ref.len - before };
}

static bool signer_kms_is_ours(const struct key *key)
{
    return pair_is_of(key, SIGNER_KMS);
}

/* --- loading ----------------------------------------------------------------------------------------------------- */

/* "alias/x", and "arn:aws:kms:…:alias/x"; *name gets "alias/x". */
static bool signer_kms_is_alias(struct str id, struct str *name)
{
    const char *colon = id.len > 0 ? memrchr(id.at, ':', id.len) : NULL;
    size_t before = colon ? (size_t)(colon - id.at) + 1 : 0;
    *name = (struct str){ id.at + before, id.len - before };
    return str_has_prefix(*name, STR("alias/"));
}

/* The alias names the active key, for people and for a first start elsewhere. Nothing here signs by it, so that no
 * failure to move it stops a token. */
static void signer_kms_move_alias(struct signer_kms *self, struct arena *arena, const struct key *key)
{
    struct str id = str_of(self->settings->kms_key_id), alias;
    struct kms_key about;
    if (str_has(id, ',') || !signer_kms_is_alias(id, &alias))
        return;
    struct err err = kms_describe(self->kms, arena, id, &about);
    if (!err.code && str_eq(about.arn, signer_kms_arn_of(key)))
        return;
    if (!err.code || err.code == ERR_NOT_FOUND)
        err = kms_update_alias(self->kms, alias, signer_kms_arn_of(key));
    LOG(err.code ? LOG_WARN : LOG_INFO, err.code ? "alias_not_moved" : "alias_moved", LOG_STR("alias", alias),
        LOG_STR("kid", key->kid), LOG_TEXT_("why", err.code ? err.why : "the key is active"));
}

/* KMS's own public key must be the published one, and a signature by KMS must verify with it. */
static struct err signer_kms_test_key(struct signer_kms *self, struct arena *arena, const struct key *key,
                                      const struct jwk *published)
{
    AUTO(jwk_freep) struct jwk *held = NULL;
    struct str spki, message = pair_test_message(arena, published);
    char signature[JWK_SIGNATURE_MAX];
    size_t len = 0;
    TRY(kms_public_key(self->kms, arena, signer_kms_arn_of(key), &spki));
    struct err err = jwk_read_public_der(spki, published->alg, &held);
    if (err.code || !str_eq(str_of(held->kid), str_of(published->kid))) {
        LOG(LOG_ERROR, "kms_key_differs", LOG_STR("kid", key->kid), LOG_STR("arn", signer_kms_arn_of(key)));
        return failed(ERR_UNAVAILABLE, "the KMS key's public key is not the one that the store publishes");
    }
    TRY(kms_sign(self->kms, signer_kms_arn_of(key), published->alg, KMS_TRIAL, message, signature, &len));
    return pair_check(published, message, (struct str){ signature, len });
}

static struct err signer_kms_load_key(struct signer_kms *self, struct arena *arena, const struct key *key)
{
    AUTO(jwk_freep) struct jwk *published = NULL;
    struct kms_key about;
    TRY(pair_read_public(arena, key, &published));
    struct err err = kms_describe(self->kms, arena, signer_kms_arn_of(key), &about);
    if (err.code == ERR_NOT_FOUND)
        return failed(ERR_UNAVAILABLE, "KMS no longer has the key that the store's signing key names");
    TRY(err);
    TRY(kms_check_kind(arena, &about, published->alg));
    TRY(kms_check_state(&about));
    TRY(signer_kms_test_key(self, arena, key, published));
    loaded_keep(self->signer.keys, published, signer_kms_arn_of(key));
    published = NULL;
    return OK;
}

static struct err signer_kms_load(struct signer *signer, struct arena *arena, const struct key *key)
{
    struct signer_kms *self = signer_kms_of(signer);
    if (!signer_kms_is_ours(key))
        return failed(ERR_NOT_FOUND, "the store's signing key belongs to another signer: it is not a key of AWS KMS");
    if (!loaded_has(self->signer.keys, key->kid))
        TRY(signer_kms_load_key(self, arena, key));
    if (key->state == KEY_ACTIVE) {
        kms_watch_follow(&self->watch, key->kid);
        signer_kms_move_alias(self, arena, key);
    }
    return OK;
}

/* --- making ------------------------------------------------------------------------------------------------------ */

/* The keys that have rows: those in force, the newest first, and those that have had their life. A past key is never
 * taken again, also when KMS would not let it be disabled: it may have been revoked. */
struct known {
    struct key *live, *past;
    size_t live_count, past_count;
};

static const struct key *signer_kms_known_at(const struct known *known, size_t i)
{
    return i < known->live_count ? &known->live[i] : &known->past[i - known->live_count];
}

static bool signer_kms_knows(const struct known *known, struct str arn)
{
    for (size_t i = 0; i < known->live_count + known->past_count; i++)
        if (signer_kms_is_ours(signer_kms_known_at(known, i)) &&
            str_eq(signer_kms_arn_of(signer_kms_known_at(known, i)), arn))
            return true;
    return false;
}

static bool signer_kms_knows_any(const struct known *known)
{
    for (size_t i = 0; i < known->live_count + known->past_count; i++)
        if (signer_kms_is_ours(signer_kms_known_at(known, i)))
            return true;
    return false;
}

static bool signer_kms_knows_kid(const struct known *known, struct str kid)
{
    for (size_t i = 0; i < known->live_count + known->past_count; i++)
        if (str_eq(signer_kms_known_at(known, i)->kid, kid))
            return true;
    return false;
}

static struct err signer_kms_await_enabled(struct signer_kms *self, struct arena *arena, struct str arn)
{
    struct kms_key about = { .state = KMS_OTHER_STATE };
    for (int i = 0; i < AWAIT_TRIES; i++) {
        struct err err = kms_describe(self->kms, arena, arn, &about);
        if (!err.code && about.state != KMS_OTHER_STATE)
            return kms_check_state(&about);
        if (err.code && err.code != ERR_NOT_FOUND)
            return err;
        clock_sleep_ms(AWAIT_MS);
    }
    return failed(ERR_UNAVAILABLE, "the new KMS key did not become usable in time");
}

struct left_behind {
    const struct known *known;
    struct str spec;
};

/* A key that was made to follow one of this store's, and has no row. */
static bool signer_kms_is_left_behind(const void *context, struct str predecessor, const struct kms_key *key)
{
    const struct left_behind *wanted = context;
    return key->is_signing && str_eq(key->spec, wanted->spec) && signer_kms_knows_kid(wanted->known, predecessor) &&
           !signer_kms_knows(wanted->known, key->arn);
}

static struct err signer_kms_no_new_key(struct arena *arena, const char *permissions, struct err err)
{
    return failed(ERR_UNAVAILABLE,
                  arena_printf(arena, "no new key can be made in AWS KMS (%s): %s", permissions, err.why).at);
}

/* A KMS key like the one behind KMS_KEY_ID, made now or by a try that was cut off. */
static struct err signer_kms_make_like(struct signer_kms *self, struct arena *arena, const struct known *known,
                                       struct str spec, struct str *arn)
{
    const struct left_behind wanted = { known, spec };
    const struct kms_search search = { successor_tag, signer_kms_is_left_behind, &wanted };
    struct str about = arena_printf(arena, "Signing key of the token service %s", self->settings->issuer);
    struct err err = kms_find_tagged(self->kms, arena, &search, arn);
    if (err.code && err.code != ERR_NOT_FOUND)
        return signer_kms_no_new_key(arena, "kms:ListKeys, kms:ListResourceTags", err);
    if (!err.code)
        LOG(LOG_INFO, "kms_key_found", LOG_STR("arn", *arn), LOG_TEXT_("why", "an interrupted rotation made it"));
    else
        err = kms_create_key(self->kms, arena, spec, about, successor_tag, signer_kms_known_at(known, 0)->kid, arn);
    return err.code ? signer_kms_no_new_key(arena, "kms:CreateKey, kms:TagResource", err)
                    : signer_kms_await_enabled(self, arena, *arn);
}

/* A key of KMS_KEY_ID that the store does not know. One that is not enabled is skipped once there are others of ours:
 * then it is an old one. At a first start it is an error, since no other key can be meant. */
static struct err signer_kms_next_of_list(struct signer_kms *self, struct arena *arena, enum jwa alg,
                                          const struct known *known, struct kms_key *out)
{
    struct str rest = str_of(self->settings->kms_key_id), id;
    while (str_next_item(&rest, ',', &id)) {
        struct err err = kms_describe(self->kms, arena, str_trim(id), out);
        if (err.code == ERR_NOT_FOUND)
            return failed(ERR_INVALID_REQUEST, arena_printf(arena, "KMS has no key %.*s, which KMS_KEY_ID names",
                                                            (int)str_trim(id).len, str_trim(id).at)
                                                   .at);
        TRY(err);
        TRY(kms_check_kind(arena, out, alg));
        if (signer_kms_knows(known, out->arn))
            continue;
        err = kms_check_state(out);
        if (!err.code || !signer_kms_knows_any(known))
            return err;
    }
    return failed(ERR_NOT_FOUND, "every key that KMS_KEY_ID lists has been used: add the next one to the list");
}

static struct err signer_kms_choose(struct signer_kms *self, struct arena *arena, enum jwa alg, struct str *arn)
{
    const struct store_ops *store = self->store->ops;
    struct known known = { 0 };
    struct kms_key about = { 0 };
    TRY(store->list_keys(self->store, arena, &known.live, &known.live_count));
    TRY(store->list_past_keys(self->store, arena, false, PAST_MAX, &known.past, &known.past_count));
    struct err err = signer_kms_next_of_list(self, arena, alg, &known, &about);
    if (err.code == ERR_NOT_FOUND && !str_has(str_of(self->settings->kms_key_id), ','))
        return signer_kms_make_like(self, arena, &known, about.spec, arn);
    *arn = about.arn;
    return err;
}

static struct err signer_kms_create(struct signer *signer, struct arena *arena, enum jwa alg, struct key *out)
{
    struct signer_kms *self = signer_kms_of(signer);
    AUTO(jwk_freep) struct jwk *public = NULL;
    struct str arn, spki;
    TRY(signer_kms_choose(self, arena, alg, &arn));
    TRY(kms_public_key(self->kms, arena, arn, &spki));
    struct err err = jwk_read_public_der(spki, alg, &public);
    if (err.code)
        return failed(ERR_UNAVAILABLE, err.why);
    pair_describe(arena, public, out);
    out->private_ref = arena_printf(arena, "kms:%.*s", (int)arn.len, arn.at);
    TRY(signer_kms_load_key(self, arena, out));
    LOG(LOG_INFO, "key_created", LOG_STR("kid", out->kid), LOG_STR("alg", out->alg), LOG_STR("kms_key", arn));
    return OK;
}

/* --- the rest ---------------------------------------------------------------------------------------------------- */

_Static_assert((int)SIGN_TRIAL == (int)KMS_TRIAL && (int)SIGN_INTERACTIVE == (int)KMS_INTERACTIVE &&
                   (int)SIGN_BACKGROUND == (int)KMS_BACKGROUND &&
                   (int)SIGN_CLIENT_CREDENTIALS == (int)KMS_CLIENT_CREDENTIALS,
               "the same order in both");

/* An RSA signature is checked before it goes out: a wrong one would fail at every verifier, far from its cause, and the
 * check costs 17 us. With P-256 and Ed25519 it costs 60 to 100 us, more than all else that is done for a token here, so
 * there the check at loading stands for all. */
static bool signer_kms_is_good(const struct jwk *key, struct str input, struct str signature)
{
    bool is_cheap = key->alg == JWA_RS256 || key->alg == JWA_PS256;
    return !is_cheap || jws_check(key, input, signature);
}

static struct err signer_kms_sign(struct signer *signer, struct str kid, enum jwa alg, enum sign_priority priority,
                                  struct str input, char *out, size_t *len)
{
    struct signer_kms *self = signer_kms_of(signer);
    const struct loaded_key *key = loaded_hold(self->signer.keys, kid, alg);
    if (!key)
        return failed(ERR_UNAVAILABLE, "the signing key is not loaded");
    struct err err = kms_sign(self->kms, key->ref, alg, (enum kms_priority)priority, input, out, len);
    if (!err.code && !signer_kms_is_good(key->jwk, input, (struct str){ out, *len })) {
        LOG(LOG_ERROR, "kms_signature_wrong", LOG_STR("kid", kid), LOG_STR("kms_key", key->ref));
        err = failed(ERR_UNAVAILABLE, "AWS KMS made a signature that does not verify");
    }
    if (err.code != ERR_INVALID_REQUEST) /* what is too long for KMS says nothing of the key */
        kms_watch_note(&self->watch, !err.code);
    loaded_release(key);
    return err;
}

static struct err signer_kms_dispose(struct signer *signer, struct arena *arena, const struct key *key)
{
    struct signer_kms *self = signer_kms_of(signer);
    (void)arena;
    loaded_unload(signer, key->kid);
    if (!signer_kms_is_ours(key))
        return pair_leave(key);
    struct err err = kms_disable_key(self->kms, signer_kms_arn_of(key));
    if (err.code == ERR_NOT_FOUND)
        return OK; /* somebody deleted it */
    if (!err.code)
        LOG(LOG_INFO, "kms_key_disabled", LOG_STR("kid", key->kid), LOG_STR("kms_key", signer_kms_arn_of(key)));
    return err;
}

static struct err signer_kms_check(struct signer *signer)
{
    struct signer_kms *self = signer_kms_of(signer);
    TRY(kms_watch_check(&self->watch, self->signer.keys, true));
    return kms_watch_probe(&self->watch, self->signer.keys);
}

static int64_t signer_kms_wait_s(struct signer *signer, size_t ahead)
{
    return kms_wait_s(signer_kms_of(signer)->kms, ahead);
}

static void signer_kms_close(struct signer *signer)
{
    struct signer_kms *self = signer_kms_of(signer);
    loaded_free(self->signer.keys);
    kms_watch_close(&self->watch);
    free(self);
}

static const struct signer_ops kms_ops = {
    .name = "kms",
    .create = signer_kms_create,
    .load = signer_kms_load,
    .sign = signer_kms_sign,
    .unload = loaded_unload,
    .dispose = signer_kms_dispose,
    .check = signer_kms_check,
    .wait_s = signer_kms_wait_s,
    .close = signer_kms_close,
};

struct err signer_kms_open(const struct settings *settings, struct kms *kms, struct store *store, struct signer **out)
{
    struct signer_kms *self = mem_alloc(sizeof *self);
    *self =
        (struct signer_kms){ .signer = { &kms_ops, loaded_new() }, .settings = settings, .kms = kms, .store = store };
    kms_watch_open(&self->watch, kms);
    *out = &self->signer;
    return OK;
}
