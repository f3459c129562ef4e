/* test_signer_envelope.c: whose a wrapped key is, what becomes of one that was tampered with, and a key ring over it.
 * What all signers do alike is in test_signers.c. */
#include "keys/keyring.h"
#include "keys/pair.h"
#include "folder.h"
#include "fake_kms.h"
#include "jose/b64.h"
#include "observe/log.h"

static struct settings settings;

static int begin(void **state)
{
    (void)folder_begin(state);
    log_configure(LOG_ERROR, LOG_JSON);
    settings = (struct settings){ .data_dir = folder,
                                  .issuer = "https://issuer.example",
                                  .kms_key_id = fake_add("SYMMETRIC_DEFAULT"),
                                  .signing_alg = JWA_ES256 };
    return 0;
}

static int finish(void **state)
{
    fake_clear();
    return folder_finish(state);
}
#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, finish)

static struct signer *open_envelope(void)
{
    struct signer *signer = NULL;
    assert_ok(signer_envelope_open(&settings, (struct kms *)&fake, &signer));
    return signer;
}
#define OPEN(handle) AUTO(signer_closep) struct signer *handle = open_envelope()

static struct key made(struct signer *signer)
{
    struct key key = { 0 };
    assert_ok(signer->ops->create(signer, &arena, JWA_ES256, &key));
    return key;
}

static void a_wrapped_key_opens_for_its_issuer_and_its_kid_alone(void **state)
{
    (void)state;
    OPEN(first);
    const struct key key = made(first), other = made(first);
    assert_string_equal(fake.wrapped[0].issuer, "https://issuer.example");
    assert_str(key.kid, fake.wrapped[0].kid);
    struct key moved = other; /* its row, with the other's wrapped half */
    moved.private_ref = key.private_ref;
    OPEN(signer);
    assert_code(signer->ops->load(signer, &arena, &moved), ERR_UNAVAILABLE, "another kid");
    assert_false(signs(signer, &moved, JWA_ES256));
    settings.issuer = "https://other.example";
    assert_code(signer->ops->load(signer, &arena, &key), ERR_UNAVAILABLE, "another issuer");
    settings.issuer = "https://issuer.example";
    assert_ok(signer->ops->load(signer, &arena, &key));
}

static void a_reference_that_was_changed_is_refused(void **state)
{
    (void)state;
    OPEN(first);
    struct key key = made(first);
    const struct str good = key.private_ref;
    const char *arn = fake.keys[0].arn, *strange = fake_add("SYMMETRIC_DEFAULT");
    const char *wrapped = strrchr(arena_copy(&arena, good).at, ':') + 1;
    char *long_one = arena_alloc(&arena, 30000);
    memset(long_one, 'A', 30000);
    const struct str refs[] = {
        STR("envelope:"),
        STR("envelope::"),
        STR("envelope:x"),
        arena_printf(&arena, "envelope::%s", wrapped),
        arena_printf(&arena, "envelope:%s:", arn),
        arena_printf(&arena, "envelope:%s:%.*s", arn, (int)strlen(wrapped) - 3, wrapped),
        arena_printf(&arena, "envelope:%s:%s=", arn, wrapped),
        arena_printf(&arena, "envelope:%s:B%s", arn, wrapped + 1),
        arena_printf(&arena, "envelope:%s:%s", strange, wrapped),
        arena_printf(&arena, "envelope:%s-none:%s", arn, wrapped),
        arena_printf(&arena, "envelope:%s:%.*s", arn, 30000, long_one),
    };
    OPEN(signer);
    for (size_t i = 0; i < COUNT(refs); i++) {
        key.private_ref = refs[i];
        assert_code(signer->ops->load(signer, &arena, &key), ERR_UNAVAILABLE, arena_copy(&arena, refs[i]).at);
        assert_false(signs(signer, &key, JWA_ES256));
    }
    key.private_ref = good;
    assert_ok(signer->ops->load(signer, &arena, &key));
}

