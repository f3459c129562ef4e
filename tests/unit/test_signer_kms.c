/* test_signer_kms.c: which KMS key becomes the next one, what a KMS key must be, and how its state is watched. What all
 * signers do alike is in test_signers.c. */
#include "keys/pair.h"
#include "keys/signer.h"
#include "folder.h"
#include "fake_kms.h"
#include "observe/log.h"

static struct settings settings;

static int begin(void **state)
{
    (void)folder_begin(state);
    log_configure(LOG_ERROR, LOG_JSON);
    known_count = past_count = 0;
    settings = (struct settings){
        .data_dir = folder, .issuer = "https://issuer.example", .kms_key_id = "", .signing_alg = JWA_ES256
    };
    return 0;
}

static int finish(void **state)
{
    fake_clear();
    return folder_finish(state);
}
#define CASE(function) cmocka_unit_test_setup_teardown(function, begin, finish)

static struct err try_open(struct signer **out, enum signer_kind *kind)
{
    return signer_open(&settings, (struct kms *)&fake, &fake_store, &arena, out, kind);
}

static struct signer *open_kms(void)
{
    struct signer *signer = NULL;
    enum signer_kind kind;
    assert_ok(try_open(&signer, &kind));
    assert_int_equal(kind, SIGNER_KMS);
    return signer;
}
#define OPEN(handle) AUTO(signer_closep) struct signer *handle = open_kms()

static struct err create(struct signer *signer, struct key *key)
{
    *key = (struct key){ .state = KEY_PENDING };
    return signer->ops->create(signer, &arena, (enum jwa)settings.signing_alg, key);
}

static void assert_is(const struct key *key, size_t n)
{
    assert_str(key->private_ref, arena_printf(&arena, "kms:%s", fake.keys[n].arn).at);
}

static const char *list_of(const char *first, const char *second, const char *third)
{
    return arena_printf(&arena, "%s, %s,%s", first, second, third).at;
}

/* --- which key --------------------------------------------------------------------------------------------------- */

static void the_first_key_is_the_one_that_is_named_and_the_next_is_made_like_it(void **state)
{
    struct key first, next, third;
    (void)state;
    settings.signing_alg = JWA_RS256;
    settings.kms_key_id = fake_add("RSA_3072");
    fake.is_slow_to_make = true;
    OPEN(signer);
    assert_ok(create(signer, &first));
    assert_is(&first, 0);
    assert_int_equal(fake.creates, 0);
    remember(&first);
    assert_ok(create(signer, &next));
    assert_is(&next, 1);
    assert_string_equal(fake.keys[1].spec, "RSA_3072");
    assert_str(first.kid, fake.keys[1].tag_value); /* whose successor it is */
    assert_true(signs(signer, &next, JWA_RS256));
    remember(&next);
    assert_ok(create(signer, &third));
    assert_is(&third, 2);
    assert_int_equal(fake.creates, 2);
}

/* The process ended after CreateKey and before the store knew. */
static void a_key_that_an_interrupted_rotation_made_is_found_again(void **state)
{
    struct key first, lost, found, next;
    (void)state;
    settings.kms_key_id = fake_add("ECC_NIST_P256");
    OPEN(signer);
    assert_ok(create(signer, &first));
    remember(&first);
    assert_ok(create(signer, &lost));
    OPEN(again);
    assert_ok(create(again, &found));
    assert_true(str_eq(found.kid, lost.kid));
    assert_int_equal(fake.creates, 1);
    remember(&found);
    assert_ok(create(again, &next));
    assert_int_equal(fake.creates, 2);
    assert_false(str_eq(next.kid, found.kid));
}

static void of_a_list_the_next_is_taken_until_it_is_used_up(void **state)
{
    struct key key;
    (void)state;
    const char *one = fake_add("ECC_NIST_P256"), *two = fake_add("ECC_NIST_P256"), *three = fake_add("ECC_NIST_P256");
    settings.kms_key_id = list_of(one, two, three);
    OPEN(signer);
    for (size_t i = 0; i < 3; i++) {
        assert_ok(create(signer, &key));
        assert_is(&key, i);
        remember(&key);
    }
    struct err err = create(signer, &key);
    assert_code(err, ERR_NOT_FOUND, "used up");
    assert_non_null(strstr(err.why, "KMS_KEY_ID"));
    assert_int_equal(fake.creates, 0);
}

