/* keys/kms_keys.c: what both KMS signers ask of a KMS key. */
#include "keys/kms_keys.h"
#include "base/clock.h"

enum {
    ASK_INTERVAL_MS = 30 * 1000,
    FAULT_INTERVAL_MS = 5 * 1000,
    FAILURES_TOLD = 10, /* in a row, and for as long as this: a short quota lets one through each second */
    FAILING_MS = 10 * 1000,
};

/* --- kinds and states -------------------------------------------------------------------------------------------- */

static const struct {
    enum jwa alg;
    struct str spec;
} specs[] = {
    /* the first of an algorithm is what a fresh pair gets */
    { JWA_RS256, STR_INIT("RSA_2048") },      { JWA_RS256, STR_INIT("RSA_3072") },
    { JWA_RS256, STR_INIT("RSA_4096") },      { JWA_PS256, STR_INIT("RSA_2048") },
    { JWA_PS256, STR_INIT("RSA_3072") },      { JWA_PS256, STR_INIT("RSA_4096") },
    { JWA_ES256, STR_INIT("ECC_NIST_P256") }, { JWA_EDDSA, STR_INIT("ECC_NIST_EDWARDS25519") },
};
enum { SPECS = sizeof specs / sizeof *specs };

struct str kms_spec_for(enum jwa alg)
{
    size_t i = 0;
    while (i + 1 < SPECS && specs[i].alg != alg)
        i++;
    return specs[i].spec;
}

/* Whether a key of `spec` can make its signatures. */
static bool kms_keys_spec_fits(struct str spec, enum jwa alg)
{
    for (size_t i = 0; i < SPECS; i++)
        if (specs[i].alg == alg && str_eq(specs[i].spec, spec))
            return true;
    return false;
}

struct err kms_check_kind(struct arena *arena, const struct kms_key *key, enum jwa alg)
{
    if (!key->is_signing)
        return failed(ERR_INVALID_REQUEST,
                      arena_printf(arena, "the KMS key %.*s is not for signatures (its KeyUsage is not SIGN_VERIFY)",
                                   (int)key->arn.len, key->arn.at)
                          .at);
    if (kms_keys_spec_fits(key->spec, alg))
        return OK;
    return failed(ERR_INVALID_REQUEST,
                  arena_printf(arena, "TOKEN_SIGNING_ALG is %s, which the KMS key's spec %.*s can't sign",
                               jwa_name(alg), (int)key->spec.len, key->spec.at)
                      .at);
}

struct err kms_check_state(const struct kms_key *key)
{
    switch (key->state) {
    case KMS_ENABLED:
        return OK;
    case KMS_DISABLED:
        return failed(ERR_UNAVAILABLE, "the signing key's KMS key is disabled: enable it, or rotate to another key");
    case KMS_PENDING_DELETION:
        return failed(ERR_UNAVAILABLE,
                      "the signing key's KMS key waits for its deletion: cancel that, or rotate to another key");
    case KMS_OTHER_STATE:
        break;
    }
    return failed(ERR_UNAVAILABLE, "the signing key's KMS key is in a state in which it can't be used");
}

/* --- readiness --------------------------------------------------------------------------------------------------- */

void kms_watch_open(struct kms_watch *watch, struct kms *kms)
{
    *watch = (struct kms_watch){ .kms = kms };
    pthread_mutex_init(&watch->lock, NULL);
}

void kms_watch_close(struct kms_watch *watch)
{
    pthread_mutex_destroy(&watch->lock);
}

void kms_watch_follow(struct kms_watch *watch, struct str kid)
{
    pthread_mutex_lock(&watch->lock);
    if (!str_eq(str_of(watch->active), kid) && kid.len < sizeof watch->active) {
        memcpy(watch->active, kid.at, kid.len);
        watch->active[kid.len] = 0;
        watch->ask_at_ms = 0;
    }
    pthread_mutex_unlock(&watch->lock);
}

