/* test_jwk_set.c: somebody else's key set: what is kept, what is left out, and what makes the whole set bad. */
#include "jose/jwk_set.h"
#include "client_key.h"

static struct err parse(struct str text, struct jwk_set **out)
{
    char *copy = exactly(text);
    const struct err err = jwk_set_parse(&arena, (struct str){ copy, text.len }, out);
    free(copy); /* a set keeps nothing of its text */
    return err;
}

static void a_set_has_its_keys_each_pinned_to_one_algorithm(void **state)
{
    AUTO(jwk_freep) struct jwk *rsa = key_new(JWA_RS256), *ec = key_new(JWA_ES256), *okp = key_new(JWA_EDDSA);
    AUTO(jwk_set_freep) struct jwk_set *set = NULL;
    const struct str text = set_of(jwk_of("", rsa), jwk_of("\"kid\":\"two\",\"alg\":\"PS256\",", rsa),
                                   jwk_of("\"kid\":\"\",\"use\":\"sig\",", ec),
                                   jwk_of("\"kid\":\"a \\u00fc\\n\",\"key_ops\":[\"verify\"],", okp), NULL);
    (void)state;
    assert_ok(parse(text, &set));
    assert_int_equal(set->count, 4);
    assert_int_equal(set->of[0].key->alg, JWA_RS256);
    assert_null(set->of[0].kid.at);
    assert_int_equal(set->of[1].key->alg, JWA_PS256);
    assert_str(set->of[1].kid, "two");
    assert_int_equal(set->of[2].key->alg, JWA_ES256);
    assert_non_null(set->of[2].kid.at);
    assert_str(set->of[2].kid, "");
    assert_int_equal(set->of[3].key->alg, JWA_EDDSA);
    assert_str(set->of[3].kid, "a \xc3\xbc\n");
    assert_string_equal(set->of[1].key->kid, rsa->kid); /* the thumbprint, which is not the JWK's kid */
}

static void a_key_that_is_of_no_use_here_is_left_out(void **state)
{
    AUTO(jwk_freep) struct jwk *ec = key_new(JWA_ES256);
    const char *const rows[] = {
        jwk_of("\"use\":\"enc\",", ec),
        jwk_of("\"key_ops\":[\"encrypt\"],", ec),
        jwk_of("\"key_ops\":[],", ec),
        jwk_of("\"alg\":\"ES384\",", ec),
        jwk_of("\"alg\":\"RS256\",", ec),
        jwk_of("\"alg\":\"none\",", ec),
        jwk_of("\"alg\":\"HS256\",", ec),
        jwk_of("\"alg\":\"ECDH-ES\",", ec),
        jwk_of("\"kid\":7,", ec),
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}",
        "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
        "{\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\",\"pub\":\"AA\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
        "{\"kty\":[]}",
        "{}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(jwk_set_freep) struct jwk_set *set = NULL;
        assert_code(parse(set_of(rows[i], jwk_of("\"kid\":\"good\",", ec), NULL), &set), ERR_OK, rows[i]);
        assert_row(set->count == 1, rows[i]);
        assert_str(set->of[0].kid, "good");
    }
}

static void a_set_with_a_secret_in_it_is_refused_as_a_whole(void **state)
{
    static const char *const names[] = { "d", "p", "q", "dp", "dq", "qi", "oth", "k" };
    AUTO(jwk_freep) struct jwk *ec = key_new(JWA_ES256);
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct jwk_set *set = NULL;
        const char *bad = jwk_of(arena_printf(&arena, "\"%s\":\"AA\",", names[i]).at, ec);
        assert_code(parse(set_of(jwk_of("", ec), bad, NULL), &set), ERR_INVALID_REQUEST, names[i]);
        assert_null(set);
    }
    struct jwk_set *set = NULL;
    assert_code(parse(set_of("{\"kty\":\"oct\",\"k\":\"c2VjcmV0\"}", NULL), &set), ERR_INVALID_REQUEST, "oct");
    assert_code(parse(set_of("{\"kty\":\"other\",\"d\":null}", NULL), &set), ERR_INVALID_REQUEST, "d is null");
}

static void what_is_no_set_is_refused(void **state)
{
    static const struct str rows[] = {
        ROW(""),
        ROW("null"),
        ROW("[]"),
        ROW("\"keys\""),
        ROW("{}"),
        ROW("{\"keys\":null}"),
        ROW("{\"keys\":{}}"),
        ROW("{\"keys\":\"\"}"),
        ROW("{\"keys\":[null]}"),
        ROW("{\"keys\":[[]]}"),
        ROW("{\"keys\":[\"a\"]}"),
        ROW("{\"Keys\":[]}"),
        ROW("{\"keys\":[],\"keys\":[]}"),
        ROW("{\"keys\":[]"),
        ROW("{\"keys\":[]}\0"),
        ROW("{\"keys\":[]} {}"),
        ROW("\xef\xbb\xbf{\"keys\":[]}"),
        ROW("<html></html>"),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct jwk_set *set = NULL;
        assert_code(parse(rows[i], &set), ERR_INVALID_REQUEST, rows[i].at);
        assert_null(set);
    }
    AUTO(jwk_set_freep) struct jwk_set *set = NULL;
    assert_ok(parse(STR(" {\"other\":1,\"keys\":[ ]} "), &set));
    assert_int_equal(set->count, 0);
}

static void a_set_has_at_most_32_keys(void **state)
{
    AUTO(jwk_freep) struct jwk *key = key_new(JWA_EDDSA);
    const char *good = jwk_of("", key), *useless = jwk_of("\"use\":\"enc\",", key);
    (void)state;
    for (int count = JWK_SET_MAX; count <= JWK_SET_MAX + 1; count++) {
        AUTO(jwk_set_freep) struct jwk_set *set = NULL;
        struct buf text;
        buf_init(&text, &arena, 1024, 1 << 20);
        buf_add(&text, STR("{\"keys\":["));
        for (int i = 0; i < count; i++) {
            buf_add(&text, str_of(good));
            buf_add_char(&text, ',');
        }
        buf_add(&text, str_of(useless)); /* does not count */
        buf_add(&text, STR("]}"));
        assert_int_equal(parse(buf_str(&text), &set).code, count > JWK_SET_MAX ? ERR_INVALID_REQUEST : ERR_OK);
    }
}

RUN(TEST(a_set_has_its_keys_each_pinned_to_one_algorithm), TEST(a_key_that_is_of_no_use_here_is_left_out),
    TEST(a_set_with_a_secret_in_it_is_refused_as_a_whole), TEST(what_is_no_set_is_refused),
    TEST(a_set_has_at_most_32_keys))
