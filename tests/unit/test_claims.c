/* test_claims.c: what a payload must hold, how it is checked against the clock and the caller, and what is written. */
#include "jose/claims.h"
#include "unit.h"

static struct err read(struct str payload, struct claims *out)
{
    struct claims seen;
    char *copy = exactly(payload);
    struct err err = claims_read(&arena, (struct str){ copy, payload.len }, &seen);
    free(copy);
    struct err again = claims_read(&arena, payload, out);
    assert_int_equal(err.code, again.code);
    return again;
}

/* --- kinds ------------------------------------------------------------------------------------------------------- */

static void each_kind_has_one_name_and_one_typ(void **state)
{
    static const struct {
        enum token_kind kind;
        const char *name, *typ;
    } rows[] = { { TOKEN_ACCESS, "access", "at+jwt" },
                 { TOKEN_REFRESH, "refresh", "rt+jwt" },
                 { TOKEN_ID, "id", "JWT" } };
    static const struct str no_name[] = { ROW(""),         ROW("Access"), ROW("ACCESS"), ROW("access "), ROW("at+jwt"),
                                          ROW("access\0"), ROW("acces"),  ROW("i"),      ROW("idtoken"), ROW("JWT") };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum token_kind kind = 0;
        assert_str(token_kind_name(rows[i].kind), rows[i].name);
        assert_str(token_kind_typ(rows[i].kind), rows[i].typ);
        assert_true(token_kind_find(str_of(rows[i].name), &kind));
        assert_int_equal(kind, rows[i].kind);
    }
    for (size_t i = 0; i < COUNT(no_name); i++) {
        enum token_kind kind = 0;
        assert_row(!token_kind_find(no_name[i], &kind) && kind == 0, no_name[i].at);
    }
}

/* RFC 7515 section 4.1.9: a media type, its "application/" left out as a rule, without case. */
static void a_typ_is_a_media_type(void **state)
{
    static const struct {
        struct str typ;
        enum token_kind kind; /* 0: none */
    } rows[] = {
        { ROW("at+jwt"), TOKEN_ACCESS },
        { ROW("AT+JWT"), TOKEN_ACCESS },
        { ROW("application/at+jwt"), TOKEN_ACCESS },
        { ROW("Application/AT+jwt"), TOKEN_ACCESS },
        { ROW("rt+jwt"), TOKEN_REFRESH },
        { ROW("application/rt+jwt"), TOKEN_REFRESH },
        { ROW("JWT"), TOKEN_ID },
        { ROW("jwt"), TOKEN_ID },
        { ROW("application/jwt"), TOKEN_ID },
        { ROW(""), 0 },
        { ROW("application/"), 0 },
        { ROW("application"), 0 },
        { ROW("application/application/at+jwt"), 0 },
        { ROW("/at+jwt"), 0 },
        { ROW("text/at+jwt"), 0 },
        { ROW("at+jwt "), 0 },
        { ROW(" at+jwt"), 0 },
        { ROW("at+jwt\0"), 0 },
        { ROW("at+jwt; charset=utf-8"), 0 },
        { ROW("at"), 0 },
        { ROW("at_jwt"), 0 },
        { ROW("id+jwt"), 0 },
        { ROW("logout+jwt"), 0 },
        { ROW("dpop+jwt"), 0 },
        { ROW("token-introspection+jwt"), 0 },
        { ROW("secevent+jwt"), 0 },
        { ROW("oauth-authz-req+jwt"), 0 },
        { ROW("JOSE"), 0 },
    };
    enum token_kind none = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum token_kind kind = 0;
        assert_row(token_kind_of_typ(rows[i].typ, &kind) == (rows[i].kind != 0), rows[i].typ.at);
        assert_row(kind == rows[i].kind, rows[i].typ.at);
    }
    assert_false(token_kind_of_typ((struct str){ NULL, 0 }, &none));
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

#define ALL_BUT_TIMES "\"iss\":\"https://i\",\"sub\":\"s\",\"aud\":\"a\",\"jti\":\"j\""
#define TIMES "\"exp\":2000,\"iat\":1000,\"nbf\":1000"
#define ALL ALL_BUT_TIMES "," TIMES

