/* tests/unit/fake_kms.h: AWS KMS behind aws/kms.h, in memory: real keys of OpenSSL, and KMS's rules about kinds,
 * states, aliases, tags and encryption contexts. It stands in for the network in unit tests; the real client is tested
 * against an emulator (tests/integration). Linked before the library, whose kms.c is then left out. */
#ifndef FAKE_KMS_H
#define FAKE_KMS_H

#include "aws/kms.h"
#include "unit.h"
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdatomic.h>

enum { FAKE_KEYS = 16, FAKE_WRAPPED = 16 };

struct fake_key {
    char arn[80], spec[32], tag_name[64], tag_value[64];
    enum kms_key_state state;
    EVP_PKEY *pair; /* NULL: symmetric */
};

struct fake_wrapped {
    char arn[80], issuer[128], kid[64];
    unsigned char id[24]; /* the "ciphertext" */
    unsigned char *der;
    size_t der_len;
};

static struct {
    struct fake_key keys[FAKE_KEYS];
    size_t count;
    struct fake_wrapped wrapped[FAKE_WRAPPED];
    size_t wrapped_count;
    char alias[64];
    size_t alias_target;
    struct err failure;   /* of every call, when its code is set */
    bool signs_wrong;     /* a byte of each signature is changed */
    bool is_slow_to_make; /* a new key is "Creating" when it is asked for the first time */
    atomic_int describes, signs, creates;
    atomic_int last_priority; /* of a signature */
} fake;

static inline void fake_clear(void)
{
    for (size_t i = 0; i < fake.count; i++)
        EVP_PKEY_free(fake.keys[i].pair);
    for (size_t i = 0; i < fake.wrapped_count; i++)
        OPENSSL_clear_free(fake.wrapped[i].der, fake.wrapped[i].der_len);
    memset(&fake, 0, sizeof fake);
}

static inline EVP_PKEY *fake_pair(struct str spec)
{
    if (str_eq(spec, STR("ECC_NIST_P256")))
        return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    if (str_eq(spec, STR("ECC_NIST_EDWARDS25519")))
        return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (str_eq(spec, STR("RSA_3072")))
        return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)3072);
    return str_eq(spec, STR("RSA_2048")) ? EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048) : NULL;
}

static inline const char *fake_add(const char *spec)
{
    struct fake_key *key = &fake.keys[fake.count++];
    snprintf(key->arn, sizeof key->arn, "arn:aws:kms:us-east-1:111122223333:key/0000-%zu", fake.count);
    snprintf(key->spec, sizeof key->spec, "%s", spec);
    key->state = KMS_ENABLED;
    key->pair = fake_pair(str_of(spec));
    return key->arn;
}

static inline struct fake_key *fake_find(struct str id)
{
    const char *slash = id.len ? memrchr(id.at, '/', id.len) : NULL;
    struct str name = slash ? (struct str){ slash + 1, id.len - (size_t)(slash + 1 - id.at) } : id;
    if (fake.alias[0] && memmem(id.at, id.len, "alias/", 6))
        return str_eq(name, str_of(fake.alias + 6)) ? &fake.keys[fake.alias_target] : NULL;
    for (size_t i = 0; i < fake.count; i++)
        if (str_eq(name, str_of(strrchr(fake.keys[i].arn, '/') + 1)))
            return &fake.keys[i];
    return NULL;
}

#define FAKE_FIND(key, id)                                                                                             \
    struct fake_key *key = fake_find(id);                                                                              \
    if (fake.failure.code)                                                                                             \
        return fake.failure;                                                                                           \
    if (!key)                                                                                                          \
    return failed(ERR_NOT_FOUND, "KMS has no such key")

struct err kms_describe(struct kms *kms, struct arena *to, struct str id, struct kms_key *out)
{
    static const char *const names[] = { "Enabled", "Disabled", "PendingDeletion", "Creating" };
    (void)kms;
    atomic_fetch_add(&fake.describes, 1);
    FAKE_FIND(key, id);
    *out = (struct kms_key){ .arn = arena_copy(to, str_of(key->arn)),
                             .spec = arena_copy(to, str_of(key->spec)),
                             .is_signing = key->pair != NULL,
                             .state = key->state,
                             .state_name = str_of(names[key->state]) };
    if (key->state == KMS_OTHER_STATE)
        key->state = KMS_ENABLED;
    return OK;
}

