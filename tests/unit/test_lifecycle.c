/* test_lifecycle.c: the rules of a key's life, as tables: settings that are safe and their neighbours that are not;
 * what is due a second before and at its time; the timetable and the explanations. */
#include "keys/lifecycle.h"
#include "unit.h"

/* max-age 100, stale 20 and 50, skew 10, notice 2: pending at least 162. Tokens of 1000: retiring at least 1012. */
static const struct settings usual = { .signing_alg = JWA_ES256,
                                       .access_ttl_max_s = 500,
                                       .refresh_ttl_max_s = 1000,
                                       .id_ttl_max_s = 700,
                                       .clock_skew_s = 10,
                                       .jwks_max_age_s = 100,
                                       .jwks_stale_while_revalidate_s = 20,
                                       .jwks_stale_if_error_s = 50,
                                       .key_rotation_s = 5000,
                                       .key_pending_s = 200,
                                       .key_retiring_s = 0 };

static const struct key pending_key = {
    .kid = ROW("next"), .alg = ROW("ES256"), .state = KEY_PENDING, .published_at = 10000
};
static const struct key active_key = { .kid = ROW("now"),
                                       .alg = ROW("ES256"),
                                       .state = KEY_ACTIVE,
                                       .published_at = 5000,
                                       .activated_at = 10000,
                                       .lifetime_s = 1000 };
static const struct key retiring_key = { .kid = ROW("old"),
                                         .alg = ROW("ES256"),
                                         .state = KEY_RETIRING,
                                         .activated_at = 5000,
                                         .retiring_at = 10000,
                                         .lifetime_s = 1000,
                                         .retire_after = 11012 };

/* --- settings ---------------------------------------------------------------------------------------------------- */

static void settings_are_safe_or_a_sentence_names_the_one_that_is_not(void **state)
{
    static const struct {
        const char *row;
        size_t offset;
        int64_t value;
        const char *names; /* NULL: it is safe */
    } rows[] = {
#define SETTING(member) offsetof(struct settings, member)
        { "as they are", SETTING(key_pending_s), 200, NULL },
        { "pending as long as caches", SETTING(key_pending_s), 162, NULL },
        { "pending a second less", SETTING(key_pending_s), 161, "TOKEN_KEY_PENDING" },
        { "pending not at all", SETTING(key_pending_s), 0, "TOKEN_KEY_PENDING" },
        { "max-age counts", SETTING(jwks_max_age_s), 138, NULL },
        { "max-age counts, above", SETTING(jwks_max_age_s), 139, "TOKEN_KEY_PENDING" },
        { "the larger stale time counts", SETTING(jwks_stale_while_revalidate_s), 88, NULL },
        { "the larger stale time counts, above", SETTING(jwks_stale_while_revalidate_s), 89, "TOKEN_KEY_PENDING" },
        { "the other stale time", SETTING(jwks_stale_if_error_s), 89, "TOKEN_KEY_PENDING" },
        { "skew counts", SETTING(clock_skew_s), 48, NULL },
        { "skew counts, above", SETTING(clock_skew_s), 49, "TOKEN_KEY_PENDING" },
        { "retiring as long as tokens", SETTING(key_retiring_s), 1012, NULL },
        { "retiring a second less", SETTING(key_retiring_s), 1011, "TOKEN_KEY_RETIRING" },
        { "retiring computed", SETTING(key_retiring_s), 0, NULL },
        { "never by itself", SETTING(key_rotation_s), 0, NULL },
        { "as short as pending", SETTING(key_rotation_s), 200, NULL },
        { "shorter than pending", SETTING(key_rotation_s), 199, "TOKEN_KEY_ROTATION" },
        { "the longest token decides", SETTING(id_ttl_max_s), 150000, "TOKEN_KEY_ROTATION" },
        { "keys enough for it", SETTING(id_ttl_max_s), 149000, NULL },
#undef SETTING
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct settings settings = usual;
        memcpy((char *)&settings + rows[i].offset, &rows[i].value, sizeof rows[i].value);
        struct err err = lifecycle_check(&arena, &settings);
        assert_code(err, rows[i].names ? ERR_INVALID_REQUEST : ERR_OK, rows[i].row);
        if (rows[i].names) {
            assert_int_equal(strncmp(err.why, rows[i].names, strlen(rows[i].names)), 0);
            assert_true(strlen(err.why) < 500);
        }
    }
}

static void the_terms_are_the_longest_lifetime_and_the_margins(void **state)
{
    const struct key_terms terms = lifecycle_terms(&usual);
    (void)state;
    assert_int_equal(terms.lifetime_s, 1000);
    assert_int_equal(terms.margin_s, 12);
    assert_int_equal(terms.retiring_s, 0);
    assert_int_equal(lifecycle_pending_min_s(&usual), 162);
}