static void a_payload_is_read_into_its_claims(void **state)
{
    struct claims claims;
    const struct str payload = STR(
        " {" ALL ",\"client_id\":\"c\",\"azp\":\"z\",\"scope\":\"x y\",\"token_type\":\"Bearer\",\"nonce\":\"n\","
        "\"auth_time\":900,\"role\":\"admin\",\"deep\":{\"exp\":\"no claim of the token\"}} ");
    (void)state;
    assert_ok(read(payload, &claims));
    assert_str(claims.iss, "https://i");
    assert_str(claims.sub, "s");
    assert_str(claims.jti, "j");
    assert_str(claims.client_id, "c");
    assert_str(claims.azp, "z");
    assert_str(claims.scope, "x y");
    assert_str(claims.token_type, "Bearer");
    assert_str(claims.nonce, "n");
    assert_int_equal(claims.aud_count, 1);
    assert_str(claims.aud[0], "a");
    assert_int_equal(claims.exp, 2000);
    assert_int_equal(claims.iat, 1000);
    assert_int_equal(claims.nbf, 1000);
    assert_int_equal(claims.auth_time, 900);
    assert_true(str_eq(claims.text, payload));
    assert_str(json_member(claims.all, STR("role"))->text, "admin");
    assert_ok(read(STR("{" ALL "}"), &claims));
    assert_null(claims.client_id.at);
    assert_null(claims.azp.at);
    assert_null(claims.scope.at);
    assert_null(claims.token_type.at);
    assert_null(claims.nonce.at);
    assert_int_equal(claims.auth_time, -1);
}

static void a_payload_that_is_not_one_object_is_malformed(void **state)
{
    static const struct str bad[] = {
        ROW(""),
        ROW(" "),
        ROW("null"),
        ROW("[]"),
        ROW("\"x\""),
        ROW("1"),
        ROW("[{" ALL "}]"),
        ROW("{" ALL),
        ROW("{" ALL "}{}"),
        ROW("{" ALL "}\0"),
        ROW("{" ALL ",}"),
        ROW("\xef\xbb\xbf{" ALL "}"),
        ROW("{" ALL ",\"exp\":3000}"), /* twice: one takes the first, another the last */
        ROW("{" ALL ",\"sub\":\"admin\"}"),
        ROW("{" ALL ",\"\\u0073ub\":\"admin\"}"),
        ROW("{" ALL ",\"x\":{\"a\":1,\"a\":2}}"),
        ROW("{" ALL ",\"x\":\"\\u0000\"}"),
        ROW("{" ALL ",\"x\":\"\xff\"}"),
        ROW("{" ALL ",\"x\":1e400}"),
        ROW("{" ALL ",\"x\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}"),
        ROW("eyJ9"),
    };
    struct claims claims = { .exp = 42 };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_code(read(bad[i], &claims), ERR_TOKEN_MALFORMED, bad[i].at);
        assert_int_equal(claims.exp, 42);
    }
}

static void a_claim_that_every_token_has_may_not_be_missing(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"sub\":\"s\",\"aud\":\"a\",\"jti\":\"j\"," TIMES "}",
        "{\"iss\":\"i\",\"aud\":\"a\",\"jti\":\"j\"," TIMES "}",
        "{\"iss\":\"i\",\"sub\":\"s\",\"jti\":\"j\"," TIMES "}",
        "{\"iss\":\"i\",\"sub\":\"s\",\"aud\":\"a\"," TIMES "}",
        "{" ALL_BUT_TIMES ",\"iat\":1,\"nbf\":1}",
        "{" ALL_BUT_TIMES ",\"exp\":1,\"nbf\":1}",
        "{" ALL_BUT_TIMES ",\"exp\":1,\"iat\":1}",
        "{" ALL_BUT_TIMES ",\"Exp\":1,\"iat\":1,\"nbf\":1}",
        "{\"claims\":{" ALL "}}",
    };
    struct claims claims;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_code(read(str_of(bad[i]), &claims), ERR_TOKEN_CLAIM, bad[i]);
}

