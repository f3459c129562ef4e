/* test_jws.c: compact signatures: the standards' examples, and every way that somebody once got a bad one accepted. */
#include "jose/jws.h"
#include "vectors.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include <pthread.h>

/* The whole way of a token, as the service goes it. */
static struct err verify(const struct jwk *key, struct str token)
{
    struct jws_parts parts;
    struct jws_header header;
    struct err err;
    char *copy = exactly(token);
    err = jws_split((struct str){ copy, token.len }, &parts);
    if (!err.code)
        err = jws_read_header(&arena, parts.header, &header);
    if (!err.code)
        err = jws_verify(key, &parts, &header);
    free(copy);
    return err;
}

static struct str joined(struct str header, struct str payload, struct str signature)
{
    struct str h = encoded(header), p = encoded(payload), s = encoded(signature);
    return arena_printf(&arena, "%.*s.%.*s.%.*s", (int)h.len, h.at, (int)p.len, p.at, (int)s.len, s.at);
}

/* Signs any header and payload, so that a test's token is wrong in the one thing that is tested. */
static struct str signed_with(const struct jwk *key, struct str header, struct str payload)
{
    char signature[JWK_SIGNATURE_MAX];
    size_t len = 0;
    struct str h = encoded(header), p = encoded(payload);
    struct str input = arena_printf(&arena, "%.*s.%.*s", (int)h.len, h.at, (int)p.len, p.at);
    assert_ok(jws_sign(key, input, signature, &len));
    struct str s = encoded((struct str){ signature, len });
    return arena_printf(&arena, "%.*s.%.*s", (int)input.len, input.at, (int)s.len, s.at);
}

static struct jwk *key_of_vector(const struct json *vector)
{
    struct jwk *key = NULL;
    assert_ok(jwk_parse_public(&arena, json_member(vector, STR("jwk"))->text, &key));
    return key;
}

/* --- splitting --------------------------------------------------------------------------------------------------- */

static void split_takes_three_parts_and_nothing_else(void **state)
{
    static const struct str bad[] = {
        ROW(""),        ROW("."),      ROW(".."),     ROW("..."),       ROW("a"),   ROW("a.b"), ROW("a."),
        ROW("a.b."),    ROW(".b.c"),   ROW("a..c"),   ROW("..c"),       ROW(".b."), ROW("a.."), ROW("a.b.c."),
        ROW("a.b.c.d"), ROW(".a.b.c"), ROW("a.b..c"), ROW("a.b.c.d.e"), ROW("\0"),
    };
    static const struct str good[] = { ROW("a.b.c"), ROW("\0.\0.\0"), ROW(" . . "), ROW("e30.e30.c2ln") };
    struct jws_parts got = { { 0, 0 }, { 0, 0 }, { 0, 0 }, { 0, 0 } };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        char *copy = exactly(bad[i]);
        assert_code(jws_split((struct str){ copy, bad[i].len }, &got), ERR_TOKEN_MALFORMED, bad[i].at);
        assert_null(got.signed_part.at);
        free(copy);
    }
    assert_code(jws_split((struct str){ NULL, 0 }, &got), ERR_TOKEN_MALFORMED, "NULL");
    for (size_t i = 0; i < COUNT(good); i++) {
        assert_code(jws_split(good[i], &got), ERR_OK, good[i].at);
        assert_int_equal(got.header.len + got.payload.len + got.signature.len + 2, good[i].len);
        assert_int_equal(got.signed_part.len, got.header.len + got.payload.len + 1);
        assert_ptr_equal(got.signed_part.at, good[i].at);
    }
}

/* --- the header -------------------------------------------------------------------------------------------------- */

