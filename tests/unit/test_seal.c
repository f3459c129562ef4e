/* test_seal.c: jose/hmac.c and jose/seal.c by the standards' examples; what is sealed opens with its own key, context
 * and bytes alone. */
#include "base/hex.h"
#include "jose/hmac.h"
#include "jose/seal.h"
#include "unit.h"

static struct str bytes_of(const char *digits)
{
    const struct str text = str_of(digits);
    unsigned char *at = arena_alloc(&arena, text.len / 2 + 1);
    assert_true(hex_read(text, at, text.len / 2));
    return (struct str){ (const char *)at, text.len / 2 };
}

static struct str repeated(char c, size_t len)
{
    char *at = arena_alloc(&arena, len);
    memset(at, c, len);
    return (struct str){ at, len };
}

static void hmac_gives_rfc_4231_section_4(void **state)
{
    const struct {
        const char *row;
        struct str key, message;
        const char *mac;
    } rows[] = {
        { "4.2", repeated(0x0b, 20), STR("Hi There"),
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7" },
        { "4.3", STR("Jefe"), STR("what do ya want for nothing?"),
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843" },
        { "4.7", repeated((char)0xaa, 131), STR("Test Using Larger Than Block-Size Key - Hash Key First"),
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        unsigned char mac[HMAC_LEN];
        assert_row(hmac_sha256(rows[i].key, rows[i].message, mac), rows[i].row);
        assert_row(str_eq((struct str){ (const char *)mac, sizeof mac }, bytes_of(rows[i].mac)), rows[i].row);
    }
}

static void a_key_is_derived_as_rfc_5869_does(void **state)
{
    unsigned char key[SEAL_KEY_LEN], other[SEAL_KEY_LEN];
    (void)state;
    /* appendix A.3: no salt, no info; its first 32 bytes */
    assert_true(seal_key(repeated(0x0b, 22), STR(""), key));
    assert_memory_equal(key, bytes_of("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d").at, 32);
    assert_true(seal_key(repeated(0x0b, 22), STR("x"), other));
    assert_memory_not_equal(key, other, sizeof key);
    assert_true(seal_key(repeated(0x0b, 22), repeated('x', SEAL_INFO_MAX), other));
    assert_false(seal_key(repeated(0x0b, 22), repeated('x', SEAL_INFO_MAX + 1), other));
}

/* Test case 16 of McGrew and Viega, "The Galois/Counter Mode of Operation", which SP 800-38D refers to. */
static void sealing_is_aes_256_gcm(void **state)
{
    const struct str key = bytes_of("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
    const struct str nonce = bytes_of("cafebabefacedbaddecaf888");
    const struct str context = bytes_of("feedfacedeadbeeffeedfacedeadbeefabaddad2");
    const struct str text = bytes_of("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                                     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    const struct str expected = bytes_of("cafebabefacedbaddecaf888"
                                         "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                                         "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                                         "76fc6ece0f4e1768cddf8853bb2d551b");
    unsigned char sealed[60 + SEAL_ADDS], opened[60];
    (void)state;
    assert_int_equal(text.len, sizeof opened);
    assert_true(seal_write((const unsigned char *)key.at, (const unsigned char *)nonce.at, context, text, sealed));
    assert_memory_equal(sealed, expected.at, sizeof sealed);
    assert_true(seal_open((const unsigned char *)key.at, context, expected, opened));
    assert_memory_equal(opened, text.at, sizeof opened);
}

static void what_was_changed_in_any_bit_does_not_open(void **state)
{
    static const unsigned char nonce[SEAL_NONCE_LEN] = { 1 };
    const struct str text = STR("a successor"), context = STR("grant");
    enum { LEN = sizeof "a successor" - 1, SEALED = LEN + SEAL_ADDS };
    unsigned char key[SEAL_KEY_LEN] = { 7 }, sealed[SEALED], opened[LEN];
    const struct str view = { (const char *)sealed, SEALED };
    (void)state;
    assert_true(seal_write(key, nonce, context, text, sealed));
    for (size_t bit = 0; bit < 8 * (size_t)SEALED; bit++) {
        sealed[bit / 8] ^= (unsigned char)(1 << bit % 8);
        memset(opened, 'x', sizeof opened);
        assert_false(seal_open(key, context, view, opened));
        assert_memory_not_equal(opened, text.at, sizeof opened); /* nothing of it is left */
        sealed[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    for (size_t len = 0; len < SEALED; len++) {
        char *copy = exactly((struct str){ view.at, len });
        assert_false(seal_open(key, context, (struct str){ copy, len }, opened));
        free(copy);
    }
    assert_false(seal_open(key, STR("Grant"), view, opened));
    assert_false(seal_open(key, STR("gran"), view, opened));
    assert_false(seal_open(key, STR(""), view, opened));
    key[31] ^= 1;
    assert_false(seal_open(key, context, view, opened));
    key[31] ^= 1;
    assert_true(seal_open(key, context, view, opened));
    assert_memory_equal(opened, text.at, sizeof opened);
}

RUN(TEST(hmac_gives_rfc_4231_section_4), TEST(a_key_is_derived_as_rfc_5869_does), TEST(sealing_is_aes_256_gcm),
    TEST(what_was_changed_in_any_bit_does_not_open))