static void a_registered_claim_has_its_type(void **state)
{
    static const char *const names[] = { "iss", "sub", "jti", "client_id", "azp", "scope", "token_type", "nonce" };
    static const char *const wrong[] = { "null", "1", "true", "[\"x\"]", "{}", "[]" };
    struct claims claims;
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        for (size_t j = 0; j < COUNT(wrong); j++) {
            struct buf buf;
            buf_init(&buf, &arena, 256, 1024);
            buf_add(&buf, STR("{\"aud\":\"a\"," TIMES));
            for (size_t k = 0; k < COUNT(names); k++) {
                json_write_name(&buf, str_of(names[k]));
                buf_add(&buf, k == i ? str_of(wrong[j]) : STR("\"x\""));
            }
            buf_add_char(&buf, '}');
            assert_code(read(buf_str(&buf), &claims), ERR_TOKEN_CLAIM, arena_copy(&arena, buf_str(&buf)).at);
        }
}

static void a_time_is_a_whole_number_from_1970_to_9999(void **state)
{
    static const struct {
        const char *text;
        enum err_code code;
        int64_t value;
    } rows[] = {
        { "0", ERR_OK, 0 },
        { "1", ERR_OK, 1 },
        { "253402300799", ERR_OK, CLAIMS_TIME_MAX },
        { "253402300800", ERR_TOKEN_CLAIM, 0 },
        { "-1", ERR_TOKEN_CLAIM, 0 },
        { "-9223372036854775808", ERR_TOKEN_CLAIM, 0 },
        { "9223372036854775807", ERR_TOKEN_CLAIM, 0 },
        { "9223372036854775808", ERR_TOKEN_CLAIM, 0 },
        { "18446744073709551617", ERR_TOKEN_CLAIM, 0 }, /* 2^64 + 1 */
        { "340282366920938463463374607431768211456", ERR_TOKEN_CLAIM, 0 },
        { "1.0", ERR_TOKEN_CLAIM, 0 },
        { "1.5", ERR_TOKEN_CLAIM, 0 },
        { "1e3", ERR_TOKEN_CLAIM, 0 },
        { "1e308", ERR_TOKEN_CLAIM, 0 },
        { "1e400", ERR_TOKEN_MALFORMED, 0 }, /* no double: not even JSON as we take it */
        { "1e-400", ERR_TOKEN_CLAIM, 0 },
        { "\"2000\"", ERR_TOKEN_CLAIM, 0 },
        { "null", ERR_TOKEN_CLAIM, 0 },
        { "true", ERR_TOKEN_CLAIM, 0 },
        { "[2000]", ERR_TOKEN_CLAIM, 0 },
        { "{}", ERR_TOKEN_CLAIM, 0 },
        { "NaN", ERR_TOKEN_MALFORMED, 0 },
    };
    static const char *const names[] = { "exp", "iat", "nbf", "auth_time" };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        for (size_t j = 0; j < COUNT(rows); j++) {
            struct claims claims;
            struct buf buf;
            buf_init(&buf, &arena, 256, 1024);
            buf_add(&buf, STR("{" ALL_BUT_TIMES));
            for (size_t k = 0; k < COUNT(names); k++) {
                json_write_name(&buf, str_of(names[k]));
                buf_add(&buf, k == i ? str_of(rows[j].text) : STR("1000"));
            }
            buf_add_char(&buf, '}');
            assert_code(read(buf_str(&buf), &claims), rows[j].code, arena_copy(&arena, buf_str(&buf)).at);
            if (rows[j].code)
                continue;
            const int64_t got[] = { claims.exp, claims.iat, claims.nbf, claims.auth_time };
            assert_int_equal(got[i], rows[j].value);
        }
}

static struct str payload_with_audience(size_t count)
{
    struct buf buf;
    buf_init(&buf, &arena, 256, 65536);
    buf_add(&buf, STR("{\"iss\":\"i\",\"sub\":\"s\",\"jti\":\"j\"," TIMES ",\"aud\":["));
    for (size_t i = 0; i < count; i++)
        buf_add(&buf, arena_printf(&arena, "%s\"a%zu\"", i ? "," : "", i));
    buf_add(&buf, STR("]}"));
    return buf_str(&buf);
}