static void a_header_needs_an_alg_and_may_have_a_kid_and_a_typ(void **state)
{
    static const struct {
        struct str json;
        const char *alg; /* NULL: refused */
    } rows[] = {
        { ROW("{\"alg\":\"RS256\"}"), "RS256" },
        { ROW(" {\"typ\":\"JWT\",\r\n \"alg\":\"HS256\"} "), "HS256" },
        { ROW("{\"alg\":\"none\"}"), "none" }, /* read as it stands; no key is pinned to it */
        { ROW("{\"alg\":\"\"}"), "" },
        { ROW("{\"alg\":\"ES256\",\"kid\":\"k\",\"typ\":\"at+jwt\"}"), "ES256" },
        { ROW("{\"alg\":\"RS256\",\"jwk\":{\"kty\":\"RSA\"},\"jku\":\"http://x/\",\"x5u\":\"http://x/\",\"x5c\":[1]}"),
          "RS256" },
        { ROW("{\"\\u0061lg\":\"RS256\"}"), "RS256" },
        { ROW(""), NULL },
        { ROW("{}"), NULL },
        { ROW("[]"), NULL },
        { ROW("null"), NULL },
        { ROW("\"RS256\""), NULL },
        { ROW("[{\"alg\":\"RS256\"}]"), NULL },
        { ROW("{\"Alg\":\"RS256\"}"), NULL },
        { ROW("{\"ALG\":\"RS256\"}"), NULL },
        { ROW("{\"alg\":null}"), NULL },
        { ROW("{\"alg\":256}"), NULL },
        { ROW("{\"alg\":true}"), NULL },
        { ROW("{\"alg\":[\"RS256\"]}"), NULL },
        { ROW("{\"alg\":{\"a\":1}}"), NULL },
        { ROW("{\"alg\":\"RS256RS256RS256RS256\"}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"alg\":\"RS256\"}"), NULL },
        { ROW("{\"alg\":\"none\",\"alg\":\"RS256\"}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"\\u0061lg\":\"none\"}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"kid\":\"a\",\"kid\":\"b\"}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"kid\":null}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"kid\":1}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"kid\":[\"a\"]}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"kid\":\"a\\u0000b\"}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"typ\":null}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"typ\":false}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"typ\":{}}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"crit\":[]}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"crit\":[\"exp\"],\"exp\":1}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"crit\":null}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"crit\":\"b64\"}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"b64\":false,\"crit\":[\"b64\"]}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"b64\":false}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"b64\":true}"), NULL },
        { ROW("{\"alg\":\"RS256\",\"zip\":\"DEF\"}"), NULL },
        { ROW("{\"alg\":\"RS256\"}x"), NULL },
        { ROW("{\"alg\":\"RS256\"}\0"), NULL },
        { ROW("{\"alg\":\"RS256\""), NULL },
        { ROW("{\"alg\":\"RS256\",\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"
              "]]]]]}"),
          NULL },
        { ROW("{\"alg\":\"RS256\",\"a\":\"\xff\"}"), NULL },
        { ROW("\xef\xbb\xbf{\"alg\":\"RS256\"}"), NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct jws_header header = { { 0, 0 }, { 0, 0 }, { 0, 0 } };
        struct str text = encoded(rows[i].json);
        char *copy = exactly(text);
        struct err err = jws_read_header(&arena, (struct str){ copy, text.len }, &header);
        free(copy);
        assert_code(err, rows[i].alg ? ERR_OK : ERR_TOKEN_MALFORMED, rows[i].json.at);
        if (rows[i].alg)
            assert_str(header.alg, rows[i].alg);
        else
            assert_null(header.alg.at);
    }
}

static void a_header_says_what_it_has_and_leaves_the_rest_empty(void **state)
{
    struct jws_header header;
    (void)state;
    assert_ok(
        jws_read_header(&arena, encoded(STR("{\"alg\":\"RS256\",\"kid\":\"k\\u00e4\",\"typ\":\"at+jwt\"}")), &header));
    assert_str(header.kid, "k\xc3\xa4");
    assert_str(header.typ, "at+jwt");
    assert_ok(jws_read_header(&arena, encoded(STR("{\"alg\":\"RS256\"}")), &header));
    assert_int_equal(header.kid.len, 0);
    assert_int_equal(header.typ.len, 0);
}

static void a_header_that_is_not_strict_base64url_is_refused(void **state)
{
    static const struct str bad[] = {
        ROW("eyJhbGciOiJSUzI1NiJ9="), ROW("eyJhbGciOiJSUzI1NiJ9\n"),
        ROW(" eyJhbGciOiJSUzI1NiJ9"), ROW("{\"alg\":\"RS256\"}"),
        ROW("eyJhbGciOiJSUzI1NiJ9A"), ROW("eyJhbGciOiJSUzI1NiJ"),
        ROW("eyJhbGciOiJSUzI1Ni+/"),  ROW("\0"),
    };
    struct jws_header header;
    (void)state;
    assert_ok(jws_read_header(&arena, STR("eyJhbGciOiJSUzI1NiJ9"), &header));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_code(jws_read_header(&arena, bad[i], &header), ERR_TOKEN_MALFORMED, bad[i].at);
}

static struct str header_with_kid(size_t len, size_t padding)
{
    char *kid = arena_alloc(&arena, len + 1), *pad = arena_alloc(&arena, padding + 1);
    memset(kid, 'k', len);
    memset(pad, 'p', padding);
    return encoded(arena_printf(&arena, "{\"alg\":\"RS256\",\"kid\":\"%.*s\",\"pad\":\"%.*s\"}", (int)len, kid,
                                (int)padding, pad));
}

static void a_header_and_its_kid_are_bounded(void **state)
{
    struct jws_header header;
    (void)state;
    assert_ok(jws_read_header(&arena, header_with_kid(JWS_KID_MAX, 0), &header));
    assert_int_equal(header.kid.len, JWS_KID_MAX);
    assert_code(jws_read_header(&arena, header_with_kid(JWS_KID_MAX + 1, 0), &header), ERR_TOKEN_MALFORMED, "kid");
    assert_code(jws_read_header(&arena, header_with_kid(1000000, 0), &header), ERR_TOKEN_MALFORMED, "1 MB");
    struct str longest = header_with_kid(1, 1502);
    assert_int_equal(longest.len, JWS_HEADER_MAX);
    assert_ok(jws_read_header(&arena, longest, &header));
    assert_code(jws_read_header(&arena, header_with_kid(1, 1503), &header), ERR_TOKEN_MALFORMED, "one more");
}

static void a_payload_is_any_bytes_in_strict_base64url(void **state)
{
    struct str out = { 0, 0 };
    (void)state;
    assert_ok(jws_read_payload(&arena, STR("AP8"), &out));
    assert_true(str_eq(out, STR("\0\xff")));
    assert_code(jws_read_payload(&arena, STR("AP9"), &out), ERR_TOKEN_MALFORMED, "stray bits");
    assert_code(jws_read_payload(&arena, STR("AP8="), &out), ERR_TOKEN_MALFORMED, "padding");
    assert_code(jws_read_payload(&arena, STR("AP8 "), &out), ERR_TOKEN_MALFORMED, "a space");
}

/* --- the standards' examples ------------------------------------------------------------------------------------- */

static void the_standards_signatures_verify(void **state)
{
    static const char *const names[] = { "rfc7515_A.2", "rfc7515_A.3", "rfc7520_4.1", "rfc8037_A" };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        const struct json *json = vector(names[i]);
        AUTO(jwk_freep) struct jwk *key = key_of_vector(json);
        struct str token = text_of(json, "token"), payload;
        struct jws_parts parts;
        assert_code(verify(key, token), ERR_OK, names[i]);
        assert_ok(jws_split(token, &parts));
        assert_ok(jws_read_payload(&arena, parts.payload, &payload));
        assert_true(str_eq(payload, decoded(text_of(json, "payload"))));
    }
}

