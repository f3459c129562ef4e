/* test_jwk.c: which keys are taken, what each is pinned to, and that a key's public half reads back as the same key. */
#include "jose/jwk.h"
#include "vectors.h"
#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

static struct err parse(struct str text, struct jwk **out)
{
    char *copy = exactly(text);
    struct err err = jwk_parse_public(&arena, (struct str){ copy, text.len }, out);
    free(copy); /* a key keeps nothing of its text */
    return err;
}

static struct str public_text(const struct jwk *key)
{
    struct buf buf;
    buf_init(&buf, &arena, 64, 8192);
    jwk_write_public(key, &buf);
    assert_false(buf.overflowed);
    return buf_str(&buf);
}

/* --- the table of algorithms ------------------------------------------------------------------------------------- */

static void an_algorithm_has_one_exact_name(void **state)
{
    static const struct {
        const char *name;
        enum jwa alg;
    } rows[] = { { "RS256", JWA_RS256 }, { "PS256", JWA_PS256 }, { "ES256", JWA_ES256 }, { "EdDSA", JWA_EDDSA } };
    static const struct str bad[] = {
        ROW(""),        ROW("none"),    ROW("None"),
        ROW("NONE"),    ROW("nOnE"),    ROW("none "),
        ROW("HS256"),   ROW("HS384"),   ROW("HS512"),
        ROW("RS1"),     ROW("RS384"),   ROW("RS512"),
        ROW("PS384"),   ROW("ES384"),   ROW("ES512"),
        ROW("ES256K"),  ROW("rs256"),   ROW("Rs256"),
        ROW(" RS256"),  ROW("RS256 "),  ROW("RS256\0"),
        ROW("RS25"),    ROW("RS2566"),  ROW("EDDSA"),
        ROW("eddsa"),   ROW("Ed25519"), ROW("Ed448"),
        ROW("RSA1_5"),  ROW("dir"),     ROW("RS256\0HS256"),
        ROW("\0RS256"), ROW("ES256\n"), ROW("\xef\xbb\xbfRS256"),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        enum jwa alg = 0;
        assert_true(jwa_find(str_of(rows[i].name), &alg));
        assert_int_equal(alg, rows[i].alg);
        assert_string_equal(jwa_name(alg), rows[i].name);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        enum jwa alg = 0;
        assert_row(!jwa_find(bad[i], &alg), bad[i].at);
        assert_row(alg == 0, bad[i].at);
    }
}

/* --- the standards' examples ------------------------------------------------------------------------------------- */