static void a_kid_that_its_jwk_does_not_say_is_refused(void **state)
{
    (void)state;
    OPEN(signer);
    struct key key = made(signer);
    const struct str good = key.kid, jwk = key.public_jwk;
    signer->ops->unload(signer, key.kid);
    key.kid = STR("AAAAAAAAAAAAAAAAAAAAAA");
    assert_code(signer->ops->load(signer, &arena, &key), ERR_UNAVAILABLE, "another kid");
    key.kid = good;
    const char *bad[] = { "", "with space", "x\\u0000y", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" };
    for (size_t i = 0; i < COUNT(bad); i++) {
        const char *rest = strstr(arena_copy(&arena, jwk).at, "\"use\"");
        key.public_jwk = arena_printf(&arena, "{\"kid\":\"%s\",%s", bad[i], rest);
        assert_code(signer->ops->load(signer, &arena, &key), ERR_UNAVAILABLE, bad[i]);
    }
    key.public_jwk = jwk;
    assert_ok(signer->ops->load(signer, &arena, &key));
}

static void a_disabled_wrapping_key_stops_a_start_but_no_signature(void **state)
{
    (void)state;
    OPEN(signer);
    const struct key key = made(signer);
    fake.keys[0].state = KMS_DISABLED;
    assert_true(signs(signer, &key, JWA_ES256));
    struct err err = signer->ops->check(signer);
    assert_code(err, ERR_UNAVAILABLE, "the next start would fail: said now");
    assert_non_null(strstr(err.why, "disabled"));
    OPEN(next);
    err = next->ops->load(next, &arena, &key);
    assert_code(err, ERR_UNAVAILABLE, "disabled");
    assert_non_null(strstr(err.why, "disabled"));
    struct key another = { 0 };
    assert_code(next->ops->create(next, &arena, JWA_ES256, &another), ERR_UNAVAILABLE, "create");
}

static void kms_out_of_reach_is_no_fault_of_a_key_in_memory(void **state)
{
    (void)state;
    OPEN(signer);
    const struct key key = made(signer);
    fake.failure = failed(ERR_UNAVAILABLE, "AWS KMS does not answer");
    assert_true(signs(signer, &key, JWA_ES256));
    assert_ok(signer->ops->check(signer));
    fake.failure = OK;
}

/* The random kid all the way: store, JWKS, header. */
static void a_key_ring_publishes_the_kid_and_signs_under_it(void **state)
{
    struct store *store = NULL;
    struct keyring *ring = NULL;
    struct buf token;
    struct jws_parts parts;
    struct jws_header header;
    (void)state;
    OPEN(signer);
    assert_ok(store_sqlite_open(&settings, &store));
    assert_ok(keyring_open(store, signer, JWA_ES256, 1000, &arena, &ring));
    const struct keyring_view *view = keyring_acquire(ring);
    assert_int_equal(view->active->kid.len, 22);
    assert_non_null(strstr(arena_copy(&arena, view->jwks).at, arena_copy(&arena, view->active->kid).at));
    buf_init(&token, &arena, 512, 8192);
    assert_ok(keyring_sign(ring, view, SIGN_INTERACTIVE, STR("at+jwt"), STR("{\"a\":1}"), &token));
    assert_ok(jws_split(buf_str(&token), &parts));
    assert_ok(jws_read_header(&arena, parts.header, &header));
    assert_true(str_eq(header.kid, view->active->kid));
    assert_ok(jws_verify(keyring_find(view, header.kid)->jwk, &parts, &header));
    keyring_release(view);
    keyring_close(ring);
    OPEN(next);
    assert_ok(keyring_open(store, next, JWA_ES256, 2000, &arena, &ring)); /* a restart finds and unwraps it */
    keyring_close(ring);
    assert_int_equal(fake.wrapped_count, 1);
    store_closep(&store);
}

RUN(CASE(a_wrapped_key_opens_for_its_issuer_and_its_kid_alone), CASE(a_reference_that_was_changed_is_refused),
    CASE(a_kid_that_its_jwk_does_not_say_is_refused), CASE(a_disabled_wrapping_key_stops_a_start_but_no_signature),
    CASE(kms_out_of_reach_is_no_fault_of_a_key_in_memory), CASE(a_key_ring_publishes_the_kid_and_signs_under_it))
