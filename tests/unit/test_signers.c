/* test_signers.c: what every signer must do, whoever holds the private keys: the same tests over local, kms (behind it
 * a KMS in memory) and envelope. What one of them does alone is in test_signer_local.c, test_signer_kms.c and
 * test_signer_envelope.c. */
#include "keys/pair.h"
#include "keys/signer.h"
#include "folder.h"
#include "fake_kms.h"
#include "observe/log.h"
#include <pthread.h>
#include <sched.h>

static const enum jwa algs[] = { JWA_RS256, JWA_PS256, JWA_ES256, JWA_EDDSA };
static const char *const specs[] = { "RSA_2048", "RSA_2048", "ECC_NIST_P256", "ECC_NIST_EDWARDS25519" };
static const enum signer_kind kinds[] = { SIGNER_LOCAL, SIGNER_KMS, SIGNER_ENVELOPE };
static const char *const names[] = { "auto", "local", "kms", "envelope" };
static const char *const prefixes[] = { "", "file:", "kms:", "envelope:" };

static struct settings settings;

/* As a start opens it: through the settings. */
static struct signer *open_kind(enum signer_kind kind, enum jwa alg)
{
    struct signer *signer = NULL;
    enum signer_kind opened;
    settings.signer = kind;
    settings.signing_alg = (int64_t)alg;
    struct kms *kms = settings.kms_key_id[0] ? (struct kms *)&fake : NULL;
    assert_code(signer_open(&settings, kms, &fake_store, &arena, &signer, &opened), ERR_OK, names[kind]);
    assert_int_equal(opened, kind);
    assert_string_equal(signer->ops->name, names[kind]);
    return signer;
}
#define OPEN(handle, kind, alg) AUTO(signer_closep) struct signer *handle = open_kind(kind, alg)

/* A folder, a KMS and a store with nothing in them, but the key that KMS_KEY_ID names. */
static void begin(enum signer_kind kind, size_t alg)
{
    fake_clear();
    known_count = 0;
    settings = (struct settings){ .data_dir = folder, .issuer = "https://issuer.example", .kms_key_id = "" };
    if (kind != SIGNER_LOCAL)
        settings.kms_key_id = fake_add(kind == SIGNER_KMS ? specs[alg] : "SYMMETRIC_DEFAULT");
}

#define FOR_EACH_KIND(kind) for (const enum signer_kind *kind = kinds; kind < kinds + COUNT(kinds); kind++)

static void a_made_key_signs_what_its_published_half_verifies(void **state)
{
    (void)state;
    FOR_EACH_KIND(kind)
    for (size_t i = 0; i < COUNT(algs); i++) {
        struct key key = { 0 };
        const struct json *jwk;
        begin(*kind, i);
        OPEN(signer, *kind, algs[i]);
        assert_code(signer->ops->create(signer, &arena, algs[i], &key), ERR_OK, names[*kind]);
        assert_str(key.alg, jwa_name(algs[i]));
        assert_row(str_has_prefix(key.private_ref, str_of(prefixes[*kind])), names[*kind]);
        assert_ok(json_parse(&arena, key.public_jwk, &jwk));
        assert_true(str_eq(json_member(jwk, STR("kid"))->text, key.kid));
        assert_null(json_member(jwk, STR("d")));
        assert_row(signs(signer, &key, algs[i]), names[*kind]);
        assert_ok(signer->ops->check(signer));
    }
}

/* RFC 7638; and of an envelope key 128 random bits, which no other key has. */
static void a_kid_is_a_thumbprint_but_of_an_envelope_key(void **state)
{
    (void)state;
    FOR_EACH_KIND(kind)
    {
        struct key key = { 0 }, next = { 0 };
        AUTO(jwk_freep) struct jwk *public = NULL;
        begin(*kind, 2);
        OPEN(signer, *kind, JWA_ES256);
        assert_ok(signer->ops->create(signer, &arena, JWA_ES256, &key));
        remember(&key);
        assert_ok(signer->ops->create(signer, &arena, JWA_ES256, &next));
        assert_false(str_eq(key.kid, next.kid));
        assert_ok(jwk_parse_public(&arena, key.public_jwk, &public));
        assert_row(str_eq(key.kid, str_of(public->kid)) == (*kind != SIGNER_ENVELOPE), names[*kind]);
        assert_int_equal(key.kid.len, *kind == SIGNER_ENVELOPE ? 22 : JWK_THUMBPRINT_LEN);
    }
}

