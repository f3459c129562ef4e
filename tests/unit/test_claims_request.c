/* test_claims_request.c: the parameter `claims` (OpenID Connect Core section 5.5), and its neighbours that are none. */
#include "oauth/claims_request.h"
#include "unit.h"

static const struct json *read(const char *text)
{
    const struct json *claims = NULL;
    assert_ok(claims_request_read(&arena, str_of(text), &claims));
    return claims;
}

static void the_standards_example_is_read(void **state)
{
    const struct json *claims = read("{\"userinfo\":{\"given_name\":{\"essential\":true},\"nickname\":null,"
                                     "\"http://example.info/claims/groups\":null},"
                                     "\"id_token\":{\"auth_time\":{\"essential\":true},"
                                     "\"acr\":{\"values\":[\"urn:mace:incommon:iap:silver\",\"2\"]}}}");
    struct claim_request asked;
    (void)state;
    assert_true(claims_request_find(claims, STR("userinfo"), STR("given_name"), &asked));
    assert_true(asked.is_essential && !asked.value && !asked.values);
    assert_true(claims_request_find(claims, STR("userinfo"), STR("nickname"), &asked));
    assert_false(asked.is_essential);
    assert_true(claims_request_find(claims, STR("userinfo"), STR("http://example.info/claims/groups"), &asked));
    assert_false(claims_request_find(claims, STR("id_token"), STR("given_name"), &asked));
    assert_false(claims_request_find(claims, STR("other"), STR("given_name"), &asked));
    assert_false(claims_request_find(NULL, STR("userinfo"), STR("given_name"), &asked));
    assert_true(claims_request_find(claims, STR("id_token"), STR("acr"), &asked));
    assert_true(claim_request_takes(&asked, STR("2")));
    assert_true(claim_request_takes(&asked, STR("urn:mace:incommon:iap:silver")));
    assert_false(claim_request_takes(&asked, STR("1")));
    assert_false(claim_request_takes(&asked, STR("")));
}