static void the_standards_algorithms_that_are_not_ours_are_refused(void **state)
{
    const struct json *json = vector("rfc7520_4.2"); /* PS384 */
    AUTO(jwk_freep) struct jwk *rsa = key_of_vector(json);
    struct jws_parts parts;
    (void)state;
    assert_code(verify(rsa, text_of(json, "token")), ERR_TOKEN_ALGORITHM, "PS384");
    assert_code(verify(rsa, text_of(vector("rfc7515_A.1"), "token")), ERR_TOKEN_ALGORITHM, "HS256");
    assert_code(verify(rsa, text_of(vector("rfc7520_4.4"), "token")), ERR_TOKEN_ALGORITHM, "HS256");
    assert_code(verify(rsa, text_of(vector("rfc7520_4.3"), "token")), ERR_TOKEN_ALGORITHM, "ES512");
    assert_code(verify(rsa, text_of(vector("rfc7515_A.4"), "token")), ERR_TOKEN_ALGORITHM, "ES512");
    assert_code(jws_split(text_of(vector("rfc7515_A.5"), "token"), &parts), ERR_TOKEN_MALFORMED, "none");
}

/* A key pair from a vector's members, made with OpenSSL alone. */
static EVP_PKEY *pair_of(const struct json *json, const char *type)
{
    static const struct {
        const char *name, *openssl;
    } numbers[] = { { "n", OSSL_PKEY_PARAM_RSA_N }, { "e", OSSL_PKEY_PARAM_RSA_E }, { "d", OSSL_PKEY_PARAM_RSA_D } };
    const struct json *public = json_member(json, STR("jwk")), *private = json_member(json, STR("private"));
    EVP_PKEY *pair = NULL;
    if (strcmp(type, "ED25519") == 0) {
        struct str d = decoded(text_of(private, "d"));
        return EVP_PKEY_new_raw_private_key_ex(NULL, type, NULL, (const unsigned char *)d.at, d.len);
    }
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    BIGNUM *kept[COUNT(numbers)];
    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct str text = text_of(i < 2 ? public : private, numbers[i].name), bytes = decoded(text);
        kept[i] = BN_bin2bn((const unsigned char *)bytes.at, (int)bytes.len, NULL);
        assert_int_equal(OSSL_PARAM_BLD_push_BN(builder, numbers[i].openssl, kept[i]), 1);
    }
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    assert_int_equal(EVP_PKEY_fromdata_init(ctx), 1);
    assert_int_equal(EVP_PKEY_fromdata(ctx, &pair, EVP_PKEY_KEYPAIR, params), 1);
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    for (size_t i = 0; i < COUNT(numbers); i++)
        BN_free(kept[i]);
    return pair;
}

