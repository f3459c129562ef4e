/* test_standard_claims.c: which claims a user may have, and what their values look like. */
#include "oauth/standard_claims.h"
#include "unit.h"

static struct err check(const char *text)
{
    const struct json *claims;
    assert_ok(json_parse(&arena, str_of(text), &claims));
    return standard_claims_check(&arena, claims);
}

static void each_claim_has_values_that_fit_and_neighbours_that_do_not(void **state)
{
    static const struct {
        const char *claims;
        bool good;
    } rows[] = {
        { "{}", true },
        { "{\"name\":\"Ada Lovelace\",\"nickname\":\"A\"}", true },
        { "{\"name\":\"\"}", false },
        { "{\"name\":\"   \"}", false },
        { "{\"name\":\"null\"}", false },
        { "{\"name\":\"nullable\"}", true },
        { "{\"name\":null}", false },
        { "{\"name\":1}", false },
        { "{\"name\":[\"Ada\"]}", false },
        { "{\"Name\":\"Ada\"}", false },
        { "{\"role\":\"admin\"}", false }, /* no way to a claim that somebody trusts */
        { "{\"sub\":\"x\"}", false },
        { "{\"acr\":\"x\"}", false },
        { "{\"email\":\"ada@example.com\",\"email_verified\":true}", true },
        { "{\"email\":\"ada\"}", false },
        { "{\"email\":\"@example.com\"}", false },
        { "{\"email\":\"ada@\"}", false },
        { "{\"email\":\"ada@x@y\"}", false },
        { "{\"email\":\"a da@example.com\"}", false },
        { "{\"email_verified\":\"true\"}", false },
        { "{\"phone_number_verified\":false}", true },
        { "{\"phone_number_verified\":0}", false },
        { "{\"updated_at\":1700000000}", true },
        { "{\"updated_at\":\"1700000000\"}", false },
        { "{\"updated_at\":1700000000.5}", false },
        { "{\"updated_at\":631151999}", false }, /* a second before 1990 */
        { "{\"updated_at\":631152000}", true },
        { "{\"birthdate\":\"1815-12-10\"}", false },
        { "{\"birthdate\":\"1850-12-10\"}", true },
        { "{\"birthdate\":\"1990\"}", true },
        { "{\"birthdate\":\"0000-12-10\"}", true },
        { "{\"birthdate\":\"0000\"}", false },
        { "{\"birthdate\":\"1990-13-01\"}", false },
        { "{\"birthdate\":\"1990-00-01\"}", false },
        { "{\"birthdate\":\"1990-04-31\"}", false },
        { "{\"birthdate\":\"1990-04-00\"}", false },
        { "{\"birthdate\":\"1990-1-1\"}", false },
        { "{\"birthdate\":\"1990/01/01\"}", false },
        { "{\"birthdate\":1990}", false },
        { "{\"website\":\"https://ada.example/\"}", true },
        { "{\"website\":\"javascript:alert(1)\"}", false },
        { "{\"website\":\"https://\"}", false },
        { "{\"picture\":\"https://ada.example/a b\"}", false },
        { "{\"address\":{\"locality\":\"London\",\"country\":\"UK\"}}", true },
        { "{\"address\":{}}", false },
        { "{\"address\":\"London\"}", false },
        { "{\"address\":{\"city\":\"London\"}}", false },
        { "{\"address\":{\"locality\":\"\"}}", false },
        { "{\"address\":{\"locality\":{}}}", false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_code(check(rows[i].claims), rows[i].good ? ERR_OK : ERR_INVALID_REQUEST, rows[i].claims);
}

static void a_text_has_2048_bytes_at_most(void **state)
{
    struct buf text;
    (void)state;
    for (size_t len = 2047; len <= 2049; len++) {
        buf_init(&text, &arena, 64, 4096);
        buf_add(&text, STR("{\"name\":\""));
        for (size_t i = 0; i < len; i++)
            buf_add_char(&text, 'x');
        buf_add(&text, STR("\"}"));
        buf_add_char(&text, '\0');
        assert_code(check(text.at), len <= 2048 ? ERR_OK : ERR_INVALID_REQUEST, "2048");
    }
}

/* OpenID Connect Core section 5.4. */
static void each_scope_has_its_claims(void **state)
{
    static const struct {
        const char *scope;
        size_t count;
    } rows[] = { { "profile", 14 }, { "email", 2 }, { "phone", 2 }, { "address", 1 } };
    size_t all = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t count = 0;
        for (size_t j = 0; j < standard_claims_count; j++)
            count += str_eq(standard_claims[j].scope, str_of(rows[i].scope));
        assert_row(count == rows[i].count, rows[i].scope);
        all += count;
    }
    assert_int_equal(all, standard_claims_count);
    assert_null(standard_claim_named(STR("sub")));
    assert_null(standard_claim_named(STR("nam")));
    assert_str(standard_claim_named(STR("name"))->name, "name");
}

RUN(TEST(each_claim_has_values_that_fit_and_neighbours_that_do_not), TEST(a_text_has_2048_bytes_at_most),
    TEST(each_scope_has_its_claims))
