/* test_user_claims.c: when the platform's table is asked for a user's claims, and what becomes of its answers. */
#include "oauth/user_claims.h"
#include "granting.h"

static struct {
    int asked;
    struct err err;
    const char *columns;
    struct str user_id;
} table;

static struct err find_user_claims(struct store *of, struct arena *in, struct str user_id, const struct json **out)
{
    (void)of;
    table.asked++;
    table.user_id = user_id;
    if (table.err.code)
        return table.err;
    return json_parse(in, str_of(table.columns), out);
}

static struct store_ops with_table;
static const struct store_ops *without;

static int begin(void **state)
{
    if (granting_begin(state))
        return -1;
    without = store->ops;
    with_table = *without;
    with_table.find_user_claims = find_user_claims;
    store->ops = &with_table;
    return 0;
}

static int finish(void **state)
{
    store->ops = without;
    return granting_finish(state);
}

/* What a part may say of ada. */
static struct err claims_for(const char *scope, const char *asked, const char *said, const char *part, struct str *out)
{
    const struct call call = call_with("");
    const struct granted granted = { .sub = STR("ada"),
                                     .scope = str_of(scope),
                                     .claims = asked ? json_of(str_of(asked)) : NULL };
    const struct json *user = said ? json_of(str_of(said)) : NULL;
    struct buf text;
    TRY(user_claims_add_kept(&call, &granted, str_of(part), str_of(scope), &user));
    buf_init(&text, &arena, 256, 4096);
    buf_add_char(&text, '{');
    user_claims_write(&text, user, &granted, str_of(part), str_of(scope));
    buf_add_char(&text, '}');
    *out = buf_str(&text);
    return OK;
}

static void the_table_is_asked_for_what_the_login_has_not_said(void **state)
{
    static const struct {
        const char *scope, *asked, *said, *part, *claims;
        int lookups;
    } rows[] = {
        { "openid", NULL, NULL, "userinfo", "{}", 0 },
        { "openid profile", NULL, NULL, "userinfo", "{\"gender\":\"f\",\"locale\":\"fr\"}", 1 },
        { "openid phone", NULL, NULL, "userinfo", "{\"phone_number\":\"+1\"}", 1 },
        { "openid address", NULL, NULL, "userinfo", "{}", 1 },
        { "openid phone", NULL, "{\"phone_number\":\"+2\",\"phone_number_verified\":true}", "userinfo",
          "{\"phone_number\":\"+2\",\"phone_number_verified\":true}", 0 },
        { "openid profile", NULL, "{\"locale\":\"nl\"}", "userinfo", "{\"locale\":\"nl\",\"gender\":\"f\"}", 1 },
        { "openid", "{\"userinfo\":{\"locale\":null}}", NULL, "userinfo", "{\"locale\":\"fr\"}", 1 },
        { "openid", "{\"userinfo\":{\"locale\":null}}", NULL, "id_token", "{}", 0 },
        { "", "{\"id_token\":{\"locale\":null}}", NULL, "id_token", "{\"locale\":\"fr\"}", 1 },
        { "", "{\"id_token\":{\"locale\":null}}", "{\"locale\":\"nl\"}", "id_token", "{\"locale\":\"nl\"}", 0 },
        { "", "{\"id_token\":{\"acr\":null,\"role\":null}}", NULL, "id_token", "{}", 0 },
    };
    (void)state;
    table.err = OK;
    table.columns = "{\"gender\":\"f\",\"locale\":\"fr\",\"phone_number\":\"+1\",\"acr\":\"9\",\"role\":\"admin\"}";
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str claims;
        table.asked = 0;
        assert_ok(claims_for(rows[i].scope, rows[i].asked, rows[i].said, rows[i].part, &claims));
        assert_row(str_eq(claims, str_of(rows[i].claims)), arena_printf(&arena, "row %zu", i).at);
        assert_row(table.asked == rows[i].lookups, arena_printf(&arena, "lookups of row %zu", i).at);
        assert_true(rows[i].lookups == 0 || str_eq(table.user_id, STR("ada")));
    }
}

static void a_table_that_cannot_be_read_is_an_error_and_a_user_without_a_row_is_none(void **state)
{
    (void)state;
    struct str claims;
    table.err = failed(ERR_UNAVAILABLE, "the database did not answer");
    assert_code(claims_for("openid profile", NULL, "{\"name\":\"Ada\"}", "userinfo", &claims), ERR_UNAVAILABLE, "away");
    table.err = failed(ERR_NOT_FOUND, "no row");
    assert_ok(claims_for("openid profile", NULL, "{\"name\":\"Ada\"}", "userinfo", &claims));
    assert_str(claims, "{\"name\":\"Ada\"}");
    table.err = OK;
}

/* So a refresh of one that asks for no claim in its id token costs no look-up. */
static void tokens_ask_only_for_what_an_id_token_says(void **state)
{
    (void)state;
    struct family grant;
    struct token_answer answer = { .retry_after_s = 0 };
    table.err = OK;
    table.columns = "{\"locale\":\"fr\"}";
    (void)new_grant("openid profile", "s", &grant);
    struct call call = call_with("");
    const struct token_request asked = request_of(&call);
    table.asked = 0;
    assert_ok(tokens_issue(&asked, &grant, STR(""), &answer));
    assert_int_equal(table.asked, 0);
    grant.granted.claims = json_of(STR("{\"id_token\":{\"locale\":null}}"));
    assert_ok(tokens_issue(&asked, &grant, STR(""), &answer));
    assert_int_equal(table.asked, 1);
    assert_str(claim(answer.id_token, "locale")->text, "fr");
    assert_null(claim(answer.access.token, "locale"));
    grant.granted.scope = STR("profile"); /* without an id token */
    assert_ok(tokens_issue(&asked, &grant, STR(""), &answer));
    assert_int_equal(table.asked, 1);
    grant.granted.scope = STR("openid profile");
    table.err = failed(ERR_UNAVAILABLE, "the database did not answer");
    assert_code(tokens_issue(&asked, &grant, STR(""), &answer), ERR_UNAVAILABLE, "away");
    table.err = OK;
}

RUN_WITH(begin, finish, cmocka_unit_test(the_table_is_asked_for_what_the_login_has_not_said),
         cmocka_unit_test(a_table_that_cannot_be_read_is_an_error_and_a_user_without_a_row_is_none),
         cmocka_unit_test(tokens_ask_only_for_what_an_id_token_says))