static void an_audience_is_a_string_or_a_list_of_1_to_16(void **state)
{
    static const char *const bad[] = { "null", "1",      "true",      "{}",        "[]",
                                       "[1]",  "[null]", "[\"a\",1]", "[[\"a\"]]", "[{}]" };
    struct claims claims;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct str text = arena_printf(&arena, "{\"iss\":\"i\",\"sub\":\"s\",\"jti\":\"j\"," TIMES ",\"aud\":%s}",
                                       bad[i]);
        assert_code(read(text, &claims), ERR_TOKEN_CLAIM, text.at);
    }
    for (size_t count = 1; count <= CLAIMS_AUD_MAX; count++) {
        assert_ok(read(payload_with_audience(count), &claims));
        assert_int_equal(claims.aud_count, count);
        assert_str(claims.aud[count - 1], arena_printf(&arena, "a%zu", count - 1).at);
    }
    assert_code(read(payload_with_audience(CLAIMS_AUD_MAX + 1), &claims), ERR_TOKEN_CLAIM, "17");
    assert_code(read(payload_with_audience(1000), &claims), ERR_TOKEN_CLAIM, "1000");
}

/* --- checking ---------------------------------------------------------------------------------------------------- */

static struct claims usual(void)
{
    struct claims claims;
    assert_ok(read(STR("{" ALL_BUT_TIMES ",\"exp\":2000,\"iat\":1000,\"nbf\":1000,\"nonce\":\"n\"}"), &claims));
    return claims;
}

static void a_token_is_good_from_its_nbf_to_the_second_before_its_exp(void **state)
{
    static const struct {
        int64_t now, tolerance, skew;
        enum err_code code;
    } rows[] = {
        { 1000, 0, 0, ERR_OK },
        { 999, 0, 0, ERR_TOKEN_NOT_YET },
        { 999, 1, 0, ERR_OK },
        { 999, 0, 1, ERR_OK },
        { 998, 1, 0, ERR_TOKEN_NOT_YET },
        { 998, 1, 1, ERR_OK },
        { 0, 0, 0, ERR_TOKEN_NOT_YET },
        { 1999, 0, 0, ERR_OK },
        { 2000, 0, 0, ERR_TOKEN_EXPIRED },
        { 2000, 0, 60, ERR_TOKEN_EXPIRED }, /* other machines' clocks don't make a token live longer */
        { 2000, 1, 0, ERR_OK },
        { 2001, 1, 0, ERR_TOKEN_EXPIRED },
        { CLAIMS_TIME_MAX, 0, 0, ERR_TOKEN_EXPIRED },
        { INT64_C(4102444800), INT32_MAX, 0, ERR_TOKEN_EXPIRED },
    };
    const struct claims claims = usual();
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct claims_expect expect = { .tolerance_s = rows[i].tolerance,
                                              .skew_s = rows[i].skew,
                                              .max_age_s = -1 };
        assert_code(claims_check(&claims, &expect, rows[i].now), rows[i].code,
                    arena_printf(&arena, "at %lld", (long long)rows[i].now).at);
    }
}

static void iat_and_nbf_are_looked_at_apart(void **state)
{
    const struct claims_expect expect = { .skew_s = 5, .max_age_s = -1 };
    struct claims claims = usual();
    (void)state;
    claims.nbf = 1505;
    assert_ok(claims_check(&claims, &expect, 1500));
    claims.nbf = 1506;
    assert_code(claims_check(&claims, &expect, 1500), ERR_TOKEN_NOT_YET, "nbf");
    claims.nbf = 1000;
    claims.iat = 1506;
    assert_code(claims_check(&claims, &expect, 1500), ERR_TOKEN_NOT_YET, "iat");
    claims.iat = 1505;
    assert_ok(claims_check(&claims, &expect, 1500));
}

static void the_latest_times_do_not_overflow(void **state)
{
    const struct claims_expect expect = { .tolerance_s = INT32_MAX, .skew_s = INT32_MAX, .max_age_s = INT32_MAX };
    struct claims claims = usual();
    (void)state;
    claims.exp = claims.nbf = claims.iat = claims.auth_time = CLAIMS_TIME_MAX;
    assert_ok(claims_check(&claims, &expect, CLAIMS_TIME_MAX));
    claims.nbf = claims.iat = claims.auth_time = 0;
    assert_code(claims_check(&claims, &expect, CLAIMS_TIME_MAX), ERR_TOKEN_CLAIM, "age");
}