static inline struct str fake_spki(struct arena *to, EVP_PKEY *pair)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(pair, &der);
    assert_true(len > 0);
    struct str spki = arena_copy(to, (struct str){ (const char *)der, (size_t)len });
    OPENSSL_free(der);
    return spki;
}

struct err kms_public_key(struct kms *kms, struct arena *to, struct str id, struct str *spki)
{
    (void)kms;
    FAKE_FIND(key, id);
    if (key->state != KMS_ENABLED)
        return failed(ERR_UNAVAILABLE, "AWS KMS refused the call");
    *spki = fake_spki(to, key->pair);
    return OK;
}

struct err kms_sign(struct kms *kms, struct str id, enum jwa alg, enum kms_priority priority, struct str input,
                    char *out, size_t *len)
{
    AUTO(jwk_freep) struct jwk *pair = NULL;
    (void)kms;
    fake.last_priority = priority;
    atomic_fetch_add(&fake.signs, 1);
    FAKE_FIND(key, id);
    if (alg == JWA_EDDSA && input.len > 4096)
        return failed(ERR_INVALID_REQUEST, "the token is too large for an EdDSA key in AWS KMS");
    if (key->state != KMS_ENABLED)
        return failed(ERR_UNAVAILABLE, "AWS KMS can't sign now");
    EVP_PKEY_up_ref(key->pair);
    TRY(jwk_of_pkey(key->pair, alg, true, &pair));
    struct err err = jws_sign(pair, input, out, len);
    out[*len - 1] = (char)(out[*len - 1] ^ (fake.signs_wrong ? 1 : 0));
    return err;
}

int64_t kms_wait_s(struct kms *kms, size_t ahead)
{
    (void)kms;
    return (int64_t)ahead;
}

struct err kms_create_key(struct kms *kms, struct arena *to, struct str spec, struct str description,
                          struct str tag_name, struct str tag_value, struct str *arn)
{
    (void)kms;
    assert_true(description.len > 0 && description.len < 8192);
    if (fake.failure.code)
        return fake.failure;
    atomic_fetch_add(&fake.creates, 1);
    fake_add(arena_copy(to, spec).at);
    struct fake_key *key = &fake.keys[fake.count - 1];
    assert_non_null(key->pair);
    snprintf(key->tag_name, sizeof key->tag_name, "%.*s", (int)tag_name.len, tag_name.at);
    snprintf(key->tag_value, sizeof key->tag_value, "%.*s", (int)tag_value.len, tag_value.at);
    if (fake.is_slow_to_make)
        key->state = KMS_OTHER_STATE;
    *arn = arena_copy(to, str_of(key->arn));
    return OK;
}

struct err kms_find_tagged(struct kms *kms, struct arena *to, const struct kms_search *search, struct str *arn)
{
    (void)kms;
    if (fake.failure.code)
        return fake.failure;
    for (size_t i = 0; i < fake.count; i++) {
        const struct fake_key *one = &fake.keys[i];
        const struct kms_key about = { .arn = str_of(one->arn), .spec = str_of(one->spec), .is_signing = one->pair };
        if ((one->state == KMS_ENABLED || one->state == KMS_OTHER_STATE) &&
            str_eq(str_of(one->tag_name), search->tag_name) &&
            search->fits(search->context, str_of(one->tag_value), &about)) {
            *arn = arena_copy(to, about.arn);
            return OK;
        }
    }
    return failed(ERR_NOT_FOUND, "KMS has no key with that tag");
}

struct err kms_update_alias(struct kms *kms, struct str alias, struct str id)
{
    (void)kms;
    FAKE_FIND(key, id);
    assert_true(str_has_prefix(alias, STR("alias/")));
    if (!str_eq(alias, str_of(fake.alias)))
        return failed(ERR_NOT_FOUND, "KMS has no such alias");
    fake.alias_target = (size_t)(key - fake.keys);
    return OK;
}

struct err kms_disable_key(struct kms *kms, struct str id)
{
    (void)kms;
    FAKE_FIND(key, id);
    key->state = key->state == KMS_ENABLED ? KMS_DISABLED : key->state;
    return OK;
}

/* PKCS#8, as KMS gives it. */
static inline void fake_keep(struct fake_wrapped *wrapped, EVP_PKEY *pair)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(pair);
    int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &wrapped->der) : 0;
    assert_true(len > 0);
    wrapped->der_len = (size_t)len;
    PKCS8_PRIV_KEY_INFO_free(info);
}