void kms_watch_note(struct kms_watch *watch, bool worked)
{
    if (worked) {
        atomic_store_explicit(&watch->worked_ms, clock_ms(), memory_order_relaxed);
        atomic_store_explicit(&watch->failures, 0, memory_order_relaxed);
    } else {
        atomic_store_explicit(&watch->doubt, true, memory_order_relaxed);
        atomic_fetch_add_explicit(&watch->failures, 1, memory_order_relaxed);
    }
}

/* The fault of one key's state; *answered becomes false when KMS did not say. */
static struct err kms_keys_ask(struct kms_watch *watch, struct str id, bool *answered)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct kms_key about;
    struct err err = kms_describe(watch->kms, &arena, id, &about);
    if (!err.code)
        return kms_check_state(&about);
    if (err.code == ERR_NOT_FOUND)
        return failed(ERR_UNAVAILABLE, "the signing key's KMS key is gone");
    *answered = false;
    return OK;
}

static bool kms_keys_holds(const struct loaded_key *const *keys, size_t count, const char *kid)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(keys[i]->jwk->kid, kid) == 0)
            return true;
    return false;
}

/* KMS may not answer one question while it signs: a signature within the interval shows that it can be reached. */
static struct err kms_keys_ask_all(struct kms_watch *watch, struct loaded *loaded, bool needs_answers)
{
    const struct loaded_key *keys[LOADED_MAX];
    size_t count = loaded_hold_all(loaded, keys);
    bool answered = true, follows = kms_keys_holds(keys, count, watch->active);
    struct err err = count ? OK : failed(ERR_UNAVAILABLE, "no signing key is loaded");
    for (size_t i = 0; i < count; i++) {
        if (!err.code && (!follows || strcmp(keys[i]->jwk->kid, watch->active) == 0))
            err = kms_keys_ask(watch, keys[i]->ref, &answered);
        loaded_release(keys[i]);
    }
    if (answered || err.code)
        return watch->heard = err;
    if (needs_answers && clock_ms() - atomic_load(&watch->worked_ms) > ASK_INTERVAL_MS)
        return failed(ERR_UNAVAILABLE, "AWS KMS does not answer");
    return watch->heard;
}

struct err kms_watch_check(struct kms_watch *watch, struct loaded *loaded, bool needs_answers)
{
    pthread_mutex_lock(&watch->lock);
    int64_t now = clock_ms();
    if (now >= watch->ask_at_ms || atomic_exchange(&watch->doubt, false)) {
        watch->known = kms_keys_ask_all(watch, loaded, needs_answers);
        watch->ask_at_ms = now + (watch->known.code ? FAULT_INTERVAL_MS : ASK_INTERVAL_MS);
    }
    struct err known = watch->known;
    pthread_mutex_unlock(&watch->lock);
    return known;
}

static bool kms_keys_only_fails(struct kms_watch *watch)
{
    return atomic_load_explicit(&watch->failures, memory_order_relaxed) >= FAILURES_TOLD &&
           clock_ms() - atomic_load_explicit(&watch->worked_ms, memory_order_relaxed) >= FAILING_MS;
}

struct err kms_watch_probe(struct kms_watch *watch, struct loaded *loaded)
{
    const struct loaded_key *keys[LOADED_MAX];
    char signature[JWK_SIGNATURE_MAX], active[sizeof watch->active];
    size_t len = 0;
    struct err err = OK;
    if (!kms_keys_only_fails(watch))
        return OK;
    pthread_mutex_lock(&watch->lock);
    memcpy(active, watch->active, sizeof active);
    pthread_mutex_unlock(&watch->lock);
    size_t count = loaded_hold_all(loaded, keys);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i]->jwk->kid, active) == 0) { /* no token's signing input looks like this */
            err = kms_sign(watch->kms, keys[i]->ref, keys[i]->jwk->alg, KMS_BACKGROUND, STR("a test of readiness"),
                           signature, &len);
            kms_watch_note(watch, !err.code);
        }
        loaded_release(keys[i]);
    }
    return err;
}