/* --- what is due ------------------------------------------------------------------------------------------------- */

enum { NONE = 0, PENDING = 1, ACTIVE = 2, RETIRING = 4 };

static void steps_are_due_at_their_time_and_no_second_before(void **state)
{
    static const struct {
        const char *row;
        int keys;
        int64_t now_s, published_at, requested_at, rotation_s;
        enum jwa alg; /* of the settings */
        enum step step;
        const char *kid;
    } rows[] = {
        { "no key at all", NONE, 10000, 0, 0, 5000, JWA_ES256, STEP_NONE, NULL },
        { "no standby", ACTIVE, 10000, 0, 0, 5000, JWA_ES256, STEP_MAKE_STANDBY, NULL },
        { "no standby, and never rotates", ACTIVE, 10000, 0, 0, 0, JWA_ES256, STEP_MAKE_STANDBY, NULL },
        { "young", ACTIVE | PENDING, 10001, 10000, 0, 5000, JWA_ES256, STEP_NONE, NULL },
        { "a second before its age", ACTIVE | PENDING, 14999, 10000, 0, 5000, JWA_ES256, STEP_NONE, NULL },
        { "of age", ACTIVE | PENDING, 15000, 10000, 0, 5000, JWA_ES256, STEP_ROTATE, "next" },
        { "of age, never by itself", ACTIVE | PENDING, 15000, 10000, 0, 0, JWA_ES256, STEP_NONE, NULL },
        { "of age, standby too young", ACTIVE | PENDING, 15000, 14801, 0, 5000, JWA_ES256, STEP_NONE, NULL },
        { "of age, standby just known", ACTIVE | PENDING, 15000, 14800, 0, 5000, JWA_ES256, STEP_ROTATE, "next" },
        { "asked for", ACTIVE | PENDING, 11000, 10000, 10900, 5000, JWA_ES256, STEP_ROTATE, "next" },
        { "asked for, never by itself", ACTIVE | PENDING, 11000, 10000, 10900, 0, JWA_ES256, STEP_ROTATE, "next" },
        { "asked for, standby too young", ACTIVE | PENDING, 11000, 10801, 10900, 5000, JWA_ES256, STEP_NONE, NULL },
        { "another algorithm", ACTIVE | PENDING, 10000, 10000, 0, 5000, JWA_RS256, STEP_DROP_STANDBY, "next" },
        { "another algorithm, no standby", ACTIVE, 10000, 0, 0, 5000, JWA_RS256, STEP_MAKE_STANDBY, NULL },
        { "retiring, a second before", ACTIVE | PENDING | RETIRING, 11011, 10000, 0, 5000, JWA_ES256, STEP_NONE, NULL },
        { "retiring, over", ACTIVE | PENDING | RETIRING, 11012, 10000, 0, 5000, JWA_ES256, STEP_RETIRE, "old" },
        { "retiring comes first", ACTIVE | PENDING | RETIRING, 15000, 10000, 0, 5000, JWA_ES256, STEP_RETIRE, "old" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct settings settings = usual;
        struct key keys[3], pending = pending_key, active = active_key;
        size_t count = 0;
        settings.key_rotation_s = rows[i].rotation_s;
        settings.signing_alg = rows[i].alg;
        pending.published_at = rows[i].published_at;
        active.rotate_requested_at = rows[i].requested_at;
        if (rows[i].keys & PENDING)
            keys[count++] = pending;
        if (rows[i].keys & ACTIVE)
            keys[count++] = active;
        if (rows[i].keys & RETIRING)
            keys[count++] = retiring_key;
        const struct lifecycle life = { keys, count, &settings };
        const struct due due = lifecycle_due(&life, rows[i].now_s);
        assert_row(due.step == rows[i].step, rows[i].row);
        assert_row(rows[i].kid ? due.key && str_eq(due.key->kid, str_of(rows[i].kid)) : !due.key, rows[i].row);
    }
}

static void a_new_algorithm_is_followed_when_verifiers_know_its_key(void **state)
{
    struct settings settings = usual;
    struct key keys[] = { pending_key, active_key };
    const struct lifecycle life = { keys, 2, &settings };
    (void)state;
    settings.signing_alg = JWA_EDDSA;
    keys[0].alg = STR("EdDSA");
    assert_int_equal(lifecycle_rotation_at(&life, 10001), 10200);
    assert_int_equal(lifecycle_due(&life, 10199).step, STEP_NONE);
    assert_int_equal(lifecycle_due(&life, 10200).step, STEP_ROTATE);
}

/* Room is kept for the standby after a rotation: else an emergency would find no key that verifiers know. */
static void with_too_many_keys_nothing_is_added(void **state)
{
    struct key keys[KEYS_LIVE_MAX];
    struct lifecycle life = { keys, KEYS_LIVE_MAX, &usual };
    (void)state;
    for (size_t i = 0; i < KEYS_LIVE_MAX; i++) {
        keys[i] = retiring_key;
        keys[i].retire_after = 1000000;
    }
    keys[1] = active_key;
    assert_int_equal(lifecycle_due(&life, 15000).step, STEP_NONE); /* no standby, and no room for one */
    keys[0] = pending_key;
    assert_int_equal(lifecycle_due(&life, 15000).step, STEP_NONE); /* of age, but no room for the one after */
    life.count = KEYS_LIVE_MAX - 1;
    assert_int_equal(lifecycle_due(&life, 15000).step, STEP_ROTATE);
    keys[20].retire_after = 15000;
    assert_int_equal(lifecycle_due(&life, 15000).step, STEP_RETIRE);
}

/* --- for people -------------------------------------------------------------------------------------------------- */

static void the_plan_is_in_order_and_has_each_step(void **state)
{
    const struct key keys[] = { pending_key, active_key, retiring_key };
    const struct lifecycle life = { keys, 3, &usual };
    struct plan_row rows[PLAN_MAX];
    static const struct {
        int64_t at_s;
        const char *kid, *event;
    } expected[] = { { 10200, "next", "may sign" },     { 11012, "old", "is retired" },
                     { 15000, "now", "stops signing" }, { 15000, "next", "begins to sign" },
                     { 15000, "", "is made" },          { 16012, "now", "is retired" },
                     { 20000, "next", "stops signing" } };
    (void)state;
    assert_int_equal(lifecycle_plan(&life, 10100, rows), COUNT(expected));
    for (size_t i = 0; i < COUNT(expected); i++) {
        assert_int_equal(rows[i].at_s, expected[i].at_s);
        assert_str(rows[i].kid, expected[i].kid);
        assert_non_null(strstr(rows[i].event.at, expected[i].event));
    }
}

static void the_plan_of_a_key_alone_begins_with_a_standby(void **state)
{
    const struct lifecycle life = { &active_key, 1, &usual }, none = { NULL, 0, &usual };
    struct plan_row rows[PLAN_MAX];
    (void)state;
    assert_true(lifecycle_plan(&life, 10100, rows) >= 4);
    assert_int_equal(rows[0].at_s, 10100);
    assert_non_null(strstr(rows[0].event.at, "is made"));
    assert_int_equal(lifecycle_plan(&none, 10100, rows), 0);
}

static void each_state_is_explained(void **state)
{
    struct key keys[] = { pending_key, active_key, retiring_key, retiring_key, retiring_key };
    struct settings never = usual;
    const struct lifecycle life = { keys, 3, &usual }, waits = { keys, 3, &never };
    static const char *const says[] = { "pending", "signs every new token", "stays published", "Nothing comes next",
                                        "stolen" };
    (void)state;
    keys[3].state = KEY_RETIRED;
    keys[3].retired_at = 11012;
    keys[4].state = KEY_REVOKED;
    keys[4].revoked_at = 11000;
    keys[4].revocation_reason = STR("stolen");
    never.key_rotation_s = 0;
    for (size_t i = 0; i < COUNT(keys); i++) {
        struct str text = lifecycle_explain(&life, &arena, &keys[i], 10500);
        assert_row(text.len > 40 && strstr(text.at, says[i]), says[i]);
    }
    assert_non_null(strstr(lifecycle_explain(&waits, &arena, &keys[1], 10500).at, "TOKEN_KEY_ROTATION is 0"));
    keys[1].rotate_requested_at = 10400;
    assert_non_null(strstr(lifecycle_explain(&life, &arena, &keys[1], 10500).at, "was asked for"));
}

static void spans_are_written_for_people(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } spans[] = { { -5, "0 s" },        { 0, "0 s" },          { 59, "59 s" },
                  { 60, "1 min" },      { 61, "1 min 1 s" },   { 3599, "59 min 59 s" },
                  { 3600, "1 h" },      { 7260, "2 h 1 min" }, { 86400, "1 d" },
                  { 90000, "1 d 1 h" }, { 7776000, "90 d" },   { 86401, "1 d" } };
    for (size_t i = 0; i < COUNT(spans); i++)
        assert_str(lifecycle_span(&arena, spans[i].seconds), spans[i].text);
}

RUN(TEST(settings_are_safe_or_a_sentence_names_the_one_that_is_not),
    TEST(the_terms_are_the_longest_lifetime_and_the_margins), TEST(steps_are_due_at_their_time_and_no_second_before),
    TEST(a_new_algorithm_is_followed_when_verifiers_know_its_key), TEST(with_too_many_keys_nothing_is_added),
    TEST(the_plan_is_in_order_and_has_each_step), TEST(the_plan_of_a_key_alone_begins_with_a_standby),
    TEST(each_state_is_explained), TEST(spans_are_written_for_people))