/* RS256 and EdDSA give one signature for one input: ours must be the standard's, bit by bit. */
static void what_the_standards_sign_we_sign_alike(void **state)
{
    static const struct {
        const char *name, *type;
        enum jwa alg;
    } rows[] = { { "rfc7515_A.2", "RSA", JWA_RS256 }, { "rfc8037_A", "ED25519", JWA_EDDSA } };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct json *json = vector(rows[i].name);
        AUTO(jwk_freep) struct jwk *key = NULL;
        struct jws_parts parts;
        char signature[JWK_SIGNATURE_MAX];
        size_t len;
        assert_ok(jwk_of_pkey(pair_of(json, rows[i].type), rows[i].alg, true, &key));
        assert_str(str_of(key->kid), arena_copy(&arena, text_of(json, "thumbprint")).at);
        assert_ok(jws_split(text_of(json, "token"), &parts));
        assert_ok(jws_sign(key, parts.signed_part, signature, &len));
        assert_true(str_eq(encoded((struct str){ signature, len }), parts.signature));
    }
}

/* --- signing and verifying --------------------------------------------------------------------------------------- */

static const enum jwa algs[] = { JWA_RS256, JWA_PS256, JWA_ES256, JWA_EDDSA };
static struct jwk *pairs[COUNT(algs)], *strangers[COUNT(algs)];

static void each_algorithm_verifies_what_it_signed(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(algs); i++) {
        struct buf input;
        char signature[JWK_SIGNATURE_MAX];
        size_t len;
        struct jws_parts parts;
        struct jws_header header;
        struct str payload;
        AUTO(jwk_freep) struct jwk *public = NULL;
        buf_init(&input, &arena, 256, 4096);
        jws_write_signing_input(&input, algs[i], STR("at+jwt"), str_of(pairs[i]->kid), STR("{\"sub\":\"a\"}"));
        assert_ok(jws_sign(pairs[i], buf_str(&input), signature, &len));
        assert_int_equal(len, i < 2 ? 256 : 64);
        buf_add_char(&input, '.');
        b64url_add(&input, (struct str){ signature, len });
        assert_ok(jws_split(buf_str(&input), &parts));
        assert_ok(jws_read_header(&arena, parts.header, &header));
        assert_str(header.alg, jwa_name(algs[i]));
        assert_str(header.typ, "at+jwt");
        assert_str(header.kid, pairs[i]->kid);
        assert_ok(jws_read_payload(&arena, parts.payload, &payload));
        assert_str(payload, "{\"sub\":\"a\"}");

        struct buf text;
        buf_init(&text, &arena, 512, 4096);
        jwk_write_public(pairs[i], &text);
        assert_ok(jwk_parse_public(&arena, buf_str(&text), &public));
        assert_code(verify(public, buf_str(&input)), ERR_OK, jwa_name(algs[i])); /* by what is published */
        assert_code(verify(strangers[i], buf_str(&input)), ERR_TOKEN_SIGNATURE, "another key of the type");
        char unsigned_room[JWK_SIGNATURE_MAX];
        assert_int_equal(jws_sign(public, STR("x"), unsigned_room, &len).code, ERR_INTERNAL);
    }
}

