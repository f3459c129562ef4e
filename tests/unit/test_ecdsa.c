/* test_ecdsa.c: DER signatures of P-256 to r||s, and everything near them that must not pass. */
#include "jose/ecdsa.h"
#include "jose/jws.h"
#include "unit.h"
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#define N "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
#define N_LESS_1 "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550"
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static struct str bytes_of(const char *hex)
{
    size_t len = strlen(hex) / 2;
    char *to = arena_alloc(&arena, len + 1);
    for (size_t i = 0; i < len; i++) {
        const char digits[] = { hex[2 * i], hex[2 * i + 1], '\0' };
        to[i] = (char)strtoul(digits, NULL, 16);
    }
    return (struct str){ to, len };
}

static void good_ones_are_right_aligned(void **state)
{
    static const struct {
        const char *der, *raw;
    } rows[] = {
        { "3006020101020102", "0000000000000000000000000000000000000000000000000000000000000001"
                              "0000000000000000000000000000000000000000000000000000000000000002" },
        { "300802020080020200ff", "0000000000000000000000000000000000000000000000000000000000000080"
                                  "00000000000000000000000000000000000000000000000000000000000000ff" },
        { "3046022100" N_LESS_1 "022100" N_LESS_1, N_LESS_1 N_LESS_1 },
        { "304402207fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff0220"
          "0100000000000000000000000000000000000000000000000000000000000000",
          "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
          "0100000000000000000000000000000000000000000000000000000000000000" },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char raw[ECDSA_P256_RAW_LEN];
        struct str der = bytes_of(rows[i].der);
        char *at = exactly(der);
        assert_row(ecdsa_p256_raw((struct str){ at, der.len }, raw), rows[i].der);
        assert_memory_equal(raw, bytes_of(rows[i].raw).at, sizeof raw);
        free(at);
    }
    (void)state;
}

static void all_others_are_refused(void **state)
{
    static const char *const rows[] = {
        "",
        "30",
        "3000",
        "30060201010201",         /* cut short */
        "300602010102010200",     /* a byte more */
        "30070201010201020000",   /* a byte more inside */
        "3009020101020102020103", /* three numbers */
        "3003020101",             /* one */
        "3106020101020102",       /* a SET */
        "3006030101020102",       /* no INTEGER */
        "308106020101020102",     /* a long length */
        "30800201010201020000",   /* an indefinite one */
        "30060201010201",         /* lengths beyond the end */
        "3006020101027f02",
        "3006020100020102", /* r = 0 */
        "3006020101020100", /* s = 0 */
        "30050200020101",   /* no number at all */
        "30060201ff020101", /* negative */
        "3006020101020180",
        "300702020001020102", /* a zero byte too many */
        "300802020001020200ff",
        ("3026022100" N "020101"), /* r = n */
        ("3026020101022100" N),    /* s = n */
        "3026022100ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff020101",
        "30260221010000000000000000000000000000000000000000000000000000000000000000020101", /* 33 bytes */
        ("30440220" ZEROS "0220" ZEROS),
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        char raw[ECDSA_P256_RAW_LEN];
        memset(raw, 'x', sizeof raw);
        struct str der = bytes_of(rows[i]);
        char *at = exactly(der);
        assert_row(!ecdsa_p256_raw((struct str){ at, der.len }, raw), rows[i]);
        assert_row(raw[0] == 'x' && raw[63] == 'x', rows[i]);
        free(at);
    }
    (void)state;
}

static void what_openssl_signs_verifies_as_a_jws(void **state)
{
    struct jwk *key = NULL;
    const struct str input = STR("header.payload");
    assert_ok(jwk_generate(JWA_ES256, &key));
    for (int i = 0; i < 300; i++) { /* one in 128 has a number of 31 bytes */
        unsigned char der[80];
        char raw[ECDSA_P256_RAW_LEN];
        size_t len = sizeof der;
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key->pkey), 1);
        assert_int_equal(EVP_DigestSign(ctx, der, &len, (const unsigned char *)input.at, input.len), 1);
        EVP_MD_CTX_free(ctx);
        assert_true(ecdsa_p256_raw((struct str){ (const char *)der, len }, raw));
        assert_true(jws_check(key, input, (struct str){ raw, sizeof raw }));
    }
    jwk_free(key);
    (void)state;
}

RUN(TEST(good_ones_are_right_aligned), TEST(all_others_are_refused), TEST(what_openssl_signs_verifies_as_a_jws))