/* An old key was disabled when it retired, and the store lists it no more: it is not taken a second time. */
static void a_key_that_has_had_its_life_is_passed_over(void **state)
{
    struct key first, key;
    (void)state;
    const char *one = fake_add("ECC_NIST_P256"), *two = fake_add("ECC_NIST_P256"), *three = fake_add("ECC_NIST_P256");
    settings.kms_key_id = list_of(one, two, three);
    OPEN(signer);
    assert_ok(create(signer, &first));
    remember(&first);
    assert_ok(create(signer, &key));
    known_keys[0] = key; /* the first is not listed any more */
    assert_ok(signer->ops->dispose(signer, &arena, &first));
    assert_int_equal(fake.keys[0].state, KMS_DISABLED);
    assert_ok(create(signer, &key));
    assert_is(&key, 2);
}

/* DisableKey may be denied, and somebody may enable an old key again. */
static void a_past_key_is_not_taken_again_though_it_is_enabled(void **state)
{
    struct key first, key, next;
    (void)state;
    const char *one = fake_add("ECC_NIST_P256"), *two = fake_add("ECC_NIST_P256"), *three = fake_add("ECC_NIST_P256");
    settings.kms_key_id = list_of(one, two, three);
    OPEN(signer);
    assert_ok(create(signer, &first));
    remember(&first);
    pass();
    assert_ok(create(signer, &key));
    assert_is(&key, 1);
    settings.kms_key_id = one;
    remember(&key);
    assert_ok(create(signer, &key));
    assert_is(&key, 3);
    remember(&key);
    pass(); /* its tag names a key that is known, but it has had its life */
    assert_ok(create(signer, &next));
    assert_is(&next, 4);
}

/* Of two that made one each, the store took the other's; and keys of other stores and specs are none of ours. */
static void a_key_that_lost_a_race_is_put_to_use_by_a_later_rotation(void **state)
{
    struct key first, lost, won, third, found;
    (void)state;
    settings.kms_key_id = fake_add("ECC_NIST_P256");
    OPEN(signer);
    assert_ok(create(signer, &first));
    remember(&first);
    assert_ok(create(signer, &lost)); /* the key at 1 */
    fake.keys[1].state = KMS_DISABLED;
    assert_ok(create(signer, &won)); /* at 2 */
    fake.keys[1].state = KMS_ENABLED;
    remember(&won);
    assert_ok(create(signer, &found));
    assert_is(&found, 1);
    assert_int_equal(fake.creates, 2);
    remember(&found);
    snprintf(fake.keys[1].tag_value, sizeof fake.keys[1].tag_value, "another store's");
    memmove(known_keys, known_keys + 1, --known_count * sizeof *known_keys); /* and it is not there any more */
    assert_ok(create(signer, &third));                                       /* at 3: 1 is nobody's that we know */
    assert_is(&third, 3);
    remember(&third);
    settings.signing_alg = JWA_RS256;
    settings.kms_key_id = fake_add("RSA_2048"); /* at 4 */
    assert_ok(create(signer, &found));
    assert_is(&found, 4);
    remember(&found);
    snprintf(fake.keys[1].tag_value, sizeof fake.keys[1].tag_value, "%.*s", (int)first.kid.len, first.kid.at);
    assert_ok(create(signer, &found)); /* at 5: 1 is of another spec */
    assert_is(&found, 5);
}

static void at_a_first_start_a_disabled_key_is_an_error_and_no_other_is_made(void **state)
{
    static const struct {
        enum kms_key_state state;
        const char *says;
    } rows[] = { { KMS_DISABLED, "disabled" }, { KMS_PENDING_DELETION, "deletion" } };
    struct key key;
    (void)state;
    const char *one = fake_add("ECC_NIST_P256"), *two = fake_add("ECC_NIST_P256"), *three = fake_add("ECC_NIST_P256");
    settings.kms_key_id = list_of(one, two, three);
    OPEN(signer);
    for (size_t i = 0; i < COUNT(rows); i++) {
        fake.keys[0].state = rows[i].state;
        struct err err = create(signer, &key);
        assert_code(err, ERR_UNAVAILABLE, rows[i].says);
        assert_non_null(strstr(err.why, rows[i].says));
    }
    settings.kms_key_id = fake.keys[0].arn;
    assert_code(create(signer, &key), ERR_UNAVAILABLE, "a single one");
    assert_int_equal(fake.creates, 0);
}