/* RFC 8725 section 3.1: the key decides, whatever the token says. */
static void a_token_is_refused_when_its_alg_is_not_its_keys(void **state)
{
    static const char *const names[] = { "RS256", "PS256", "ES256",  "EdDSA",  "none",  "None",
                                         "nOnE",  "NONE",  "HS256",  "HS512",  "RS512", "RS384",
                                         "ES384", "rs256", "RS256 ", " RS256", "es256", "" };
    (void)state;
    for (size_t i = 0; i < COUNT(algs); i++)
        for (size_t j = 0; j < COUNT(names); j++) {
            struct str header = arena_printf(&arena, "{\"alg\":\"%s\"}", names[j]);
            bool same = strcmp(names[j], jwa_name(algs[i])) == 0;
            assert_code(verify(pairs[i], signed_with(pairs[i], header, STR("{}"))), same ? ERR_OK : ERR_TOKEN_ALGORITHM,
                        header.at);
        }
}

/* The public key as text is known to all: whoever takes it for a MAC's key accepts anybody's token. */
static void an_hmac_made_with_the_public_key_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(algs); i++) {
        struct buf jwk;
        buf_init(&jwk, &arena, 512, 4096);
        jwk_write_public(pairs[i], &jwk);
        struct str h = encoded(STR("{\"alg\":\"HS256\"}")), p = encoded(STR("{}"));
        struct str input = arena_printf(&arena, "%.*s.%.*s", (int)h.len, h.at, (int)p.len, p.at);
        unsigned char mac[32];
        unsigned len = 0;
        const struct str keys[] = { buf_str(&jwk), STR("") }; /* also the empty key of CVE-2026-44699 */
        for (size_t k = 0; k < COUNT(keys); k++) {
            assert_non_null(HMAC(EVP_sha256(), keys[k].at, (int)keys[k].len, (const unsigned char *)input.at, input.len,
                                 mac, &len));
            struct str signature = { (const char *)mac, len };
            assert_code(verify(pairs[i], joined(STR("{\"alg\":\"HS256\"}"), STR("{}"), signature)), ERR_TOKEN_ALGORITHM,
                        "HS256");
            struct str lie = arena_printf(&arena, "{\"alg\":\"%s\"}", jwa_name(algs[i]));
            assert_code(verify(pairs[i], joined(lie, STR("{}"), signature)), ERR_TOKEN_SIGNATURE, lie.at);
        }
    }
}

/* RS256 and PS256 share a key type; a key is pinned to one of them all the same. */
static void one_rsa_key_under_two_algorithms_is_two_keys(void **state)
{
    AUTO(jwk_freep) struct jwk *as_ps256 = NULL;
    (void)state;
    EVP_PKEY *same = EVP_PKEY_dup(pairs[0]->pkey);
    assert_ok(jwk_of_pkey(same, JWA_PS256, true, &as_ps256));
    struct str rs256 = signed_with(pairs[0], STR("{\"alg\":\"RS256\"}"), STR("{}"));
    struct str ps256 = signed_with(as_ps256, STR("{\"alg\":\"PS256\"}"), STR("{}"));
    assert_ok(verify(pairs[0], rs256));
    assert_ok(verify(as_ps256, ps256));
    assert_code(verify(as_ps256, rs256), ERR_TOKEN_ALGORITHM, "RS256 under a PS256 key");
    assert_code(verify(pairs[0], ps256), ERR_TOKEN_ALGORITHM, "PS256 under an RS256 key");
    /* and with the header of the one over the signature of the other */
    assert_code(verify(as_ps256, signed_with(pairs[0], STR("{\"alg\":\"PS256\"}"), STR("{}"))), ERR_TOKEN_SIGNATURE,
                "PS256");
    assert_code(verify(pairs[0], signed_with(as_ps256, STR("{\"alg\":\"RS256\"}"), STR("{}"))), ERR_TOKEN_SIGNATURE,
                "RS256");
}

static void a_change_of_any_bit_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(algs); i++) {
        struct str header = arena_printf(&arena, "{\"alg\":\"%s\"}", jwa_name(algs[i]));
        struct str token = signed_with(pairs[i], header, STR("{\"sub\":\"a\"}"));
        char *at = arena_alloc(&arena, token.len);
        memcpy(at, token.at, token.len);
        assert_ok(verify(pairs[i], (struct str){ at, token.len }));
        for (size_t n = 0; n < token.len; n++)
            for (int bit = 0; bit < 8; bit++) {
                at[n] = (char)(at[n] ^ 1 << bit);
                assert_row(verify(pairs[i], (struct str){ at, token.len }).code != ERR_OK, header.at);
                at[n] = (char)(at[n] ^ 1 << bit);
            }
        for (size_t len = 0; len < token.len; len++)
            assert_row(verify(pairs[i], (struct str){ at, len }).code != ERR_OK, "cut short");
    }
}