static void a_key_signs_after_it_is_loaded_and_until_it_is_unloaded(void **state)
{
    (void)state;
    FOR_EACH_KIND(kind)
    for (size_t i = 0; i < COUNT(algs); i++) {
        struct key key = { 0 };
        begin(*kind, i);
        struct signer *first = open_kind(*kind, algs[i]);
        assert_ok(first->ops->create(first, &arena, algs[i], &key));
        first->ops->close(first);
        OPEN(signer, *kind, algs[i]);
        assert_false(signs(signer, &key, algs[i]));
        assert_code(signer->ops->check(signer), ERR_UNAVAILABLE, names[*kind]);
        assert_ok(signer->ops->load(signer, &arena, &key));
        assert_ok(signer->ops->load(signer, &arena, &key)); /* a second time is no error */
        assert_true(signs(signer, &key, algs[i]));
        signer->ops->unload(signer, key.kid);
        assert_false(signs(signer, &key, algs[i]));
        signer->ops->unload(signer, key.kid);
        assert_ok(signer->ops->load(signer, &arena, &key));
        assert_true(signs(signer, &key, algs[i]));
    }
}

static void a_key_signs_with_its_own_algorithm_alone(void **state)
{
    (void)state;
    FOR_EACH_KIND(kind)
    {
        struct key key = { 0 };
        begin(*kind, 0);
        OPEN(signer, *kind, JWA_RS256);
        assert_ok(signer->ops->create(signer, &arena, JWA_RS256, &key));
        for (size_t i = 1; i < COUNT(algs); i++)
            assert_row(!signs(signer, &key, algs[i]), names[*kind]);
        key.kid = STR("unknown");
        assert_false(signs(signer, &key, JWA_RS256));
        key.kid = STR("");
        assert_false(signs(signer, &key, JWA_RS256));
    }
}

static void an_es256_signature_is_r_and_s(void **state)
{
    (void)state;
    FOR_EACH_KIND(kind)
    {
        struct key key = { 0 };
        char signature[JWK_SIGNATURE_MAX];
        size_t len = 0;
        begin(*kind, 2);
        OPEN(signer, *kind, JWA_ES256);
        assert_ok(signer->ops->create(signer, &arena, JWA_ES256, &key));
        for (int i = 0; i < 300; i++) { /* some begin with zeros */
            assert_ok(signer->ops->sign(signer, key.kid, JWA_ES256, SIGN_BACKGROUND, STR("a.b"), signature, &len));
            assert_int_equal(len, 64);
        }
    }
}

/* KMS takes 4,096 bytes at most, and EdDSA can't be asked of it for a digest. */
static void a_long_message_is_signed_but_with_eddsa_in_kms(void **state)
{
    (void)state;
    char *text = arena_alloc(&arena, 20000);
    memset(text, 'a', 20000);
    FOR_EACH_KIND(kind)
    for (size_t i = 0; i < COUNT(algs); i++) {
        struct key key = { 0 };
        char signature[JWK_SIGNATURE_MAX];
        size_t len = 0;
        begin(*kind, i);
        OPEN(signer, *kind, algs[i]);
        assert_ok(signer->ops->create(signer, &arena, algs[i], &key));
        bool is_refused = *kind == SIGNER_KMS && algs[i] == JWA_EDDSA;
        assert_code(signer->ops->sign(signer, key.kid, algs[i], SIGN_INTERACTIVE, (struct str){ text, 20000 },
                                      signature, &len),
                    is_refused ? ERR_INVALID_REQUEST : ERR_OK, jwa_name(algs[i]));
        assert_ok(
            signer->ops->sign(signer, key.kid, algs[i], SIGN_INTERACTIVE, (struct str){ text, 4096 }, signature, &len));
        assert_ok(signer->ops->check(signer));
    }
}

