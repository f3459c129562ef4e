/* test_b64.c: one spelling for each value, and no other. */
#include "jose/b64.h"
#include "unit.h"

static bool url_decode(struct str in, char *out, size_t *len)
{
    char *from = exactly(in), *to = malloc(in.len / 4 * 3 + 2); /* the room that b64.h asks for, and no more */
    bool good = b64url_decode((struct str){ from, in.len }, to, len);
    if (good)
        memcpy(out, to, *len);
    free(from);
    free(to);
    return good;
}

static void the_vectors_of_rfc_4648_hold(void **state)
{
    static const struct {
        const char *text, *url, *plain;
    } rows[] = {
        { "", "", "" },
        { "f", "Zg", "Zg==" },
        { "fo", "Zm8", "Zm8=" },
        { "foo", "Zm9v", "Zm9v" },
        { "foob", "Zm9vYg", "Zm9vYg==" },
        { "fooba", "Zm9vYmE", "Zm9vYmE=" },
        { "foobar", "Zm9vYmFy", "Zm9vYmFy" },
        { "\xfb\xff\xbf", "-_-_", "+/+/" },
        { "\xff", "_w", "/w==" },
    };
    char out[64];
    size_t len;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct str text = str_of(rows[i].text);
        struct buf plain;
        buf_init(&plain, &arena, 4, 64);
        b64_add(&plain, text);
        assert_str(buf_str(&plain), rows[i].plain);
        assert_int_equal(b64url_encoded_len(text.len), strlen(rows[i].url));
        b64url_encode(text, out);
        assert_memory_equal(out, rows[i].url, strlen(rows[i].url));
        assert_row(b64url_decode(str_of(rows[i].url), out, &len), rows[i].url);
        assert_row(str_eq((struct str){ out, len }, text), rows[i].url);
        assert_row(b64_decode(str_of(rows[i].plain), out, &len), rows[i].plain);
        assert_row(str_eq((struct str){ out, len }, text), rows[i].plain);
    }
}

static void the_example_of_rfc_7515_appendix_c_holds(void **state)
{
    char out[16];
    size_t len;
    (void)state;
    b64url_encode(STR("\x03\xec\xff\xe0\xc1"), out);
    assert_memory_equal(out, "A-z_4ME", 7);
    assert_true(b64url_decode(STR("A-z_4ME"), out, &len));
    assert_true(str_eq((struct str){ out, len }, STR("\x03\xec\xff\xe0\xc1")));
}

static void base64url_refuses_every_other_spelling(void **state)
{
    static const struct str rows[] = {
        ROW("Z"), /* a length that no encoder makes */
        ROW("Zm9vY"),
        ROW("Zh"), /* bits left over: "f" again, in another spelling */
        ROW("Zv"),
        ROW("Zm9"),
        ROW("Zm-"),
        ROW("Zm9vYh"),
        ROW("Zm9vYmF"),
        ROW("Zg=="), /* padding */
        ROW("Zm8="),
        ROW("Zg="),
        ROW("=Zg"),
        ROW("===="),
        ROW("Zm9v===="),
        ROW("-_+_"), /* the other alphabet */
        ROW("-/-_"),
        ROW("Zm9v\n"), /* white space: EVP_DecodeBlock would take it */
        ROW("Zm9v "),
        ROW(" Zm9v"),
        ROW("Zm\n9v"),
        ROW("Zm9v\r\n"),
        ROW("Zm9v\0"),
        ROW("Zm9\0"),
        ROW("\0\0\0\0"),
        ROW("\0\0"),
        ROW("Zm.v"),
        ROW("Zm9v.Zg"),
        ROW("Zm9\xff"),
        ROW("Zm9\xc3"),
        ROW("\xc3\xa4"
            "9v"),
        ROW("Zm9~"),
        ROW("Zm9*"),
        ROW("Zm9,"),
    };
    char out[64];
    size_t len;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_row(!url_decode(rows[i], out, &len), rows[i].at);
}

static void base64_asks_for_its_padding_and_for_nothing_else(void **state)
{
    static const struct str rows[] = {
        ROW("Zg"),         ROW("Zg="),  ROW("Zm8"),    ROW("Z==="),     ROW("===="),   ROW("=="),
        ROW("="),          ROW("Zh=="), ROW("Zm9="),   ROW("Zg==Zg=="), ROW("Zm9v="),  ROW("Zm9v===="),
        ROW("Zm=v"),       ROW("=Zm8"), ROW("-_-_"),   ROW("+_+/"),     ROW("Zm9v\n"), ROW("Zm9v Zm9"),
        ROW("Zm8=\0\0\0"), ROW("Z=m8"), ROW("\0\0=="), ROW("Zm9 "),     ROW("Zg==\n"), ROW("Zm9vYg=\xff"),
    };
    char out[64];
    size_t len;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_row(!b64_decode(rows[i], out, &len), rows[i].at);
}

/* All texts of two digits: each of the 256 values has exactly one. All bytes at each place of a group of four. */
static void each_value_has_exactly_one_spelling(void **state)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned spelled[256] = { 0 };
    char out[8];
    size_t len;
    (void)state;
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++) {
            const char text[] = { (char)a, (char)b };
            if (!b64url_decode((struct str){ text, 2 }, out, &len))
                continue;
            assert_int_equal(len, 1);
            assert_non_null(memchr(digits, a, 64));
            assert_non_null(memchr(digits, b, 64));
            spelled[(unsigned char)out[0]]++;
        }
    for (size_t i = 0; i < COUNT(spelled); i++)
        assert_int_equal(spelled[i], 1);
    for (size_t place = 0; place < 4; place++)
        for (int byte = 0; byte < 256; byte++) {
            char text[] = "AAAA";
            text[place] = (char)byte;
            assert_int_equal(b64url_decode((struct str){ text, 4 }, out, &len), memchr(digits, byte, 64) != NULL);
        }
}

static void whatever_is_encoded_decodes_to_itself(void **state)
{
    unsigned char bytes[200];
    char text[300], out[300];
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + (i >> 3));
    for (size_t size = 0; size <= sizeof bytes; size++) {
        const struct str in = { (const char *)bytes, size };
        size_t len;
        char *copy = exactly(in), *exact = malloc(b64url_encoded_len(size) + 1);
        b64url_encode((struct str){ copy, size }, exact);
        memcpy(text, exact, b64url_encoded_len(size));
        free(copy);
        free(exact);
        assert_true(url_decode((struct str){ text, b64url_encoded_len(size) }, out, &len));
        assert_true(str_eq((struct str){ out, len }, in));
    }
}

static void appending_respects_the_buffer(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, &arena, 1, 6);
    b64url_add(&buf, STR(""));
    b64url_add(&buf, STR("foob"));
    assert_str(buf_str(&buf), "Zm9vYg");
    b64url_add(&buf, STR("")); /* nothing fits always */
    assert_false(buf.overflowed);
    b64url_add(&buf, STR("f"));
    assert_true(buf.overflowed);
    buf_init(&buf, &arena, 1, 6);
    b64_add(&buf, STR("foo"));
    assert_false(buf.overflowed);
    b64_add(&buf, STR("f"));
    assert_true(buf.overflowed);
    assert_str(buf_str(&buf), "Zm9v");
}

RUN(TEST(the_vectors_of_rfc_4648_hold), TEST(the_example_of_rfc_7515_appendix_c_holds),
    TEST(base64url_refuses_every_other_spelling), TEST(base64_asks_for_its_padding_and_for_nothing_else),
    TEST(each_value_has_exactly_one_spelling), TEST(whatever_is_encoded_decodes_to_itself),
    TEST(appending_respects_the_buffer))