static void what_stands_around_a_token_makes_it_another_one(void **state)
{
    static const char *const around[][2] = { { " ", "" },       { "", " " },    { "", "\n" },  { "\t", "" },
                                             { "", "=" },       { "", "." },    { ".", "" },   { "", "A" },
                                             { "Bearer ", "" }, { "", "AAAA" }, { "\"", "\"" } };
    (void)state;
    for (size_t i = 0; i < COUNT(algs); i++) {
        struct str header = arena_printf(&arena, "{\"alg\":\"%s\"}", jwa_name(algs[i]));
        struct str token = signed_with(pairs[i], header, STR("{}"));
        for (size_t j = 0; j < COUNT(around); j++) {
            struct str other = arena_printf(&arena, "%s%.*s%s", around[j][0], (int)token.len, token.at, around[j][1]);
            assert_row(verify(pairs[i], other).code != ERR_OK, other.at);
        }
        struct str nul = { arena_copy(&arena, token).at, token.len + 1 };
        assert_true(verify(pairs[i], nul).code != ERR_OK);
    }
}

static void signatures_of_another_length_are_refused(void **state)
{
    static const size_t lengths[] = { 1, 2, 31, 32, 63, 64, 65, 70, 71, 72, 128, 255, 256, 257, 1023, 1024 };
    (void)state;
    for (size_t i = 0; i < COUNT(algs); i++)
        for (size_t j = 0; j < COUNT(lengths); j++)
            for (int fill = 0; fill <= 0xff; fill += 0xff) {
                char *bytes = arena_alloc(&arena, lengths[j]);
                memset(bytes, fill, lengths[j]);
                struct str header = arena_printf(&arena, "{\"alg\":\"%s\"}", jwa_name(algs[i]));
                assert_code(verify(pairs[i], joined(header, STR("{}"), (struct str){ bytes, lengths[j] })),
                            ERR_TOKEN_SIGNATURE, header.at);
            }
    char *large = arena_zalloc(&arena, 100000);
    assert_code(verify(pairs[0], joined(STR("{\"alg\":\"RS256\"}"), STR("{}"), (struct str){ large, 1025 })),
                ERR_TOKEN_MALFORMED, "1025 bytes");
    assert_code(verify(pairs[0], joined(STR("{\"alg\":\"RS256\"}"), STR("{}"), (struct str){ large, 100000 })),
                ERR_TOKEN_MALFORMED, "100000 bytes");
}

/* CVE-2022-21449 and its kin: r and s must lie in [1, n-1]. */
static void ecdsa_takes_no_r_or_s_of_zero_or_of_the_order_or_above(void **state)
{
    static const char zero[32], one[32] = { [31] = 1 };
    static const unsigned char n[32] = { 0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                         0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                         0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51 };
    unsigned char below[32], above[32], most[32];
    char signature[64];
    (void)state;
    memcpy(below, n, 32);
    memcpy(above, n, 32);
    memset(most, 0xff, 32);
    below[31]--;
    above[31]++;
    const void *const halves[] = { zero, one, below, n, above, most };
    for (size_t i = 0; i < COUNT(halves); i++)
        for (size_t j = 0; j < COUNT(halves); j++) {
            memcpy(signature, halves[i], 32);
            memcpy(signature + 32, halves[j], 32);
            assert_code(verify(pairs[2], joined(STR("{\"alg\":\"ES256\"}"), STR("{}"), (struct str){ signature, 64 })),
                        ERR_TOKEN_SIGNATURE, "r and s");
        }
    /* a true r with s + n where it fits, or with the other's zero, is no second spelling either */
    struct str token = signed_with(pairs[2], STR("{\"alg\":\"ES256\"}"), STR("{}"));
    struct jws_parts parts;
    assert_ok(jws_split(token, &parts));
    struct str good = decoded(parts.signature);
    for (size_t i = 0; i < COUNT(halves); i++)
        for (size_t at = 0; at < 64; at += 32) {
            memcpy(signature, good.at, 64);
            memcpy(signature + at, halves[i], 32);
            assert_code(verify(pairs[2], joined(STR("{\"alg\":\"ES256\"}"), STR("{}"), (struct str){ signature, 64 })),
                        ERR_TOKEN_SIGNATURE, "half a true signature");
        }
}