static void the_standards_keys_have_the_standards_thumbprints(void **state)
{
    static const struct {
        const char *name;
        enum jwa alg;
    } rows[] = {
        { "rfc7638_3.1", JWA_RS256 }, { "rfc8037_A", JWA_EDDSA },   { "rfc7515_A.2", JWA_RS256 },
        { "rfc7515_A.3", JWA_ES256 }, { "rfc7520_4.1", JWA_RS256 }, { "rfc7520_4.2", JWA_RS256 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(jwk_freep) struct jwk *key = NULL;
        const struct json *json = vector(rows[i].name);
        assert_code(parse(json_member(json, STR("jwk"))->text, &key), ERR_OK, rows[i].name);
        assert_row(str_eq(str_of(key->kid), text_of(json, "thumbprint")), rows[i].name);
        assert_int_equal(key->alg, rows[i].alg);
        assert_false(key->has_private);
    }
}

static void keys_of_algorithms_that_are_not_supported_are_refused(void **state)
{
    static const char *const names[] = { "rfc7515_A.1", "rfc7515_A.4", "rfc7520_4.3", "rfc7520_4.4" };
    (void)state;
    for (size_t i = 0; i < COUNT(names); i++) {
        struct jwk *key = NULL;
        assert_code(parse(json_member(vector(names[i]), STR("jwk"))->text, &key), ERR_INVALID_REQUEST, names[i]);
        assert_null(key);
    }
}

/* --- what a JWK must and must not say ---------------------------------------------------------------------------- */

#define RSA_N                                                                                                          \
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pC" \
    "gNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6" \
    "65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW" \
    "yuXpoQ"
#define RSA_KEY "\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\""
#define EC_X "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\""
#define EC_Y "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define EC_KEY "\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X "," EC_Y
#define OKP_X "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define OKP_KEY "\"kty\":\"OKP\",\"crv\":\"Ed25519\"," OKP_X

static void a_key_is_pinned_to_its_alg_or_to_the_only_one_that_its_type_leaves(void **state)
{
    static const struct {
        const char *text;
        enum jwa alg; /* 0: refused */
    } rows[] = {
        { "{" RSA_KEY "}", JWA_RS256 },
        { "{" RSA_KEY ",\"alg\":\"RS256\"}", JWA_RS256 },
        { "{" RSA_KEY ",\"alg\":\"PS256\"}", JWA_PS256 },
        { "{" EC_KEY "}", JWA_ES256 },
        { "{" EC_KEY ",\"alg\":\"ES256\"}", JWA_ES256 },
        { "{" OKP_KEY "}", JWA_EDDSA },
        { "{" OKP_KEY ",\"alg\":\"EdDSA\"}", JWA_EDDSA },
        { "{" OKP_KEY ",\"alg\":\"Ed25519\"}", JWA_EDDSA }, /* RFC 9864 */
        { "{" RSA_KEY ",\"use\":\"sig\",\"kid\":\"../../etc/passwd\",\"x5c\":[\"x\"],\"jku\":1}", JWA_RS256 },
        { "{" RSA_KEY ",\"key_ops\":[\"verify\"]}", JWA_RS256 },
        { "{" EC_KEY ",\"key_ops\":[\"sign\",\"verify\"]}", JWA_ES256 },
        /* another family's algorithm, or none at all */
        { "{" RSA_KEY ",\"alg\":\"ES256\"}", 0 },
        { "{" RSA_KEY ",\"alg\":\"EdDSA\"}", 0 },
        { "{" RSA_KEY ",\"alg\":\"Ed25519\"}", 0 },
        { "{" RSA_KEY ",\"alg\":\"HS256\"}", 0 },
        { "{" RSA_KEY ",\"alg\":\"none\"}", 0 },
        { "{" RSA_KEY ",\"alg\":\"\"}", 0 },
        { "{" RSA_KEY ",\"alg\":\"RS512\"}", 0 },
        { "{" RSA_KEY ",\"alg\":\"rs256\"}", 0 },
        { "{" RSA_KEY ",\"alg\":\"RSA-OAEP\"}", 0 },
        { "{" RSA_KEY ",\"alg\":null}", 0 },
        { "{" RSA_KEY ",\"alg\":[\"RS256\"]}", 0 },
        { "{" RSA_KEY ",\"alg\":256}", 0 },
        { "{" EC_KEY ",\"alg\":\"RS256\"}", 0 },
        { "{" EC_KEY ",\"alg\":\"ES384\"}", 0 },
        { "{" EC_KEY ",\"alg\":\"P-256\"}", 0 },
        { "{" EC_KEY ",\"alg\":\"Ed25519\"}", 0 },
        { "{" EC_KEY ",\"alg\":\"ECDH-ES\"}", 0 },
        { "{" OKP_KEY ",\"alg\":\"ES256\"}", 0 },
        { "{" OKP_KEY ",\"alg\":\"EDDSA\"}", 0 },
        /* another purpose */
        { "{" RSA_KEY ",\"use\":\"enc\"}", 0 },
        { "{" RSA_KEY ",\"use\":\"SIG\"}", 0 },
        { "{" RSA_KEY ",\"use\":\"\"}", 0 },
        { "{" RSA_KEY ",\"use\":[\"sig\"]}", 0 },
        { "{" RSA_KEY ",\"use\":null}", 0 },
        { "{" RSA_KEY ",\"key_ops\":[]}", 0 },
        { "{" RSA_KEY ",\"key_ops\":[\"sign\"]}", 0 },
        { "{" RSA_KEY ",\"key_ops\":[\"encrypt\",\"wrapKey\"]}", 0 },
        { "{" RSA_KEY ",\"key_ops\":\"verify\"}", 0 },
        { "{" RSA_KEY ",\"key_ops\":{\"verify\":true}}", 0 },
        { "{" RSA_KEY ",\"key_ops\":[[\"verify\"]]}", 0 },
        { "{" RSA_KEY ",\"kid\":1}", 0 },
        { "{" RSA_KEY ",\"kid\":null}", 0 },
        /* private and symmetric keys */
        { "{" RSA_KEY ",\"d\":\"AQAB\"}", 0 },
        { "{" RSA_KEY ",\"p\":\"AQAB\"}", 0 },
        { "{" RSA_KEY ",\"q\":\"AQAB\"}", 0 },
        { "{" RSA_KEY ",\"dp\":\"AQAB\"}", 0 },
        { "{" RSA_KEY ",\"dq\":\"AQAB\"}", 0 },
        { "{" RSA_KEY ",\"qi\":\"AQAB\"}", 0 },
        { "{" RSA_KEY ",\"oth\":[]}", 0 },
        { "{" RSA_KEY ",\"k\":\"AQAB\"}", 0 },
        { "{" RSA_KEY ",\"d\":null}", 0 },
        { "{" EC_KEY ",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}", 0 },
        { "{" OKP_KEY ",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\"}", 0 },
        { "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75\"}", 0 },
        { "{\"kty\":\"oct\",\"k\":\"\",\"alg\":\"none\"}", 0 },
        { "{\"kty\":\"oct\"}", 0 },
        /* types and curves */
        { "{}", 0 },
        { "{\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}", 0 },
        { "{\"kty\":\"RSA\"}", 0 },
        { "{\"kty\":\"rsa\",\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}", 0 },
        { "{\"kty\":null,\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}", 0 },
        { "{\"kty\":[\"RSA\"],\"n\":\"" RSA_N "\",\"e\":\"AQAB\"}", 0 },
        { "{\"kty\":\"EC\"," EC_X "," EC_Y "}", 0 },
        { "{\"kty\":\"EC\",\"crv\":\"p-256\"," EC_X "," EC_Y "}", 0 },
        { "{\"kty\":\"EC\",\"crv\":\"P-384\"," EC_X "," EC_Y "}", 0 },
        { "{\"kty\":\"EC\",\"crv\":\"secp256k1\"," EC_X "," EC_Y "}", 0 },
        { "{\"kty\":\"EC\",\"crv\":\"Ed25519\"," EC_X "," EC_Y "}", 0 },
        { "{\"kty\":\"EC\",\"crv\":256," EC_X "," EC_Y "}", 0 },
        { "{\"kty\":\"OKP\",\"crv\":\"X25519\"," OKP_X "}", 0 },
        { "{\"kty\":\"OKP\",\"crv\":\"Ed448\"," OKP_X "}", 0 },
        { "{\"kty\":\"OKP\",\"crv\":\"P-256\"," OKP_X "}", 0 },
        { "{\"kty\":\"OKP\"," OKP_X "}", 0 },
        { "{\"kty\":\"RSA\"," OKP_X ",\"crv\":\"Ed25519\"}", 0 },
        { "[{" RSA_KEY "}]", 0 },
        { "{\"keys\":[{" RSA_KEY "}]}", 0 },
        { "\"" RSA_N "\"", 0 },
        { "null", 0 },
        { "", 0 },
        { "{" RSA_KEY ",\"kty\":\"RSA\"}", 0 }, /* a member twice */
        { "{" RSA_KEY ",\"alg\":\"RS256\",\"alg\":\"PS256\"}", 0 },
        { "{" RSA_KEY "} ", JWA_RS256 },
        { "{" RSA_KEY "}x", 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(jwk_freep) struct jwk *key = NULL;
        struct err err = parse(str_of(rows[i].text), &key);
        assert_code(err, rows[i].alg ? ERR_OK : ERR_INVALID_REQUEST, rows[i].text);
        assert_row((key ? key->alg : 0) == rows[i].alg, rows[i].text);
        assert_row(!err.code || strlen(err.why) > 10, rows[i].text);
    }
}

static void numbers_have_their_one_spelling_and_their_length(void **state)
{
    static const char *const bad[] = {
        /* the exponent: missing, not a string, padded, with leading zeros, even, too small, too large */
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":65537}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB==\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAB \"}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AAEAAQ\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAA\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAC\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQ\"}",  /* 1: every message is its own signature */
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"Aw\"}",  /* 3 */
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"__8\"}", /* 65535 */
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AA\"}",
        "{\"kty\":\"RSA\",\"n\":\"" RSA_N "\",\"e\":\"AQAAAAAAAAAB\"}", /* 9 bytes */
        /* the modulus */
        "{\"kty\":\"RSA\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"\"}",
        "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":null}",
        "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" RSA_N "=\"}",
        "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"" RSA_N "==\"}",
        "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"AAAA" RSA_N "\"}",
        /* the point */
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_Y "}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":\"\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X
        ",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1\"}", /* stray bits */
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X
        ",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5Q\"}", /* 31 bytes */
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X ",\"y\":\"AMfxRM0bvZt-hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\"}", /* 33 */
        "{\"kty\":\"EC\",\"crv\":\"P-256\"," EC_X
        ",\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a4\"}", /* off the curve */
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":"
        "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"_____wAAAAEAAAAAAAAAAAAAAAD_______________-\",\"y\":"
        "\"_____wAAAAEAAAAAAAAAAAAAAAD_______________-\"}",
        /* Ed25519 */
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURoA\"}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct jwk *key = NULL;
        assert_code(parse(str_of(bad[i]), &key), ERR_INVALID_REQUEST, bad[i]);
        assert_null(key);
    }
}

/* jwk.h refuses "points off the curve". 2 is no y of Ed25519; the other rows are its eight points of small order (RFC
 * 8032 section 5.1, with the two spellings that are not canonical): under such a key a signature of R = S*B is good for
 * any message. */
static void an_ed25519_key_is_a_point_of_the_curve_and_of_no_small_order(void **state)
{
    static const struct str bad[] = {
        ROW("\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ROW("\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ROW("\x00\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"),
        ROW("\x00\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x80"),
        ROW("\xec\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
            "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        ROW("\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0"
            "\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05"),
        ROW("\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0"
            "\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x85"),
        ROW("\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f"
            "\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a"),
        ROW("\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f"
            "\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\xfa"),
        ROW("\xee\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
            "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
        ROW("\xed\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
            "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        AUTO(jwk_freep) struct jwk *key = NULL;
        struct str x = encoded(bad[i]);
        struct str text = arena_printf(&arena, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%.*s\"}", (int)x.len,
                                       x.at);
        assert_code(parse(text, &key), ERR_INVALID_REQUEST, text.at);
    }
}

static struct str rsa_of(size_t bytes, unsigned char first, unsigned char last)
{
    char *n = arena_alloc(&arena, bytes);
    memset(n, 0x5a, bytes);
    n[0] = (char)first;
    n[bytes - 1] = (char)last;
    struct str text = encoded((struct str){ n, bytes });
    return arena_printf(&arena, "{\"kty\":\"RSA\",\"e\":\"AQAB\",\"n\":\"%.*s\"}", (int)text.len, text.at);
}

static void an_rsa_modulus_has_2048_to_8192_bits_and_is_odd(void **state)
{
    static const struct {
        size_t bytes;
        unsigned char first, last;
        bool good;
        const char *what;
    } rows[] = {
        { 256, 0x80, 0x5b, true, "2048 bits" },
        { 256, 0x7f, 0x5b, false, "2047 bits" },
        { 255, 0xff, 0x5b, false, "2040 bits" },
        { 128, 0xff, 0x5b, false, "1024 bits" },
        { 64, 0xff, 0x5b, false, "512 bits" },
        { 1, 0xff, 0xff, false, "8 bits" },
        { 384, 0x80, 0x5b, true, "3072 bits" },
        { 1024, 0xff, 0x5b, true, "8192 bits" },
        { 1025, 0x01, 0x5b, false, "8193 bits" },
        { 1025, 0xff, 0x5b, false, "8200 bits" },
        { 4096, 0xff, 0x5b, false, "32768 bits" },
        { 256, 0x00, 0x5b, false, "a leading zero" },
        { 257, 0x00, 0x5b, false, "a leading zero before 2048 bits" },
        { 256, 0x80, 0x5a, false, "even" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        AUTO(jwk_freep) struct jwk *key = NULL;
        struct err err = parse(rsa_of(rows[i].bytes, rows[i].first, rows[i].last), &key);
        assert_code(err, rows[i].good ? ERR_OK : ERR_INVALID_REQUEST, rows[i].what);
    }
}

/* --- making, printing, keeping ----------------------------------------------------------------------------------- */

static void a_made_key_reads_back_as_itself(void **state)
{
    static const enum jwa algs[] = { JWA_RS256, JWA_PS256, JWA_ES256, JWA_EDDSA };
    (void)state;
    for (size_t i = 0; i < COUNT(algs); i++) {
        AUTO(jwk_freep) struct jwk *pair = NULL, *public = NULL, *again = NULL;
        struct secret pem = { 0 };
        const struct json *json;
        assert_ok(jwk_generate(algs[i], &pair));
        assert_true(pair->has_private);
        assert_int_equal(strlen(pair->kid), JWK_THUMBPRINT_LEN);
        struct str text = public_text(pair);

        assert_ok(json_parse(&arena, text, &json));
        assert_str(text_of(json, "kid"), pair->kid);
        assert_str(text_of(json, "use"), "sig");
        assert_str(text_of(json, "alg"), jwa_name(algs[i]));
        assert_int_equal(json->count, algs[i] == JWA_ES256 ? 7 : 6); /* kid kty use alg, and only public members */
        assert_ok(parse(text, &public));
        assert_string_equal(public->kid, pair->kid);
        assert_int_equal(public->alg, algs[i]);
        assert_false(public->has_private);
        assert_true(str_eq(public_text(public), text));

        assert_ok(jwk_write_private_pem(pair, &pem));
        assert_true(str_has_prefix((struct str){ pem.at, pem.len }, STR("-----BEGIN PRIVATE KEY-----")));
        assert_ok(jwk_read_private_pem((struct str){ pem.at, pem.len }, algs[i], &again));
        assert_string_equal(again->kid, pair->kid);
        assert_true(again->has_private);
        assert_true(pair->serial != public->serial && public->serial != again->serial && pair->serial != again->serial);
        assert_int_equal(jwk_write_private_pem(public, &(struct secret){ 0 }).code, ERR_INTERNAL);
        secret_release(&pem);
    }
}

/* Coordinates with leading zeros are rare, and padded (RFC 7518 section 6.2.1.2): the thumbprint depends on it. */
static void a_coordinate_keeps_its_leading_zeros(void **state)
{
    bool met = false;
    (void)state;
    for (int i = 0; i < 4000 && !met; i++) {
        AUTO(jwk_freep) struct jwk *key = NULL, *again = NULL;
        const struct json *json;
        assert_ok(jwk_generate(JWA_ES256, &key));
        struct str text = public_text(key);
        assert_ok(json_parse(&arena, text, &json));
        struct str x = decoded(text_of(json, "x")), y = decoded(text_of(json, "y"));
        assert_int_equal(x.len, 32);
        assert_int_equal(y.len, 32);
        met = x.at[0] == 0 || y.at[0] == 0;
        if (met)
            assert_ok(parse(text, &again));
        arena_release(&arena);
    }
    assert_true(met); /* one in 128: 4000 keys without one come once in 10^13 runs */
}

/* Half of all y have no x: the check of the point must not take a good key for one of those. */
static void every_made_ed25519_key_is_taken(void **state)
{
    (void)state;
    for (int i = 0; i < 500; i++) {
        AUTO(jwk_freep) struct jwk *key = NULL, *again = NULL;
        assert_ok(jwk_generate(JWA_EDDSA, &key));
        assert_ok(parse(public_text(key), &again));
        assert_string_equal(again->kid, key->kid);
        arena_release(&arena);
    }
}

static void a_key_is_pinned_only_to_an_algorithm_of_its_type(void **state)
{
    static const enum jwa algs[] = { JWA_RS256, JWA_PS256, JWA_ES256, JWA_EDDSA };
    (void)state;
    for (size_t i = 0; i < COUNT(algs); i++)
        for (size_t j = 0; j < COUNT(algs); j++) {
            AUTO(jwk_freep) struct jwk *pair = NULL, *other = NULL;
            struct secret pem = { 0 };
            assert_ok(jwk_generate(algs[i], &pair));
            assert_ok(jwk_write_private_pem(pair, &pem));
            struct err err = jwk_read_private_pem((struct str){ pem.at, pem.len }, algs[j], &other);
            bool same_type = algs[i] == algs[j] || (i < 2 && j < 2);
            assert_int_equal(err.code, same_type ? ERR_OK : ERR_INVALID_REQUEST);
            secret_release(&pem);
        }
}

static void weak_and_foreign_private_keys_are_refused(void **state)
{
    struct jwk *key = NULL;
    (void)state;
    EVP_PKEY *weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    assert_non_null(weak);
    assert_code(jwk_of_pkey(weak, JWA_RS256, true, &key), ERR_INVALID_REQUEST, "1024 bits"); /* frees it too */
    assert_code(jwk_of_pkey(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384"), JWA_ES256, true, &key), ERR_INVALID_REQUEST,
                "P-384");
    assert_code(jwk_of_pkey(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1"), JWA_ES256, true, &key),
                ERR_INVALID_REQUEST, "secp256k1");
    assert_code(jwk_of_pkey(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), JWA_EDDSA, true, &key), ERR_INVALID_REQUEST,
                "X25519");
    assert_code(jwk_of_pkey(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), JWA_EDDSA, true, &key), ERR_INVALID_REQUEST,
                "Ed448");
    assert_null(key);
}

static void what_is_no_private_key_in_pem_is_refused(void **state)
{
    static const struct str bad[] = {
        ROW(""),
        ROW("x"),
        ROW("\0\0\0\0"),
        ROW("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"),
        ROW("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        ROW("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"),
        /* RFC 8037's public key, and a key that asks for a passphrase */
        ROW("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
            "-----END PUBLIC KEY-----\n"),
        ROW("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,"
            "00000000000000000000000000000000\n\nAAAAAAAAAAAAAAAAAAAAAA==\n-----END RSA PRIVATE KEY-----\n"),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct jwk *key = NULL;
        char *copy = exactly(bad[i]);
        assert_code(jwk_read_private_pem((struct str){ copy, bad[i].len }, JWA_EDDSA, &key), ERR_INVALID_REQUEST,
                    bad[i].at);
        assert_null(key);
        free(copy);
    }
    AUTO(jwk_freep) struct jwk *good = NULL;
    assert_ok(jwk_read_private_pem(STR("-----BEGIN PRIVATE KEY-----\n"
                                       "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                                       "-----END PRIVATE KEY-----\n"),
                                   JWA_EDDSA, &good));
    assert_string_equal(good->kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

static void a_key_behind_a_passphrase_is_refused_without_asking_for_it(void **state)
{
    AUTO(jwk_freep) struct jwk *pair = NULL;
    struct jwk *key = NULL;
    char *at = NULL;
    (void)state;
    assert_ok(jwk_generate(JWA_EDDSA, &pair));
    for (size_t len = 0; len < 5; len += 4) { /* also an empty one */
        BIO *bio = BIO_new(BIO_s_mem());
        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, pair->pkey, EVP_aes_128_cbc(), "pass", (int)len, NULL,
                                                       NULL),
                         1);
        long size = BIO_get_mem_data(bio, &at);
        assert_code(jwk_read_private_pem((struct str){ at, (size_t)size }, JWA_EDDSA, &key), ERR_INVALID_REQUEST, at);
        BIO_free(bio);
    }
}

static void freeing_no_key_is_fine(void **state)
{
    (void)state;
    jwk_free(NULL);
}

RUN(TEST(an_algorithm_has_one_exact_name), TEST(the_standards_keys_have_the_standards_thumbprints),
    TEST(keys_of_algorithms_that_are_not_supported_are_refused),
    TEST(a_key_is_pinned_to_its_alg_or_to_the_only_one_that_its_type_leaves),
    TEST(numbers_have_their_one_spelling_and_their_length),
    TEST(an_ed25519_key_is_a_point_of_the_curve_and_of_no_small_order),
    TEST(an_rsa_modulus_has_2048_to_8192_bits_and_is_odd), TEST(a_made_key_reads_back_as_itself),
    TEST(every_made_ed25519_key_is_taken), TEST(a_coordinate_keeps_its_leading_zeros),
    TEST(a_key_is_pinned_only_to_an_algorithm_of_its_type), TEST(weak_and_foreign_private_keys_are_refused),
    TEST(what_is_no_private_key_in_pem_is_refused), TEST(a_key_behind_a_passphrase_is_refused_without_asking_for_it),
    TEST(freeing_no_key_is_fine))