static void an_alias_follows_the_active_key(void **state)
{
    struct key first, next;
    (void)state;
    fake_add("ECC_NIST_P256");
    snprintf(fake.alias, sizeof fake.alias, "alias/tokens");
    settings.kms_key_id = "alias/tokens";
    OPEN(signer);
    assert_ok(create(signer, &first));
    assert_is(&first, 0);
    remember(&first);
    assert_ok(create(signer, &next));
    assert_is(&next, 1);
    assert_int_equal(fake.alias_target, 0); /* it is pending */
    assert_ok(signer->ops->load(signer, &arena, &next));
    assert_int_equal(fake.alias_target, 0);
    next.state = KEY_ACTIVE;
    assert_ok(signer->ops->load(signer, &arena, &next));
    assert_int_equal(fake.alias_target, 1);
    settings.kms_key_id = "arn:aws:kms:us-east-1:111122223333:alias/tokens";
    first.state = KEY_ACTIVE;
    assert_ok(signer->ops->load(signer, &arena, &first));
    assert_int_equal(fake.alias_target, 0);
    settings.kms_key_id = "alias/other"; /* no such alias: signing goes on */
    next.state = KEY_ACTIVE;
    assert_ok(signer->ops->load(signer, &arena, &next));
    assert_true(signs(signer, &next, JWA_ES256));
}

/* --- what a key must be ------------------------------------------------------------------------------------------ */