/* KMS and OpenSSL give DER; a JWS never has it (RFC 7518 section 3.4). */
static void ecdsa_takes_no_der(void **state)
{
    unsigned char der[80];
    size_t len = sizeof der;
    struct str h = encoded(STR("{\"alg\":\"ES256\"}")), p = encoded(STR("{}"));
    struct str input = arena_printf(&arena, "%.*s.%.*s", (int)h.len, h.at, (int)p.len, p.at);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    (void)state;
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, "SHA256", NULL, NULL, pairs[2]->pkey, NULL), 1);
    assert_int_equal(EVP_DigestSign(ctx, der, &len, (const unsigned char *)input.at, input.len), 1);
    EVP_MD_CTX_free(ctx);
    assert_code(verify(pairs[2], joined(STR("{\"alg\":\"ES256\"}"), STR("{}"), (struct str){ (char *)der, len })),
                ERR_TOKEN_SIGNATURE, "DER");
}

/* RFC 7518 section 3.5: the salt is as long as the hash, MGF1 uses the same hash. */
static void pss_takes_a_salt_of_32_bytes_and_sha_256_throughout(void **state)
{
    static const struct {
        const char *digest, *mgf;
        int salt;
        bool good;
    } rows[] = {
        { "SHA256", "SHA256", 32, true },  { "SHA256", "SHA256", 0, false },
        { "SHA256", "SHA256", 20, false }, { "SHA256", "SHA256", 31, false },
        { "SHA256", "SHA256", 33, false }, { "SHA256", "SHA256", 64, false },
        { "SHA256", "SHA1", 32, false },   { "SHA256", "SHA512", 32, false },
        { "SHA512", "SHA512", 32, false }, { "SHA256", "SHA256", RSA_PSS_SALTLEN_MAX, false },
    };
    struct str h = encoded(STR("{\"alg\":\"PS256\"}")), p = encoded(STR("{}"));
    struct str input = arena_printf(&arena, "%.*s.%.*s", (int)h.len, h.at, (int)p.len, p.at);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned char signature[256];
        size_t len = sizeof signature;
        EVP_PKEY_CTX *parameters = NULL;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestSignInit_ex(ctx, &parameters, rows[i].digest, NULL, NULL, pairs[1]->pkey, NULL), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md_name(parameters, rows[i].mgf, NULL), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, rows[i].salt), 1);
        assert_int_equal(EVP_DigestSign(ctx, signature, &len, (const unsigned char *)input.at, input.len), 1);
        EVP_MD_CTX_free(ctx);
        struct err err = verify(pairs[1],
                                joined(STR("{\"alg\":\"PS256\"}"), STR("{}"), (struct str){ (char *)signature, len }));
        assert_row((err.code == ERR_OK) == rows[i].good, rows[i].mgf);
    }
}

/* Ed25519 signatures are malleable unless S lies below the group's order L (RFC 8032 section 5.1.7). */
static void eddsa_takes_no_s_of_the_order_or_above(void **state)
{
    static const unsigned char order[32] = { 0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                             0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10 };
    struct str token = signed_with(pairs[3], STR("{\"alg\":\"EdDSA\"}"), STR("{}"));
    struct jws_parts parts;
    unsigned char signature[64];
    (void)state;
    assert_ok(jws_split(token, &parts));
    memcpy(signature, decoded(parts.signature).at, 64);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) { /* the same signature again, as S + L */
        carry += signature[32 + i] + order[i];
        signature[32 + i] = (unsigned char)carry;
        carry >>= 8;
    }
    assert_code(verify(pairs[3], joined(STR("{\"alg\":\"EdDSA\"}"), STR("{}"), (struct str){ (char *)signature, 64 })),
                ERR_TOKEN_SIGNATURE, "S + L");
    memcpy(signature + 32, order, 32);
    assert_code(verify(pairs[3], joined(STR("{\"alg\":\"EdDSA\"}"), STR("{}"), (struct str){ (char *)signature, 64 })),
                ERR_TOKEN_SIGNATURE, "S = L");
}

/* --- contexts kept by thread and key ----------------------------------------------------------------------------- */

