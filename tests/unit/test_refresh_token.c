/* test_refresh_token.c: the text of a refresh token: one spelling, and recognised by the key that it was made with. */
#include "oauth/refresh_token.h"
#include "unit.h"

static const unsigned char grant_id[GRANT_ID_LEN] = "0123456789abcde";
static const unsigned char reuse_key[REUSE_KEY_LEN] = "a key that lies in the row";

static struct refresh_token make(uint32_t generation)
{
    struct refresh_token token;
    assert_ok(refresh_token_make(grant_id, generation, reuse_key, &token));
    return token;
}

static void assert_same(const struct refresh_token *one, const struct refresh_token *other)
{
    assert_memory_equal(one->text, other->text, sizeof one->text);
    assert_memory_equal(one->bytes, other->bytes, sizeof one->bytes);
    assert_memory_equal(one->hash, other->hash, sizeof one->hash);
    assert_int_equal(one->generation, other->generation);
}

static void a_token_is_read_as_it_was_made(void **state)
{
    static const uint32_t generations[] = { 0, 1, 255, 256, 0x01020304, UINT32_MAX };
    (void)state;
    for (size_t i = 0; i < COUNT(generations); i++) {
        struct refresh_token token = make(generations[i]), read;
        char *copy = exactly(refresh_token_text(&token));
        assert_true(refresh_token_read((struct str){ copy, REFRESH_TOKEN_LEN }, &read));
        free(copy);
        assert_int_equal(read.generation, generations[i]);
        assert_same(&read, &token);
        assert_memory_equal(refresh_token_grant_id(&read), grant_id, GRANT_ID_LEN);
        assert_true(refresh_token_is_of(&read, reuse_key));
        refresh_token_of_bytes(token.bytes, &read);
        assert_same(&read, &token);
    }
}

static void no_two_are_the_same(void **state)
{
    const struct refresh_token one = make(1), other = make(1);
    (void)state;
    assert_memory_not_equal(one.text, other.text, REFRESH_TOKEN_LEN);
    assert_memory_not_equal(one.hash, other.hash, sizeof one.hash);
}

static void another_form_is_no_token(void **state)
{
    struct refresh_token token = make(3), read;
    (void)state;
    memset(&read, 0, sizeof read);
    for (size_t len = 0; len < REFRESH_TOKEN_LEN; len++)
        assert_false(refresh_token_read((struct str){ token.text, len }, &read));
    assert_false(refresh_token_read(arena_printf(&arena, "%.86s=", token.text), &read));
    assert_false(refresh_token_read(arena_printf(&arena, "%.86sA", token.text), &read));
    assert_false(refresh_token_read(arena_printf(&arena, " %.85s", token.text), &read));
    for (size_t i = 0; i < REFRESH_TOKEN_LEN; i++) {
        static const char bad[] = { '+', '/', '=', '.', ' ', '\0', '\n', (char)0x80 };
        for (size_t j = 0; j < sizeof bad; j++) {
            struct refresh_token changed = token;
            changed.text[i] = bad[j];
            assert_false(refresh_token_read(refresh_token_text(&changed), &read));
        }
    }
    /* the last character has four bits that are no part of the bytes: one spelling each */
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    size_t good = 0;
    for (size_t i = 0; i < sizeof digits - 1; i++) {
        struct refresh_token changed = token;
        changed.text[REFRESH_TOKEN_LEN - 1] = digits[i];
        good += refresh_token_read(refresh_token_text(&changed), &read);
    }
    assert_int_equal(good, 4);
}

static void a_token_with_another_bit_or_under_another_key_is_not_ours(void **state)
{
    struct refresh_token token = make(7);
    unsigned char other[REUSE_KEY_LEN];
    (void)state;
    for (size_t bit = 0; bit < 8 * (size_t)REFRESH_TOKEN_BYTES; bit++) {
        struct refresh_token changed;
        token.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        refresh_token_of_bytes(token.bytes, &changed);
        token.bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_false(refresh_token_is_of(&changed, reuse_key));
    }
    for (size_t i = 0; i < REUSE_KEY_LEN; i++) {
        memcpy(other, reuse_key, sizeof other);
        other[i] ^= 1;
        assert_false(refresh_token_is_of(&token, other));
    }
    assert_true(refresh_token_is_of(&token, reuse_key));
}

static void what_is_wiped_is_gone(void **state)
{
    static const struct refresh_token nothing;
    struct refresh_token token = make(1);
    (void)state;
    refresh_token_wipe(&token);
    assert_memory_equal(&token, &nothing, sizeof token);
}

RUN(TEST(a_token_is_read_as_it_was_made), TEST(no_two_are_the_same), TEST(another_form_is_no_token),
    TEST(a_token_with_another_bit_or_under_another_key_is_not_ours), TEST(what_is_wiped_is_gone))