static void the_kind_follows_from_the_key_or_is_refused_with_a_sentence(void **state)
{
    static const struct {
        const char *spec;
        enum signer_kind asked;
        enum jwa alg;
        enum signer_kind opened; /* SIGNER_AUTO: none */
        const char *says;
    } rows[] = {
        { "RSA_2048", SIGNER_AUTO, JWA_RS256, SIGNER_KMS, "" },
        { "RSA_3072", SIGNER_AUTO, JWA_PS256, SIGNER_KMS, "" },
        { "ECC_NIST_P256", SIGNER_KMS, JWA_ES256, SIGNER_KMS, "" },
        { "ECC_NIST_EDWARDS25519", SIGNER_AUTO, JWA_EDDSA, SIGNER_KMS, "" },
        { "SYMMETRIC_DEFAULT", SIGNER_AUTO, JWA_RS256, SIGNER_ENVELOPE, "" },
        { "SYMMETRIC_DEFAULT", SIGNER_ENVELOPE, JWA_EDDSA, SIGNER_ENVELOPE, "" },
        { "RSA_2048", SIGNER_LOCAL, JWA_ES256, SIGNER_LOCAL, "" },
        { "RSA_2048", SIGNER_AUTO, JWA_ES256, SIGNER_AUTO, "ES256" },
        { "ECC_NIST_P256", SIGNER_AUTO, JWA_RS256, SIGNER_AUTO, "RS256" },
        { "ECC_NIST_P256", SIGNER_AUTO, JWA_EDDSA, SIGNER_AUTO, "EdDSA" },
        { "ECC_NIST_EDWARDS25519", SIGNER_AUTO, JWA_ES256, SIGNER_AUTO, "ES256" },
        { "SYMMETRIC_DEFAULT", SIGNER_KMS, JWA_RS256, SIGNER_AUTO, "SIGN_VERIFY" },
        { "RSA_2048", SIGNER_ENVELOPE, JWA_RS256, SIGNER_AUTO, "SYMMETRIC_DEFAULT" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(signer_closep) struct signer *signer = NULL;
        enum signer_kind kind;
        settings.kms_key_id = fake_add(rows[i].spec);
        settings.signer = rows[i].asked;
        settings.signing_alg = (int64_t)rows[i].alg;
        struct err err = try_open(&signer, &kind);
        assert_code(err, rows[i].opened == SIGNER_AUTO ? ERR_INVALID_REQUEST : ERR_OK, rows[i].spec);
        if (err.code)
            assert_row(strstr(err.why, rows[i].says) != NULL, err.why);
        else
            assert_int_equal(kind, rows[i].opened);
    }
    settings.signer = SIGNER_AUTO;
    AUTO(signer_closep) struct signer *signer = NULL;
    enum signer_kind kind;
    settings.kms_key_id = "no-such-key";
    assert_code(try_open(&signer, &kind), ERR_INVALID_REQUEST, "unknown");
    settings.kms_key_id = list_of(fake.keys[4].arn, fake.keys[4].arn, fake.keys[5].arn);
    assert_code(try_open(&signer, &kind), ERR_INVALID_REQUEST, "a list of symmetric keys");
    fake.failure = failed(ERR_UNAVAILABLE, "AWS KMS does not answer");
    assert_code(try_open(&signer, &kind), ERR_UNAVAILABLE, "away");
}

static void a_key_that_may_not_sign_is_not_loaded(void **state)
{
    static const struct {
        enum kms_key_state state;
        const char *says;
    } rows[] = { { KMS_DISABLED, "disabled" }, { KMS_PENDING_DELETION, "deletion" } };
    struct key key;
    (void)state;
    settings.kms_key_id = fake_add("ECC_NIST_P256");
    OPEN(first);
    assert_ok(create(first, &key));
    for (size_t i = 0; i < COUNT(rows); i++) {
        OPEN(signer);
        fake.keys[0].state = rows[i].state;
        struct err err = signer->ops->load(signer, &arena, &key);
        assert_code(err, ERR_UNAVAILABLE, rows[i].says);
        assert_non_null(strstr(err.why, rows[i].says));
        assert_false(signs(signer, &key, JWA_ES256));
    }
    OPEN(signer);
    struct key gone = key;
    gone.private_ref = STR("kms:arn:aws:kms:us-east-1:111122223333:key/none");
    assert_code(signer->ops->load(signer, &arena, &gone), ERR_UNAVAILABLE, "gone");
    gone.private_ref = STR("kms:");
    assert_code(signer->ops->load(signer, &arena, &gone), ERR_UNAVAILABLE, "nothing");
}

static void the_trial_of_a_key_goes_before_all_tokens(void **state)
{
    struct key key;
    (void)state;
    settings.kms_key_id = fake_add("RSA_2048");
    settings.signing_alg = JWA_RS256;
    OPEN(signer);
    fake.last_priority = -1;
    assert_ok(create(signer, &key));
    assert_int_equal(fake.last_priority, KMS_TRIAL);
    assert_true(KMS_TRIAL < KMS_INTERACTIVE && KMS_INTERACTIVE < KMS_CLIENT_CREDENTIALS);
    assert_true(signs(signer, &key, JWA_RS256));
    assert_int_equal(fake.last_priority, KMS_INTERACTIVE);
}

static void an_rsa_signature_that_does_not_verify_is_not_given_out(void **state)
{
    struct key key;
    char signature[JWK_SIGNATURE_MAX];
    size_t len = 0;
    (void)state;
    settings.kms_key_id = fake_add("RSA_2048");
    settings.signing_alg = JWA_RS256;
    OPEN(signer);
    fake.signs_wrong = true;
    assert_code(create(signer, &key), ERR_UNAVAILABLE, "it does not even become a key");
    fake.signs_wrong = false;
    assert_ok(create(signer, &key));
    fake.signs_wrong = true;
    assert_code(signer->ops->sign(signer, key.kid, JWA_RS256, SIGN_INTERACTIVE, STR("a.b"), signature, &len),
                ERR_UNAVAILABLE, "sign");
    fake.signs_wrong = false;
    assert_true(signs(signer, &key, JWA_RS256));
}

/* --- readiness --------------------------------------------------------------------------------------------------- */

static void readiness_costs_no_call_each_and_sees_a_failed_signature_at_once(void **state)
{
    struct key key;
    (void)state;
    settings.kms_key_id = fake_add("ECC_NIST_P256");
    OPEN(signer);
    assert_ok(create(signer, &key));
    assert_ok(signer->ops->check(signer));
    int asked = fake.describes;
    for (int i = 0; i < 100; i++)
        assert_ok(signer->ops->check(signer));
    assert_int_equal(fake.describes, asked);
    fake.keys[0].state = KMS_DISABLED;
    assert_ok(signer->ops->check(signer)); /* nobody has noticed yet */
    assert_false(signs(signer, &key, JWA_ES256));
    struct err err = signer->ops->check(signer);
    assert_code(err, ERR_UNAVAILABLE, "disabled");
    assert_non_null(strstr(err.why, "disabled"));
    fake.keys[0].state = KMS_ENABLED;
    assert_true(signs(signer, &key, JWA_ES256));
    fake.failure = failed(ERR_UNAVAILABLE, "AWS KMS does not answer");
    assert_false(signs(signer, &key, JWA_ES256)); /* away for a moment, having signed just before: no news */
    assert_code(signer->ops->check(signer), ERR_UNAVAILABLE, "what was heard last stands");
    fake.failure = OK;
}

static void kms_out_of_reach_is_told_when_nothing_has_been_signed_for_long(void **state)
{
    struct key key;
    (void)state;
    settings.kms_key_id = fake_add("ECC_NIST_P256");
    OPEN(maker);
    assert_ok(create(maker, &key));
    OPEN(signer);
    assert_ok(signer->ops->load(signer, &arena, &key));
    fake.failure = failed(ERR_UNAVAILABLE, "AWS KMS does not answer");
    struct err err = signer->ops->check(signer);
    assert_code(err, ERR_UNAVAILABLE, "away");
    assert_non_null(strstr(err.why, "does not answer"));
    fake.failure = OK;
}

/* A standby is asked about by the rotation; whether the service is ready is a matter of the key that signs. */
static void a_standby_that_is_taken_away_makes_nobody_unready(void **state)
{
    struct key active, standby;
    (void)state;
    settings.kms_key_id = fake_add("ECC_NIST_P256");
    OPEN(signer);
    assert_ok(create(signer, &active));
    remember(&active);
    active.state = KEY_ACTIVE;
    assert_ok(signer->ops->load(signer, &arena, &active));
    assert_ok(create(signer, &standby));
    fake.keys[1].state = KMS_DISABLED;
    assert_false(signs(signer, &standby, JWA_ES256));
    assert_ok(signer->ops->check(signer));
    fake.keys[0].state = KMS_DISABLED;
    fake.keys[1].state = KMS_ENABLED;
    assert_false(signs(signer, &active, JWA_ES256));
    assert_code(signer->ops->check(signer), ERR_UNAVAILABLE, "the active one");
    standby.state = KEY_ACTIVE;
    assert_ok(signer->ops->load(signer, &arena, &standby));
    assert_ok(signer->ops->check(signer));
}

RUN(CASE(the_first_key_is_the_one_that_is_named_and_the_next_is_made_like_it),
    CASE(a_key_that_an_interrupted_rotation_made_is_found_again), CASE(of_a_list_the_next_is_taken_until_it_is_used_up),
    CASE(a_key_that_has_had_its_life_is_passed_over), CASE(a_past_key_is_not_taken_again_though_it_is_enabled),
    CASE(a_key_that_lost_a_race_is_put_to_use_by_a_later_rotation),
    CASE(a_standby_that_is_taken_away_makes_nobody_unready),
    CASE(at_a_first_start_a_disabled_key_is_an_error_and_no_other_is_made), CASE(an_alias_follows_the_active_key),
    CASE(the_kind_follows_from_the_key_or_is_refused_with_a_sentence), CASE(a_key_that_may_not_sign_is_not_loaded),
    CASE(the_trial_of_a_key_goes_before_all_tokens), CASE(an_rsa_signature_that_does_not_verify_is_not_given_out),
    CASE(readiness_costs_no_call_each_and_sees_a_failed_signature_at_once),
    CASE(kms_out_of_reach_is_told_when_nothing_has_been_signed_for_long))