/* The old service signed with one key and published another. */
static void a_private_half_that_is_not_the_published_ones_is_refused(void **state)
{
    (void)state;
    FOR_EACH_KIND(kind)
    {
        struct key key = { 0 }, other = { 0 }, mixed;
        begin(*kind, 0);
        struct signer *first = open_kind(*kind, JWA_RS256);
        assert_ok(first->ops->create(first, &arena, JWA_RS256, &key));
        remember(&key);
        assert_ok(first->ops->create(first, &arena, JWA_RS256, &other));
        first->ops->close(first);
        OPEN(signer, *kind, JWA_RS256);
        mixed = key;
        mixed.private_ref = other.private_ref;
        assert_code(signer->ops->load(signer, &arena, &mixed), ERR_UNAVAILABLE, names[*kind]);
        mixed = key;
        mixed.public_jwk = other.public_jwk;
        assert_code(signer->ops->load(signer, &arena, &mixed), ERR_UNAVAILABLE, names[*kind]);
        mixed.kid = other.kid;
        assert_code(signer->ops->load(signer, &arena, &mixed), ERR_UNAVAILABLE, names[*kind]);
        mixed = key;
        mixed.alg = STR("PS256");
        assert_true(signer->ops->load(signer, &arena, &mixed).code != ERR_OK);
        mixed.alg = STR("none");
        assert_true(signer->ops->load(signer, &arena, &mixed).code != ERR_OK);
        mixed = key;
        mixed.public_jwk = STR("{}");
        assert_true(signer->ops->load(signer, &arena, &mixed).code != ERR_OK);
        assert_false(signs(signer, &key, JWA_RS256)); /* nothing of that is kept */
        assert_false(signs(signer, &other, JWA_RS256));
        assert_ok(signer->ops->load(signer, &arena, &key));
    }
}

/* Moving from one signer to another: the old key signs until the new one is known, and then goes as it should. */
static void after_a_change_of_signers_each_key_goes_to_its_own(void **state)
{
    struct key keys[COUNT(kinds)] = { { .kid = { 0, 0 } } };
    (void)state;
    begin(SIGNER_KMS, 2);
    const char *const ids[] = { settings.kms_key_id, settings.kms_key_id, fake_add("SYMMETRIC_DEFAULT") };
    for (size_t i = 0; i < COUNT(kinds); i++) {
        settings.kms_key_id = ids[i];
        OPEN(signer, kinds[i], JWA_ES256);
        assert_ok(signer->ops->create(signer, &arena, JWA_ES256, &keys[i]));
    }
    for (size_t i = 0; i < COUNT(kinds); i++)
        for (size_t k = 0; k < COUNT(kinds); k++) {
            settings.kms_key_id = ids[i];
            OPEN(signer, kinds[i], JWA_ES256);
            assert_false(signs(signer, &keys[k], JWA_ES256));
            assert_ok(signer->ops->load(signer, &arena, &keys[k]));
            assert_true(signs(signer, &keys[k], JWA_ES256));
            assert_ok(signer->ops->check(signer));
            signer->ops->unload(signer, keys[k].kid);
            assert_false(signs(signer, &keys[k], JWA_ES256));
        }
    settings.kms_key_id = ids[2];
    OPEN(signer, SIGNER_ENVELOPE, JWA_ES256);
    assert_ok(signer->ops->load(signer, &arena, &keys[2]));
    for (size_t k = 0; k < 2; k++) {
        assert_ok(signer->ops->load(signer, &arena, &keys[k]));
        assert_ok(signer->ops->dispose(signer, &arena, &keys[k]));
        assert_false(signs(signer, &keys[k], JWA_ES256));
    }
    assert_false(exists(arena_printf(&arena, "signing-key-%.*s.pem", (int)keys[0].kid.len, keys[0].kid.at).at));
    assert_int_equal(fake.keys[0].state, KMS_DISABLED);
    assert_int_equal(fake.keys[1].state, KMS_ENABLED);
    assert_true(signs(signer, &keys[2], JWA_ES256));
    assert_ok(signer->ops->check(signer)); /* what is done with is asked for no more */
}

/* Without KMS its keys can't sign, and are left alone; that is told from a key that is broken. */
static void without_kms_its_keys_are_of_another_signer(void **state)
{
    struct key keys[COUNT(kinds)] = { { .kid = { 0, 0 } } };
    struct signer *bare = NULL;
    enum signer_kind kind;
    (void)state;
    begin(SIGNER_KMS, 2);
    const char *const ids[] = { "", settings.kms_key_id, fake_add("SYMMETRIC_DEFAULT") };
    for (size_t i = 0; i < COUNT(kinds); i++) {
        settings.kms_key_id = ids[i];
        OPEN(signer, kinds[i], JWA_ES256);
        assert_ok(signer->ops->create(signer, &arena, JWA_ES256, &keys[i]));
    }
    settings.kms_key_id = "";
    settings.signer = SIGNER_AUTO;
    assert_ok(signer_open(&settings, NULL, &fake_store, &arena, &bare, &kind));
    assert_int_equal(kind, SIGNER_LOCAL);
    for (size_t i = 0; i < COUNT(kinds); i++)
        assert_code(bare->ops->load(bare, &arena, &keys[i]), i == 0 ? ERR_OK : ERR_NOT_FOUND, names[kinds[i]]);
    for (size_t i = 1; i < COUNT(kinds); i++)
        assert_ok(bare->ops->dispose(bare, &arena, &keys[i]));
    bare->ops->close(bare);
    settings.kms_key_id = ids[2];
    OPEN(signer, SIGNER_ENVELOPE, JWA_ES256);
    for (size_t i = 0; i < COUNT(kinds); i++)
        assert_ok(signer->ops->load(signer, &arena, &keys[i]));
}

