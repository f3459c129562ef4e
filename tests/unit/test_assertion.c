/* test_assertion.c: client assertions: one that is good, and every one that differs from it in one thing. */
#include "oauth/assertion.h"
#include "client_key.h"
#include "net/fetch.h"
#include "oauth/client_keys.h"

enum { NOW = 1800000000 };
#define ISSUER "https://issuer.example"
#define TOKEN_ENDPOINT ISSUER "/token"

static struct jwk *ec, *rsa, *other;

static int make_keys(void **state)
{
    (void)state;
    if (jwk_generate(JWA_ES256, &ec).code || jwk_generate(JWA_RS256, &rsa).code || jwk_generate(JWA_ES256, &other).code)
        return -1;
    return 0;
}

static int free_keys(void **state)
{
    (void)state;
    jwk_free(ec);
    jwk_free(rsa);
    jwk_free(other);
    return 0;
}

#define HEADER "{\"alg\":\"ES256\",\"kid\":\"a\"}"
#define CLAIMS(aud, rest) "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":" aud ",\"exp\":1800000060,\"jti\":\"j1\"" rest "}"
#define GOOD CLAIMS("\"" ISSUER "\"", "")

static struct err nobody_fetches(void *arg, struct arena *where, struct str url, struct fetched *out)
{
    (void)arg;
    (void)where;
    (void)url;
    (void)out;
    fail_msg("keys that are registered are not fetched");
    return OK;
}

static const struct assertion_expect strict = { .client_id = STR_INIT("c1"),
                                                .issuer = STR_INIT(ISSUER),
                                                .ahead_max_s = ASSERTION_AHEAD_S };

/* All three steps, with the keys of `set`. */
static struct err judge(struct str text, const struct assertion_expect *expect, struct str set)
{
    struct assertion assertion;
    struct client_keys *keys = client_keys_new((struct client_keys_way){ nobody_fetches, NULL }, 4);
    const struct client_keys_source source = { STR("c1"), set, STR("") };
    char *copy = exactly(text);
    struct err err = assertion_read(&arena, (struct str){ copy, text.len }, &assertion);
    if (!err.code)
        err = assertion_check(&assertion, expect, NOW);
    if (!err.code)
        err = assertion_verify(&assertion, keys, &arena, &source, 1000);
    free(copy);
    client_keys_free(keys);
    return err;
}

static struct str set_of_ec(void)
{
    return set_of(jwk_of("\"kid\":\"a\",", ec), NULL);
}

