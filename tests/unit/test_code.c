/* test_code.c: authorization codes in the store: only their hashes, what they are for, and who uses one first. */
#include "oauth/code.h"
#include "granting.h"

static const unsigned char grant_id[32] = { 1, 2, 3 };

static struct code code_for(const char *challenge)
{
    return (struct code){ .client_id = STR("app"),
                          .redirect_uri = STR("https://app.test/cb?a=b"),
                          .nonce = STR("n\"once"),
                          .code_challenge = str_of(challenge),
                          .expires_at = now_s + CODE_TTL_S,
                          .granted = {
                              .scope = STR("openid"), .sub = STR("user-1"), .sid = STR("s"), .auth_time = now_s } };
}

static struct str made(const struct code *code)
{
    struct str text;
    struct record *record;
    assert_ok(code_make(&arena, code, NULL, &text, &record));
    assert_ok(keep(record));
    return text;
}

static void a_code_comes_back_as_it_was_made(void **state)
{
    (void)state;
    const struct code code = code_for("challenge");
    const struct str text = made(&code);
    struct code found;
    assert_int_equal(text.len, 43);
    assert_ok(code_find(store, &arena, text, &found));
    assert_str(found.client_id, "app");
    assert_str(found.redirect_uri, "https://app.test/cb?a=b");
    assert_str(found.nonce, "n\"once");
    assert_str(found.code_challenge, "challenge");
    assert_int_equal(found.expires_at, now_s + CODE_TTL_S);
    assert_str(found.granted.scope, "openid");
    assert_str(found.granted.sub, "user-1");
    assert_false(found.is_used);
    assert_false(str_eq(made(&code), text)); /* no two are the same */
}

/* Who reads the store can't use one. */
static void the_store_has_no_code(void **state)
{
    (void)state;
    const struct code code = code_for("");
    const struct str text = made(&code);
    struct code found;
    assert_ok(code_find(store, &arena, text, &found));
    assert_false(says(found.item.body, arena_copy(&arena, text).at));
}

static void what_is_no_code_is_not_found(void **state)
{
    (void)state;
    const struct code code = code_for("");
    const struct str text = made(&code);
    const struct str bad[] = { STR(""),
                               STR("a"),
                               { text.at, text.len - 1 },
                               arena_printf(&arena, "%.*sA", (int)text.len, text.at),
                               arena_printf(&arena, "%c%.*s", text.at[0] == 'A' ? 'B' : 'A', 42, text.at + 1),
                               STR("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA") };
    struct code found;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_code(code_find(store, &arena, bad[i], &found), ERR_INVALID_GRANT, "no code");
}

static void a_code_is_used_once(void **state)
{
    (void)state;
    const struct code code = code_for("");
    const struct str text = made(&code);
    struct code found;
    struct record *first, *second;
    assert_ok(code_find(store, &arena, text, &found));
    assert_ok(code_use(&arena, &found, grant_id, NULL, &first));
    assert_ok(code_use(&arena, &found, grant_id, NULL, &second));
    assert_ok(keep(first));
    assert_code(keep(second), ERR_CONFLICT, "somebody was faster");
    assert_ok(code_find(store, &arena, text, &found));
    assert_true(found.is_used);
    assert_memory_equal(found.grant_id, grant_id, sizeof grant_id);
    assert_str(found.client_id, "app");
    assert_str(found.granted.sub, "user-1");
    assert_false(says(found.item.body, "app.test") || says(found.item.body, "\\\"once") ||
                 says(found.item.body, "openid"));
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    struct code code = code_for("");
    struct str text;
    struct record *record;
    code.granted.scope = arena_printf(&arena, "%020000d", 0);
    assert_code(code_make(&arena, &code, NULL, &text, &record), ERR_TOO_LARGE, "a scope of 20 KB");
}

/* Nothing is guessed: a code without its code_challenge would be one for anybody. */
static void a_body_of_another_form_is_an_error(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"redirect_uri\":\"x\",\"nonce\":\"\",\"scope\":\"\",\"sub\":\"u\"}",
        "{\"redirect_uri\":\"x\",\"nonce\":\"\",\"code_challenge\":1,\"scope\":\"\",\"sub\":\"u\"}",
        "{\"redirect_uri\":\"x\",\"nonce\":\"\",\"code_challenge\":\"\",\"sub\":\"u\"}",
        "{\"redirect_uri\":\"x\",\"nonce\":\"\",\"code_challenge\":\"\",\"scope\":\"\",\"sub\":\"u\",\"grant\":\"12\"}",
        "{\"redirect_uri\":\"x\",\"nonce\":\"\",\"code_challenge\":\"\",\"scope\":\"\",\"sub\":\"u\",\"grant\":1}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        const struct code code = code_for("");
        const struct str text = made(&code);
        struct code found;
        assert_ok(code_find(store, &arena, text, &found));
        rewrite(&found.item, bad[i]);
        assert_code(code_find(store, &arena, text, &found), ERR_INTERNAL, bad[i]);
    }
}

RUN_WITH(granting_begin, granting_finish, cmocka_unit_test(a_code_comes_back_as_it_was_made),
         cmocka_unit_test(the_store_has_no_code), cmocka_unit_test(what_is_no_code_is_not_found),
         cmocka_unit_test(a_code_is_used_once), cmocka_unit_test(what_is_too_large_is_refused),
         cmocka_unit_test(a_body_of_another_form_is_an_error))
