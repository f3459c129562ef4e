/* test_basic.c: HTTP Basic credentials, and what a caller may do (service/authn.c). */
#include "service/authn.h"
#include "unit.h"

static struct err read(struct str encoded, struct str *id, struct str *secret)
{
    struct str seen_id, seen_secret;
    char *copy = exactly(encoded);
    struct err err = basic_read(&arena, (struct str){ copy, encoded.len }, &seen_id, &seen_secret);
    free(copy);
    struct err again = basic_read(&arena, encoded, id, secret);
    assert_int_equal(err.code, again.code);
    return again;
}

static void credentials_are_base64_of_two_form_encoded_values(void **state)
{
    static const struct {
        struct str encoded;
        const char *id, *secret;
    } rows[] = {
        { ROW("czZCaGRSa3F0Mzo3RmpmcDBaQnIxS3REUmJuZlZkbUl3"), "s6BhdRkqt3",
          "7Fjfp0ZBr1KtDRbnfVdmIw" },                                      /* RFC 6749 2.3.1 */
        { ROW("QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "Aladdin", "open sesame" }, /* RFC 7617 2 */
        { ROW("dGVzdDoxMjPCow=="), "test", "123\xc2\xa3" },                /* RFC 7617 2.1 */
        { ROW("YTpiOmM="), "a", "b:c" },
        { ROW("YTo="), "a", "" },
        { ROW("YSUzQWI6YyUyNWQr"), "a:b", "c%d " }, /* a%3Ab:c%25d+ */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str id = { 0, 0 }, secret = { 0, 0 };
        assert_code(read(rows[i].encoded, &id, &secret), ERR_OK, rows[i].encoded.at);
        assert_str(id, rows[i].id);
        assert_str(secret, rows[i].secret);
    }
}

static void anything_else_is_an_invalid_client(void **state)
{
    static const struct str bad[] = {
        ROW(""),
        ROW(" "),
        ROW("a"),
        ROW("YQ=="), /* a: no colon */
        ROW("OmI="), /* :b, no id */
        ROW("Og=="), /* : */
        ROW("YTpi=="),
        ROW("YTpi "),
        ROW(" YTpi"),
        ROW("YTpi\n"),
        ROW("YTpi\0"),
        ROW("YTp"),
        ROW("YTpiOmM"),  /* without its padding */
        ROW("YTpiOmN="), /* stray bits */
        ROW("YT-_"),
        ROW("YQBhOmI="), /* a NUL a:b */
        ROW("YTpiAA=="), /* a:b NUL */
        ROW("YTr/"),     /* not UTF-8 */
        ROW("YSU6Yg=="), /* a%:b */
        ROW("YTolMDA="), /* a:%00 */
        ROW("YTolenQ="), /* a:%zt */
        ROW("JTNBOmI\xff"),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct str id, secret;
        struct err err = read(bad[i], &id, &secret);
        assert_code(err, ERR_INVALID_CLIENT, bad[i].at);
        assert_true(bad[i].len < 2 || strstr(err.why, bad[i].at) == NULL); /* no answer holds a secret */
    }
}

static void credentials_are_bounded(void **state)
{
    struct str id, secret;
    char text[4100];
    (void)state;
    for (size_t i = 0; i < sizeof text; i += 4)
        memcpy(text + i, i ? "YWFh" : "YTpi", 4); /* a:baaa… */
    assert_code(read((struct str){ text, 4096 }, &id, &secret), ERR_OK, "4096");
    assert_int_equal(secret.len, 3070);
    assert_code(read((struct str){ text, 4100 }, &id, &secret), ERR_INVALID_CLIENT, "4100");
}

static void a_caller_may_what_its_client_and_its_token_both_allow(void **state)
{
    const struct caller both = { .scopes = STR("token:issue token:verify"),
                                 .token_scopes = STR("token:verify openid") };
    const struct caller admin = { .scopes = STR("token:verify"),
                                  .token_scopes = STR("token:verify"),
                                  .is_admin = true };
    const struct caller operator= { .is_operator = true };
    const struct caller nobody = { .is_admin = false };
    (void)state;
    assert_true(caller_may(&both, STR("token:verify")));
    assert_false(caller_may(&both, STR("token:issue"))); /* not in its token */
    assert_false(caller_may(&both, STR("openid")));      /* no longer the client's */
    assert_false(caller_may(&both, STR("token")));
    assert_false(caller_may(&both, STR("")));
    assert_true(caller_may(&admin, STR("keys:rotate")));
    assert_true(caller_may(&admin, STR("token:revoke:any")));
    assert_false(caller_may(&admin, STR("token:issue:any")));
    assert_false(caller_may(&admin, STR("token:issue:privileged")));
    assert_true(caller_may(&operator, STR("token:issue:any")));
    assert_false(caller_may(&nobody, STR("token:verify")));
}

RUN(TEST(credentials_are_base64_of_two_form_encoded_values), TEST(anything_else_is_an_invalid_client),
    TEST(credentials_are_bounded), TEST(a_caller_may_what_its_client_and_its_token_both_allow))