static void a_value_must_be_the_one_that_was_asked_for(void **state)
{
    static const struct {
        const char *claim;
        struct str value;
        bool is_taken;
    } rows[] = {
        { "null", ROW("x"), true },
        { "{}", ROW("x"), true },
        { "{\"essential\":true}", ROW(""), true },
        { "{\"value\":\"x\"}", ROW("x"), true },
        { "{\"value\":\"x\"}", ROW("X"), false },
        { "{\"value\":\"x\"}", ROW(""), false },
        { "{\"value\":1}", ROW("1"), false },
        { "{\"value\":null}", ROW("null"), false },
        { "{\"values\":[\"x\",\"y\"]}", ROW("y"), true },
        { "{\"values\":[\"x\",\"y\"]}", ROW("z"), false },
        { "{\"values\":[]}", ROW("x"), false },
        { "{\"value\":\"x\",\"values\":[\"y\"]}", ROW("y"), true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct claim_request asked;
        const struct json *claims = read(arena_printf(&arena, "{\"id_token\":{\"sub\":%s}}", rows[i].claim).at);
        assert_true(claims_request_find(claims, STR("id_token"), STR("sub"), &asked));
        assert_row(claim_request_takes(&asked, rows[i].value) == rows[i].is_taken, rows[i].claim);
    }
}

static void what_is_not_understood_is_let_be_and_what_is_malformed_refused(void **state)
{
    static const char *const good[] = { "{}", "{\"x\":1}", "{\"userinfo\":{}}", "{\"id_token\":{\"a\":{\"x\":[1]}}}",
                                        "{\"id_token\":{\"a\":{\"value\":{\"b\":1}}}}" };
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "\"{}\"",
        "{",
        "{}x",
        "{\"userinfo\":{},\"userinfo\":{}}",
        "{\"userinfo\":null}",
        "{\"userinfo\":[]}",
        "{\"id_token\":\"email\"}",
        "{\"id_token\":{\"a\":true}}",
        "{\"id_token\":{\"a\":[]}}",
        "{\"id_token\":{\"a\":\"b\"}}",
        "{\"id_token\":{\"a\":{\"essential\":\"true\"}}}",
        "{\"id_token\":{\"a\":{\"essential\":null}}}",
        "{\"id_token\":{\"a\":{\"values\":\"b\"}}}",
        "{\"id_token\":{\"a\":{\"values\":{}}}}",
        "{\"id_token\":{\"a\":{\"values\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}}}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_non_null(read(good[i]));
    for (size_t i = 0; i < COUNT(bad); i++) {
        const struct json *claims = NULL;
        assert_code(claims_request_read(&arena, str_of(bad[i]), &claims), ERR_INVALID_REQUEST, bad[i]);
        assert_null(claims);
    }
}

static void it_is_bounded(void **state)
{
    const struct json *claims = NULL;
    struct buf text;
    (void)state;
    buf_init(&text, &arena, 1024, 65536);
    buf_add(&text, STR("{\"userinfo\":{"));
    for (int i = 0; i < CLAIMS_REQUEST_CLAIMS_MAX; i++)
        buf_add(&text, arena_printf(&arena, "%s\"c%d\":null", i ? "," : "", i));
    struct buf more = text;
    buf_add(&text, STR("}}"));
    assert_ok(claims_request_read(&arena, arena_copy(&arena, buf_str(&text)), &claims));
    buf_add(&more, STR(",\"one_more\":null}}"));
    assert_code(claims_request_read(&arena, buf_str(&more), &claims), ERR_INVALID_REQUEST, "65 claims");
    const struct str spaces = arena_printf(&arena, "{}%*s", CLAIMS_REQUEST_MAX - 2, "");
    assert_ok(claims_request_read(&arena, spaces, &claims));
    assert_code(claims_request_read(&arena, arena_printf(&arena, "%s ", spaces.at), &claims), ERR_INVALID_REQUEST,
                "a byte more");
}

static struct str within(const char *text, struct str scope)
{
    struct buf out;
    buf_init(&out, &arena, 256, 4096);
    json_write(&out, claims_request_within(&arena, read(text), scope));
    return buf_str(&out);
}

static void a_claim_is_asked_for_with_its_scope_or_not_at_all(void **state)
{
    static const char both[] = "{\"userinfo\":{\"email\":{\"essential\":true},\"name\":null,\"groups\":null,"
                               "\"email_verified\":null},\"id_token\":{\"sub\":{\"value\":\"x\"},"
                               "\"address\":null},\"other\":1}";
    (void)state;
    assert_str(within(both, STR("openid profile email address")),
               "{\"userinfo\":{\"email\":{\"essential\":true},\"name\":null,\"groups\":null,"
               "\"email_verified\":null},\"id_token\":{\"sub\":{\"value\":\"x\"},\"address\":null}}");
    assert_str(within(both, STR("openid email")), "{\"userinfo\":{\"email\":{\"essential\":true},\"groups\":null,"
                                                  "\"email_verified\":null},\"id_token\":{\"sub\":{\"value\":"
                                                  "\"x\"}}}");
    assert_str(within(both, STR("")), "{\"userinfo\":{\"groups\":null},\"id_token\":{\"sub\":{\"value\":\"x\"}}}");
    assert_str(within("{}", STR("email")), "{}");
    assert_null(claims_request_within(&arena, NULL, STR("email")));
    assert_str(claims_request_scopes(&arena, read(both), STR("openid email")), "openid email profile address");
    assert_str(claims_request_scopes(&arena, read(both), STR("")), "email profile address");
    assert_str(claims_request_scopes(&arena, NULL, STR("openid")), "openid");
}

RUN(TEST(the_standards_example_is_read), TEST(a_value_must_be_the_one_that_was_asked_for),
    TEST(what_is_not_understood_is_let_be_and_what_is_malformed_refused), TEST(it_is_bounded),
    TEST(a_claim_is_asked_for_with_its_scope_or_not_at_all))