/* More keys than contexts are kept, in a changing order: none may be taken for another. */
static void a_context_is_never_taken_for_another_keys(void **state)
{
    enum { KEYS = 24 };
    struct jwk *keys[KEYS];
    struct str tokens[KEYS];
    (void)state;
    for (size_t i = 0; i < KEYS; i++) {
        assert_ok(jwk_generate(i % 2 ? JWA_ES256 : JWA_EDDSA, &keys[i]));
        tokens[i] = signed_with(keys[i], i % 2 ? STR("{\"alg\":\"ES256\"}") : STR("{\"alg\":\"EdDSA\"}"), STR("{}"));
    }
    for (size_t round = 0; round < 40; round++)
        for (size_t i = 0; i < KEYS; i++) {
            size_t key = (i * 7 + round) % KEYS, other = (key + 2 + 2 * (round % (KEYS / 2 - 1))) % KEYS;
            assert_ok(verify(keys[key], tokens[key]));
            assert_code(verify(keys[other], tokens[key]), ERR_TOKEN_SIGNATURE, "another key's");
        }
    for (size_t i = 0; i < KEYS; i++) { /* a freed key's place may be given to the next: its context must not */
        jwk_free(keys[i]);
        assert_ok(jwk_generate(i % 2 ? JWA_ES256 : JWA_EDDSA, &keys[i]));
        assert_code(verify(keys[i], tokens[i]), ERR_TOKEN_SIGNATURE, "a freed key's");
    }
    for (size_t i = 0; i < KEYS; i++)
        jwk_free(keys[i]);
}

static void *sign_and_verify(void *arg)
{
    size_t *failures = arg;
    for (size_t i = 0; i < 60; i++) {
        const struct jwk *key = pairs[i % COUNT(pairs)];
        char input[32], signature[JWK_SIGNATURE_MAX];
        size_t len = (size_t)snprintf(input, sizeof input, "input %zu %p", i, arg), signed_len = 0;
        struct err err = jws_sign(key, (struct str){ input, len }, signature, &signed_len);
        const struct str got = { signature, signed_len };
        *failures += err.code || !jws_check(key, (struct str){ input, len }, got) ||
                     jws_check(key, (struct str){ input, len - 1 }, got);
    }
    return NULL;
}

static void threads_share_a_key(void **state)
{
    pthread_t threads[4];
    size_t failures[COUNT(threads)] = { 0 };
    (void)state;
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, sign_and_verify, &failures[i]), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(failures[i], 0);
}

static void the_hash_is_sha_256(void **state)
{
    static const unsigned char of_abc[32] = { 0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
                                              0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
                                              0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad };
    static const unsigned char of_nothing[4] = { 0xe3, 0xb0, 0xc4, 0x42 };
    unsigned char hash[32];
    (void)state;
    sha256(STR("abc"), hash);
    assert_memory_equal(hash, of_abc, 32);
    sha256((struct str){ NULL, 0 }, hash);
    assert_memory_equal(hash, of_nothing, 4);
}

static int make_pairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(algs); i++)
        if (jwk_generate(algs[i], &pairs[i]).code || jwk_generate(algs[i], &strangers[i]).code)
            return -1;
    return 0;
}

static int free_pairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(algs); i++) {
        jwk_free(pairs[i]);
        jwk_free(strangers[i]);
    }
    return 0;
}

RUN_WITH(make_pairs, free_pairs, TEST(split_takes_three_parts_and_nothing_else),
         TEST(a_header_needs_an_alg_and_may_have_a_kid_and_a_typ),
         TEST(a_header_says_what_it_has_and_leaves_the_rest_empty),
         TEST(a_header_that_is_not_strict_base64url_is_refused), TEST(a_header_and_its_kid_are_bounded),
         TEST(a_payload_is_any_bytes_in_strict_base64url), TEST(the_standards_signatures_verify),
         TEST(the_standards_algorithms_that_are_not_ours_are_refused), TEST(what_the_standards_sign_we_sign_alike),
         TEST(each_algorithm_verifies_what_it_signed), TEST(a_token_is_refused_when_its_alg_is_not_its_keys),
         TEST(an_hmac_made_with_the_public_key_is_refused), TEST(one_rsa_key_under_two_algorithms_is_two_keys),
         TEST(a_change_of_any_bit_is_refused), TEST(what_stands_around_a_token_makes_it_another_one),
         TEST(signatures_of_another_length_are_refused), TEST(ecdsa_takes_no_r_or_s_of_zero_or_of_the_order_or_above),
         TEST(ecdsa_takes_no_der), TEST(pss_takes_a_salt_of_32_bytes_and_sha_256_throughout),
         TEST(eddsa_takes_no_s_of_the_order_or_above), TEST(a_context_is_never_taken_for_another_keys),
         TEST(threads_share_a_key), TEST(the_hash_is_sha_256))