static void a_key_that_is_disposed_of_signs_no_more(void **state)
{
    (void)state;
    FOR_EACH_KIND(kind)
    {
        struct key key = { 0 };
        begin(*kind, 2);
        OPEN(signer, *kind, JWA_ES256);
        assert_ok(signer->ops->create(signer, &arena, JWA_ES256, &key));
        assert_ok(signer->ops->dispose(signer, &arena, &key));
        assert_false(signs(signer, &key, JWA_ES256));
        assert_ok(signer->ops->dispose(signer, &arena, &key)); /* again */
        if (*kind != SIGNER_ENVELOPE)                          /* its wrapped half is nobody's without KMS */
            assert_code(signer->ops->load(signer, &arena, &key), ERR_UNAVAILABLE, names[*kind]);
        assert_int_equal(fake.count, *kind == SIGNER_LOCAL ? 0 : 1); /* never deleted */
    }
}

struct round {
    pthread_t thread;
    struct signer *signer;
    const struct key *key;
    int good;
    bool stopped_for_a_reason; /* nothing but "not loaded" may be said */
};

static void *sign_again_and_again(void *arg)
{
    struct round *round = arg;
    for (int i = 0; i < 1000000 && round->good < 100; i++) {
        char signature[JWK_SIGNATURE_MAX];
        size_t len = 0;
        struct err err = round->signer->ops->sign(round->signer, round->key->kid, JWA_ES256, SIGN_INTERACTIVE,
                                                  STR("a.b"), signature, &len);
        round->good += err.code == ERR_OK && len == 64;
        round->stopped_for_a_reason |= err.code != ERR_OK && err.code != ERR_UNAVAILABLE;
        if (err.code)
            sched_yield();
    }
    return NULL;
}

static void threads_sign_while_the_key_comes_and_goes(void **state)
{
    (void)state;
    FOR_EACH_KIND(kind)
    {
        struct key key = { 0 };
        struct round rounds[4];
        begin(*kind, 2);
        OPEN(signer, *kind, JWA_ES256);
        assert_ok(signer->ops->create(signer, &arena, JWA_ES256, &key));
        for (size_t i = 0; i < COUNT(rounds); i++) {
            rounds[i] = (struct round){ .signer = signer, .key = &key };
            assert_int_equal(pthread_create(&rounds[i].thread, NULL, sign_again_and_again, &rounds[i]), 0);
        }
        for (int i = 0; i < 50; i++) {
            signer->ops->unload(signer, key.kid);
            assert_ok(signer->ops->load(signer, &arena, &key));
        }
        for (size_t i = 0; i < COUNT(rounds); i++) {
            pthread_join(rounds[i].thread, NULL);
            assert_false(rounds[i].stopped_for_a_reason);
            assert_row(rounds[i].good == 100, names[*kind]);
        }
        assert_true(signs(signer, &key, JWA_ES256));
    }
}

static int quiet(void **state)
{
    (void)state;
    log_configure(LOG_ERROR, LOG_JSON);
    return 0;
}

static int end(void **state)
{
    (void)state;
    fake_clear();
    return 0;
}

RUN_WITH(quiet, end, TEST_IN_FOLDER(a_made_key_signs_what_its_published_half_verifies),
         TEST_IN_FOLDER(a_kid_is_a_thumbprint_but_of_an_envelope_key),
         TEST_IN_FOLDER(a_key_signs_after_it_is_loaded_and_until_it_is_unloaded),
         TEST_IN_FOLDER(a_key_signs_with_its_own_algorithm_alone), TEST_IN_FOLDER(an_es256_signature_is_r_and_s),
         TEST_IN_FOLDER(a_long_message_is_signed_but_with_eddsa_in_kms),
         TEST_IN_FOLDER(a_private_half_that_is_not_the_published_ones_is_refused),
         TEST_IN_FOLDER(after_a_change_of_signers_each_key_goes_to_its_own),
         TEST_IN_FOLDER(without_kms_its_keys_are_of_another_signer),
         TEST_IN_FOLDER(a_key_that_is_disposed_of_signs_no_more),
         TEST_IN_FOLDER(threads_sign_while_the_key_comes_and_goes))