/* OpenID Connect Core section 3.1.3.7 rule 13. */
static void max_age_counts_from_auth_time_and_without_one_from_iat(void **state)
{
    static const struct {
        int64_t auth_time, max_age, tolerance, now;
        enum err_code code;
    } rows[] = {
        { -1, 500, 0, 1500, ERR_OK },
        { -1, 499, 0, 1500, ERR_TOKEN_CLAIM },
        { -1, 499, 1, 1500, ERR_OK },
        { 900, 600, 0, 1500, ERR_OK },
        { 900, 599, 0, 1500, ERR_TOKEN_CLAIM },
        { 1400, 100, 0, 1500, ERR_OK },
        { -1, 0, 0, 1000, ERR_OK },
        { -1, 0, 0, 1001, ERR_TOKEN_CLAIM },
        { 0, 1499, 0, 1500, ERR_TOKEN_CLAIM },
        { -1, -1, 0, 1999, ERR_OK },
        { 0, -1, 0, 1500, ERR_OK },
        { CLAIMS_TIME_MAX, 500, 0, 1500, ERR_TOKEN_CLAIM }, /* a login that is still to come is none */
        { 1501, 500, 0, 1500, ERR_TOKEN_CLAIM },
        { 1501, 500, 1, 1500, ERR_OK },
        { CLAIMS_TIME_MAX, -1, 0, 1500, ERR_OK },
    };
    struct claims claims = usual();
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct claims_expect expect = { .max_age_s = rows[i].max_age, .tolerance_s = rows[i].tolerance };
        claims.auth_time = rows[i].auth_time;
        assert_code(claims_check(&claims, &expect, rows[i].now), rows[i].code,
                    arena_printf(&arena, "auth_time %lld, maxAge %lld", (long long)rows[i].auth_time,
                                 (long long)rows[i].max_age)
                        .at);
    }
}

static void what_the_caller_expects_must_be_there_whole(void **state)
{
    static const struct {
        struct claims_expect expect;
        enum err_code code;
        const char *what;
    } rows[] = {
        { { .max_age_s = -1 }, ERR_OK, "nothing" },
        { { .issuer = ROW("https://i"), .max_age_s = -1 }, ERR_OK, "iss" },
        { { .issuer = ROW("https://i/"), .max_age_s = -1 }, ERR_TOKEN_CLAIM, "iss with a slash" },
        { { .issuer = ROW("https://I"), .max_age_s = -1 }, ERR_TOKEN_CLAIM, "iss in another case" },
        { { .issuer = ROW(""), .max_age_s = -1 }, ERR_TOKEN_CLAIM, "an empty iss" },
        { { .issuer = ROW("https://i\0"), .max_age_s = -1 }, ERR_TOKEN_CLAIM, "iss and a NUL" },
        { { .subject = ROW("s"), .max_age_s = -1 }, ERR_OK, "sub" },
        { { .subject = ROW("S"), .max_age_s = -1 }, ERR_TOKEN_CLAIM, "sub in another case" },
        { { .subject = ROW("s "), .max_age_s = -1 }, ERR_TOKEN_CLAIM, "sub and a space" },
        { { .nonce = ROW("n"), .max_age_s = -1 }, ERR_OK, "nonce" },
        { { .nonce = ROW("m"), .max_age_s = -1 }, ERR_TOKEN_CLAIM, "another nonce" },
        { { .audience = { ROW("a") }, .audience_count = 1, .max_age_s = -1 }, ERR_OK, "aud" },
        { { .audience = { ROW("b"), ROW("a") }, .audience_count = 2, .max_age_s = -1 }, ERR_OK, "one of two" },
        { { .audience = { ROW("b") }, .audience_count = 1, .max_age_s = -1 }, ERR_TOKEN_CLAIM, "another aud" },
        { { .audience = { ROW("") }, .audience_count = 1, .max_age_s = -1 }, ERR_TOKEN_CLAIM, "an empty aud" },
        { { .audience = { ROW("A"), ROW("a "), ROW("aa") }, .audience_count = 3, .max_age_s = -1 },
          ERR_TOKEN_CLAIM,
          "three that are near" },
    };
    const struct claims claims = usual();
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_code(claims_check(&claims, &rows[i].expect, 1500), rows[i].code, rows[i].what);
}