struct err kms_generate_pair(struct kms *kms, struct arena *to, struct str id, struct str pair_spec,
                             struct kms_context context, struct str *wrapped, struct str *spki)
{
    (void)kms;
    FAKE_FIND(key, id);
    EVP_PKEY *pair = fake_pair(pair_spec);
    if (key->pair || !pair || key->state != KMS_ENABLED) {
        EVP_PKEY_free(pair);
        return failed(ERR_UNAVAILABLE, "AWS KMS refused the call");
    }
    struct fake_wrapped *one = &fake.wrapped[fake.wrapped_count++];
    snprintf(one->arn, sizeof one->arn, "%s", key->arn);
    snprintf(one->issuer, sizeof one->issuer, "%.*s", (int)context.issuer.len, context.issuer.at);
    snprintf(one->kid, sizeof one->kid, "%.*s", (int)context.kid.len, context.kid.at);
    memset(one->id, (int)fake.wrapped_count, sizeof one->id);
    fake_keep(one, pair);
    *wrapped = arena_copy(to, (struct str){ (const char *)one->id, sizeof one->id });
    *spki = fake_spki(to, pair);
    EVP_PKEY_free(pair);
    return OK;
}

struct err kms_decrypt(struct kms *kms, struct str id, struct str wrapped, struct kms_context context,
                       struct secret *out)
{
    (void)kms;
    FAKE_FIND(key, id);
    for (size_t i = 0; i < fake.wrapped_count; i++) {
        const struct fake_wrapped *one = &fake.wrapped[i];
        if (key->state != KMS_ENABLED || !str_eq(wrapped, (struct str){ (const char *)one->id, sizeof one->id }) ||
            strcmp(one->arn, key->arn) != 0 || !str_eq(context.issuer, str_of(one->issuer)) ||
            !str_eq(context.kid, str_of(one->kid)))
            continue;
        TRY(secret_init(out, one->der_len, NULL));
        memcpy(out->at, one->der, one->der_len);
        return OK;
    }
    return failed(ERR_UNAVAILABLE, "AWS KMS refused the call"); /* InvalidCiphertextException */
}

/* --- what the tests of signers share ----------------------------------------------------------------------------- */

/* A store that knows these keys, and nothing else. */
static struct key known_keys[FAKE_KEYS], past_keys[FAKE_KEYS];
static size_t known_count, past_count;

static inline struct err fake_list_keys(struct store *store, struct arena *to, struct key **out, size_t *count)
{
    (void)store;
    *out = arena_alloc(to, sizeof known_keys);
    memcpy(*out, known_keys, sizeof known_keys);
    *count = known_count;
    return OK;
}

static inline struct err fake_list_past_keys(struct store *store, struct arena *to, bool undisposed, size_t max,
                                             struct key **out, size_t *count)
{
    (void)store;
    assert_false(undisposed);
    assert_true(past_count <= max);
    *out = arena_alloc(to, sizeof past_keys);
    memcpy(*out, past_keys, sizeof past_keys);
    *count = past_count;
    return OK;
}

static const struct store_ops fake_store_ops = { .name = "fake",
                                                 .list_keys = fake_list_keys,
                                                 .list_past_keys = fake_list_past_keys };
__attribute__((unused)) static struct store fake_store = { .ops = &fake_store_ops };

/* Newest first, as the store lists them. */
static inline void remember(const struct key *key)
{
    memmove(known_keys + 1, known_keys, known_count * sizeof *known_keys);
    known_keys[0] = *key;
    known_count++;
}

/* The newest of those in force has had its life. */
static inline void __attribute__((unused)) pass(void)
{
    past_keys[past_count++] = known_keys[0];
    memmove(known_keys, known_keys + 1, --known_count * sizeof *known_keys);
}

static inline bool signs(struct signer *signer, const struct key *key, enum jwa alg)
{
    AUTO(jwk_freep) struct jwk *public = NULL;
    char signature[JWK_SIGNATURE_MAX];
    size_t len = 0;
    if (signer->ops->sign(signer, key->kid, alg, SIGN_INTERACTIVE, STR("a.b"), signature, &len).code)
        return false;
    assert_ok(pair_read_public(&arena, key, &public));
    assert_str(key->kid, public->kid);
    assert_true(jws_check(public, STR("a.b"), (struct str){ signature, len }));
    assert_false(jws_check(public, STR("a.c"), (struct str){ signature, len }));
    return true;
}

static inline void signer_closep(struct signer **signer)
{
    if (*signer)
        (*signer)->ops->close(*signer);
}

#endif