static void a_good_assertion_names_its_client_and_is_taken(void **state)
{
    static const char *const headers[] = {
        HEADER,
        "{\"alg\":\"ES256\"}",
        "{\"alg\":\"ES256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"ES256\",\"typ\":\"jwt\"}",
        "{\"alg\":\"ES256\",\"typ\":\"application/jwt\"}",
        "{\"alg\":\"ES256\",\"typ\":\"client-authentication+jwt\"}",
        "{\"alg\":\"ES256\",\"typ\":\"application/Client-Authentication+JWT\"}",
    };
    static const char *const claims[] = {
        GOOD,
        CLAIMS("\"" ISSUER "\"", ",\"iat\":1800000060,\"nbf\":1800000060"),
        CLAIMS("\"" ISSUER "\"", ",\"iat\":1,\"nbf\":0"),
        CLAIMS("\"" ISSUER "\"", ",\"iat\":1799999999.99,\"other\":[1,{}]"),
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800003660,\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800000001.5,\"jti\":\"j1\"}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++)
        assert_code(judge(signed_by(ec, headers[i], GOOD), &strict, set_of_ec()), ERR_OK, headers[i]);
    for (size_t i = 0; i < COUNT(claims); i++)
        assert_code(judge(signed_by(ec, HEADER, claims[i]), &strict, set_of_ec()), ERR_OK, claims[i]);
    struct assertion assertion;
    assert_ok(assertion_read(&arena, signed_by(ec, HEADER, GOOD), &assertion));
    assert_str(assertion.client_id, "c1");
    assert_str(assertion.jti, "j1");
    assert_int_equal(assertion.exp, NOW + 60);
}

static void a_header_that_is_not_an_assertions_is_refused(void **state)
{
    static const char *const headers[] = {
        "{}",
        "{\"alg\":\"none\"}",
        "{\"alg\":\"None\"}",
        "{\"alg\":\"HS256\"}",
        "{\"alg\":\"es256\"}",
        "{\"alg\":\"ES384\"}",
        "{\"alg\":\"RS256\"}", /* not the key's */
        "{\"alg\":\"EdDSA\"}",
        "{\"alg\":\"ES256\",\"crit\":[\"exp\"],\"exp\":1}",
        "{\"alg\":\"ES256\",\"b64\":true}",
        "{\"alg\":\"ES256\",\"zip\":\"DEF\"}",
        "{\"alg\":\"ES256\",\"alg\":\"ES256\"}",
        "{\"alg\":\"ES256\",\"kid\":7}",
        "{\"alg\":\"ES256\",\"kid\":\"b\"}",
        "{\"alg\":\"ES256\",\"kid\":\"\"}",
        "{\"alg\":\"ES256\",\"typ\":\"\"}",
        "{\"alg\":\"ES256\",\"typ\":\"at+jwt\"}",
        "{\"alg\":\"ES256\",\"typ\":\"rt+jwt\"}",
        "{\"alg\":\"ES256\",\"typ\":\"dpop+jwt\"}",
        "{\"alg\":\"ES256\",\"typ\":\"oauth-authz-req+jwt\"}",
        "{\"alg\":\"ES256\",\"typ\":\"logout+jwt\"}",
        "{\"alg\":\"ES256\",\"typ\":\"application/\"}",
        "{\"alg\":\"ES256\",\"typ\":null}",
        "[]",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++)
        assert_code(judge(signed_by(ec, headers[i], GOOD), &strict, set_of_ec()), ERR_INVALID_CLIENT, headers[i]);
}

static void claims_that_are_not_an_assertions_are_refused(void **state)
{
    static const char *const claims[] = {
        "[]",
        "{}",
        "nonsense",
        /* iss, sub */
        "{\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800000060,\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800000060,\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c2\",\"aud\":\"" ISSUER "\",\"exp\":1800000060,\"jti\":\"j1\"}",
        "{\"iss\":\"c2\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800000060,\"jti\":\"j1\"}",
        "{\"iss\":\"c2\",\"sub\":\"c2\",\"aud\":\"" ISSUER "\",\"exp\":1800000060,\"jti\":\"j1\"}",
        "{\"iss\":\"C1\",\"sub\":\"C1\",\"aud\":\"" ISSUER "\",\"exp\":1800000060,\"jti\":\"j1\"}",
        "{\"iss\":[\"c1\"],\"sub\":[\"c1\"],\"aud\":\"" ISSUER "\",\"exp\":1800000060,\"jti\":\"j1\"}",
        "{\"iss\":\"\",\"sub\":\"\",\"aud\":\"" ISSUER "\",\"exp\":1800000060,\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800000060,\"jti\":\"j1\"}",
        /* aud */
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"exp\":1800000060,\"jti\":\"j1\"}",
        CLAIMS("\"" TOKEN_ENDPOINT "\"", ""),
        CLAIMS("\"" ISSUER "/\"", ""),
        CLAIMS("\"https://ISSUER.example\"", ""),
        CLAIMS("\"https://issuer\"", ""),
        CLAIMS("\"\"", ""),
        CLAIMS("[]", ""),
        CLAIMS("[\"" ISSUER "\"]", ""),
        CLAIMS("[\"" ISSUER "\",\"https://evil.example\"]", ""),
        CLAIMS("{}", ""),
        CLAIMS("null", ""),
        CLAIMS("7", ""),
        /* times */
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800000000,\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800000000.9,\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1799999700,\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800003661,\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":9007199254740993,\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":\"1800000060\",\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1.80000006e9,\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":18e8,\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":-1,\"jti\":\"j1\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":null,\"jti\":\"j1\"}",
        CLAIMS("\"" ISSUER "\"", ",\"iat\":1800000061"),
        CLAIMS("\"" ISSUER "\"", ",\"nbf\":1800000061"),
        CLAIMS("\"" ISSUER "\"", ",\"iat\":\"1800000000\""),
        CLAIMS("\"" ISSUER "\"", ",\"nbf\":null"),
        CLAIMS("\"" ISSUER "\"", ",\"iat\":-1"),
        /* jti */
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800000060}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800000060,\"jti\":\"\"}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800000060,\"jti\":7}",
        "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER "\",\"exp\":1800000060,\"jti\":null}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(claims); i++)
        assert_code(judge(signed_by(ec, HEADER, claims[i]), &strict, set_of_ec()), ERR_INVALID_CLIENT, claims[i]);
}

static void a_jti_has_at_most_256_bytes_and_an_assertion_8_kb(void **state)
{
    (void)state;
    for (int len = ASSERTION_JTI_MAX; len <= ASSERTION_JTI_MAX + 1; len++) {
        const char *claims = arena_printf(&arena,
                                          "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER
                                          "\",\"exp\":1800000060,\"jti\":\"%0*d\"}",
                                          len, 0)
                                 .at;
        assert_code(judge(signed_by(ec, HEADER, claims), &strict, set_of_ec()),
                    len > ASSERTION_JTI_MAX ? ERR_INVALID_CLIENT : ERR_OK, claims);
    }
    for (int len = 5000; len <= 7000; len += 2000) {
        const char *claims = arena_printf(&arena,
                                          "{\"iss\":\"c1\",\"sub\":\"c1\",\"aud\":\"" ISSUER
                                          "\",\"exp\":1800000060,\"jti\":\"j1\",\"more\":\"%0*d\"}",
                                          len, 0)
                                 .at;
        assert_code(judge(signed_by(ec, HEADER, claims), &strict, set_of_ec()),
                    len > 5000 ? ERR_INVALID_CLIENT : ERR_OK, "its length");
    }
}

static void the_token_endpoint_is_an_audience_only_for_a_client_that_may_name_it(void **state)
{
    static const struct {
        const char *claims;
        enum err_code code;
    } rows[] = {
        { GOOD, ERR_OK },
        { CLAIMS("\"" TOKEN_ENDPOINT "\"", ""), ERR_OK },
        { CLAIMS("[\"" TOKEN_ENDPOINT "\"]", ""), ERR_OK },
        { CLAIMS("[\"https://other.example\",\"" ISSUER "\"]", ""), ERR_OK },
        { CLAIMS("[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"" ISSUER "\"]", ""), ERR_OK },
        { CLAIMS("[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"" ISSUER "\"]", ""), ERR_INVALID_CLIENT },
        { CLAIMS("\"" TOKEN_ENDPOINT "/\"", ""), ERR_INVALID_CLIENT },
        { CLAIMS("\"" ISSUER "/par\"", ""), ERR_INVALID_CLIENT },
        { CLAIMS("[\"" ISSUER "\",7]", ""), ERR_INVALID_CLIENT },
        { CLAIMS("[[\"" ISSUER "\"]]", ""), ERR_INVALID_CLIENT },
        { CLAIMS("[]", ""), ERR_INVALID_CLIENT },
    };
    struct assertion_expect wide = strict;
    wide.token_endpoint = STR(TOKEN_ENDPOINT);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_code(judge(signed_by(ec, HEADER, rows[i].claims), &wide, set_of_ec()), rows[i].code, rows[i].claims);
}

static void the_algorithm_is_the_keys_and_the_one_that_is_registered(void **state)
{
    struct assertion_expect registered = strict;
    const struct str both = set_of(jwk_of("\"kid\":\"a\",", ec), jwk_of("\"kid\":\"r\",", rsa), NULL);
    const struct str pss = set_of(jwk_of("\"kid\":\"r\",\"alg\":\"PS256\",", rsa), NULL);
    (void)state;
    assert_ok(judge(signed_by(rsa, "{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD), &strict, both));
    assert_code(judge(signed_by(rsa, "{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD), &strict, pss), ERR_INVALID_CLIENT,
                "RS256 by a key that is pinned to PS256");
    assert_code(judge(signed_by(rsa, "{\"alg\":\"RS256\",\"kid\":\"a\"}", GOOD), &strict, both), ERR_INVALID_CLIENT,
                "the kid of another key");
    registered.signing_alg = STR("RS256");
    assert_ok(judge(signed_by(rsa, "{\"alg\":\"RS256\"}", GOOD), &registered, both));
    assert_code(judge(signed_by(ec, HEADER, GOOD), &registered, both), ERR_INVALID_CLIENT, "not the registered one");
    registered.signing_alg = STR("");
    assert_ok(judge(signed_by(ec, HEADER, GOOD), &registered, both));
}

/* RFC 9864; oauth4webapi writes it so. */
static void ed25519_is_another_name_of_eddsa(void **state)
{
    struct assertion_expect registered = strict;
    AUTO(jwk_freep) struct jwk *ed = NULL;
    (void)state;
    assert_ok(jwk_generate(JWA_EDDSA, &ed));
    const struct str set = set_of(jwk_of("\"kid\":\"e\",", ed), NULL);
    for (int i = 0; i < 2; i++) {
        assert_ok(judge(signed_by(ed, "{\"alg\":\"EdDSA\"}", GOOD), &registered, set));
        assert_ok(judge(signed_by(ed, "{\"alg\":\"Ed25519\"}", GOOD), &registered, set));
        assert_code(judge(signed_by(ed, "{\"alg\":\"ed25519\"}", GOOD), &registered, set), ERR_INVALID_CLIENT, "case");
        assert_code(judge(signed_by(ec, "{\"alg\":\"Ed25519\"}", GOOD), &registered, set_of_ec()), ERR_INVALID_CLIENT,
                    "of an EC key");
        registered.signing_alg = STR("EdDSA");
    }
}

static void a_signature_of_another_or_of_something_else_is_refused(void **state)
{
    const struct str good = signed_by(ec, HEADER, GOOD);
    const struct str forged[] = {
        signed_by(other, HEADER, GOOD),        signed_by(other, "{\"alg\":\"ES256\"}", GOOD),
        (struct str){ good.at, good.len - 1 }, (struct str){ good.at, good.len - 4 },
        arena_printf(&arena, "%s=", good.at),  arena_printf(&arena, "%s.", good.at),
        arena_printf(&arena, "%sA", good.at),  arena_printf(&arena, " %s", good.at),
    };
    (void)state;
    assert_ok(judge(good, &strict, set_of_ec()));
    for (size_t i = 0; i < COUNT(forged); i++)
        assert_code(judge(forged[i], &strict, set_of_ec()), ERR_INVALID_CLIENT, forged[i].at);
    for (size_t at = 0; at < good.len; at += 7) {
        char *changed = (char *)arena_copy(&arena, good).at;
        changed[at] = changed[at] == 'A' ? 'B' : 'A';
        assert_code(judge((struct str){ changed, good.len }, &strict, set_of_ec()), ERR_INVALID_CLIENT, changed);
    }
    assert_code(judge(good, &strict, set_of(jwk_of("\"kid\":\"a\",", other), NULL)), ERR_INVALID_CLIENT, "another's");
    assert_code(judge(good, &strict, set_of(NULL)), ERR_INVALID_CLIENT, "no keys");
    assert_code(judge(good, &strict, STR("{}")), ERR_INVALID_CLIENT, "no set");
    assert_code(judge(good, &strict, STR("")), ERR_INVALID_CLIENT, "nothing registered");
}

static void a_jti_is_told_apart_by_client_and_kept_until_it_has_expired_everywhere(void **state)
{
    struct assertion one, two;
    unsigned char hash[32];
    (void)state;
    assert_ok(assertion_read(&arena, signed_by(ec, HEADER, GOOD), &one));
    struct assertion_once once = assertion_once(&one);
    sha256(STR("jti\nc1\nj1"), hash);
    assert_memory_equal(once.id, hash, sizeof hash);
    assert_int_equal(once.expires_at, NOW + 60 + ASSERTION_SKEW_S);
    two = one;
    two.client_id = STR("c2");
    assert_memory_not_equal(assertion_once(&two).id, once.id, sizeof once.id);
    two = one;
    two.jti = STR("j2");
    assert_memory_not_equal(assertion_once(&two).id, once.id, sizeof once.id);
}

RUN_WITH(make_keys, free_keys, TEST(a_good_assertion_names_its_client_and_is_taken),
         TEST(a_header_that_is_not_an_assertions_is_refused), TEST(claims_that_are_not_an_assertions_are_refused),
         TEST(a_jti_has_at_most_256_bytes_and_an_assertion_8_kb),
         TEST(the_token_endpoint_is_an_audience_only_for_a_client_that_may_name_it),
         TEST(the_algorithm_is_the_keys_and_the_one_that_is_registered), TEST(ed25519_is_another_name_of_eddsa),
         TEST(a_signature_of_another_or_of_something_else_is_refused),
         TEST(a_jti_is_told_apart_by_client_and_kept_until_it_has_expired_everywhere))