static void a_nonce_that_is_asked_for_may_not_be_missing(void **state)
{
    const struct claims_expect expect = { .nonce = STR("n"), .max_age_s = -1 };
    struct claims claims;
    (void)state;
    assert_ok(read(STR("{" ALL "}"), &claims));
    assert_code(claims_check(&claims, &expect, 1500), ERR_TOKEN_CLAIM, "no nonce");
}

/* --- custom claims ----------------------------------------------------------------------------------------------- */

static void no_custom_claim_may_have_a_registered_name(void **state)
{
    static const struct str registered[] = {
        ROW("iss"),
        ROW("sub"),
        ROW("aud"),
        ROW("exp"),
        ROW("iat"),
        ROW("nbf"),
        ROW("jti"),
        ROW("azp"),
        ROW("scope"),
        ROW("client_id"),
        ROW("token_type"),
        ROW("nonce"),
        ROW("auth_time"),
        ROW("at_hash"),
        ROW("c_hash"),
        ROW("s_hash"),
        ROW("cnf"),
        ROW("act"), /* docs/contract.md, "Claims" */
        ROW("parent_hash"),
        ROW("parent_client_id"),
        ROW("parent_iat"),
        ROW("issued_after"),
        ROW("sealed_rules"),
        ROW("may_act"),
        ROW("events"),
        ROW("authorization_details"),
        ROW("token_introspection"),
        /* and what a reader could take for one of them */
        ROW("Iss"),
        ROW("ISS"),
        ROW("\xc5\xbfub"),
        ROW("to\xe2\x84\xaa"
            "en_type"),
        ROW("\xef\xbd\x85xp"),
        ROW("e\xc2\xadxp"),
        ROW("SID"),
        ROW("s\xc4\xb1"
            "d"),
        ROW("Client_ID"),
        ROW("non\xe2\x85\xbd"
            "e"),
    };
    static const struct str free_names[] = { ROW(""),      ROW("role"),  ROW("iss "),    ROW("is"),
                                             ROW("issu"),  ROW("roles"), ROW("scopes"),  ROW("username"),
                                             ROW("email"), ROW("sid"),   ROW("clientid") };
    (void)state;
    for (size_t i = 0; i < COUNT(registered); i++)
        assert_row(claims_is_registered(&arena, registered[i]), registered[i].at);
    for (size_t i = 0; i < COUNT(free_names); i++)
        assert_row(!claims_is_registered(&arena, free_names[i]), free_names[i].at);
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static const struct json *written(const struct claims_new *claims, struct claims *out)
{
    struct buf buf;
    buf_init(&buf, &arena, 16, 8192);
    claims_write(&buf, claims);
    assert_false(buf.overflowed);
    assert_ok(read(buf_str(&buf), out));
    return out->all;
}

static const struct str two[] = { { "c", 1 }, { "api", 3 } };

static struct claims_new new_of(enum token_kind kind)
{
    return (struct claims_new){ .kind = kind,
                                .iss = STR("https://i"),
                                .sub = STR("s"),
                                .client_id = STR("c"),
                                .scope = STR("x y"),
                                .nonce = STR("n"),
                                .jti = STR("j"),
                                .aud = two,
                                .aud_count = 1,
                                .iat = 1000,
                                .exp = 2000,
                                .auth_time = 900 };
}

static void each_kind_is_written_with_the_contracts_claims(void **state)
{
    static const struct {
        enum token_kind kind;
        const char *members; /* beside those that all have, in order */
    } rows[] = {
        { TOKEN_ACCESS, "scope token_type client_id auth_time" },
        { TOKEN_REFRESH, "scope token_type client_id auth_time" },
        { TOKEN_ID, "nonce auth_time azp" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct claims claims;
        const struct claims_new new = new_of(rows[i].kind);
        const struct json *json = written(&new, &claims);
        struct str rest = str_of("iss sub aud exp iat nbf jti"), more = str_of(rows[i].members), name;
        size_t count = 0;
        while (str_next_word(&rest, &name) || str_next_word(&more, &name)) {
            assert_row(json_member(json, name) != NULL, arena_copy(&arena, name).at);
            count++;
        }
        assert_int_equal(json->count, count);
        assert_int_equal(claims.nbf, claims.iat);
        assert_int_equal(claims.exp, 2000);
        assert_int_equal(claims.auth_time, 900);
    }
    struct claims claims;
    struct claims_new new = new_of(TOKEN_ACCESS);
    written(&new, &claims);
    assert_str(claims.token_type, "Bearer");
    new.kind = TOKEN_REFRESH;
    written(&new, &claims);
    assert_str(claims.token_type, "Refresh");
    new = new_of(TOKEN_ID);
    new.nonce = STR("");
    new.auth_time = -1;
    const struct json *json = written(&new, &claims);
    assert_null(json_member(json, STR("nonce")));
    assert_null(json_member(json, STR("auth_time")));
    assert_str(claims.azp, "c");
    assert_null(claims.sealed_rules.at);
    new.sealed_rules = STR("sealed");
    written(&new, &claims);
    assert_str(claims.sealed_rules, "sealed");
    new = new_of(TOKEN_ACCESS);
    new.scope = STR("");
    new.parent_hash = STR("hash");
    new.parent_client_id = STR("parent");
    new.parent_iat = 7;
    json = written(&new, &claims);
    assert_null(json_member(json, STR("scope")));
    assert_str(claims.parent_hash, "hash");
    assert_str(claims.parent_client_id, "parent");
    assert_int_equal(claims.parent_iat, 7);
}

static void an_audience_is_a_list_when_asked_for_or_when_there_are_several(void **state)
{
    struct claims claims;
    struct claims_new new = new_of(TOKEN_ACCESS);
    (void)state;
    assert_int_equal(json_member(written(&new, &claims), STR("aud"))->kind, JSON_STRING);
    new.aud_as_list = true;
    assert_int_equal(json_member(written(&new, &claims), STR("aud"))->kind, JSON_ARRAY);
    new.aud_as_list = false;
    new.aud_count = 2;
    assert_int_equal(json_member(written(&new, &claims), STR("aud"))->kind, JSON_ARRAY);
    assert_int_equal(claims.aud_count, 2);
    assert_str(claims.aud[1], "api");
}

static void hostile_text_stays_within_its_claim(void **state)
{
    const struct str hostile = STR("\",\"role\":\"admin\",\"x\":\"\\\x01\n\xe2\x82\xac");
    struct claims claims;
    struct claims_new new = new_of(TOKEN_ACCESS);
    const struct json *custom;
    (void)state;
    assert_ok(json_parse(&arena, STR("{\"a\\\"},{\":[1,{\"b\":\"\\\"}\"}],\"exp2\":1e5}"), &custom));
    new.iss = new.sub = new.client_id = new.scope = new.jti = hostile;
    new.aud = &hostile;
    new.custom = custom;
    const struct json *json = written(&new, &claims);
    assert_true(str_eq(claims.sub, hostile));
    assert_true(str_eq(claims.iss, hostile));
    assert_true(str_eq(claims.scope, hostile));
    assert_true(str_eq(claims.aud[0], hostile));
    assert_null(json_member(json, STR("role")));
    assert_int_equal(json_member(json, STR("a\"},{"))->count, 2);
    assert_str(json_member(json, STR("exp2"))->text, "1e5");
}

RUN(TEST(each_kind_has_one_name_and_one_typ), TEST(a_typ_is_a_media_type), TEST(a_payload_is_read_into_its_claims),
    TEST(a_payload_that_is_not_one_object_is_malformed), TEST(a_claim_that_every_token_has_may_not_be_missing),
    TEST(a_registered_claim_has_its_type), TEST(a_time_is_a_whole_number_from_1970_to_9999),
    TEST(an_audience_is_a_string_or_a_list_of_1_to_16), TEST(a_token_is_good_from_its_nbf_to_the_second_before_its_exp),
    TEST(iat_and_nbf_are_looked_at_apart), TEST(the_latest_times_do_not_overflow),
    TEST(max_age_counts_from_auth_time_and_without_one_from_iat), TEST(what_the_caller_expects_must_be_there_whole),
    TEST(a_nonce_that_is_asked_for_may_not_be_missing), TEST(no_custom_claim_may_have_a_registered_name),
    TEST(each_kind_is_written_with_the_contracts_claims),
    TEST(an_audience_is_a_list_when_asked_for_or_when_there_are_several), TEST(hostile_text_stays_within_its_claim))
