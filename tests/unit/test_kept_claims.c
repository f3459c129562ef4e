/* test_kept_claims.c: what the platform's table says of a user, by OpenID Connect's names, beside what the login said.
 */
#include "oauth/kept_claims.h"
#include "unit.h"

static const struct json *json_of(const char *text)
{
    const struct json *json = NULL;
    assert_ok(json_parse(&arena, str_of(text), &json));
    return json;
}

static void each_column_becomes_its_claim_unless_it_was_said(void **state)
{
    static const struct {
        const char *columns, *said, *claims;
    } rows[] = {
        { "{}", NULL, "{}" },
        { "{}", "{\"name\":\"Ada\"}", "{\"name\":\"Ada\"}" },
        { "{\"preferred_username\":\"ada\",\"gender\":\"f\"}", NULL,
          "{\"preferred_username\":\"ada\",\"gender\":\"f\"}" },
        { "{\"profile_url\":\"https://a.example/p\",\"picture_url\":\"https://a.example/i\"}", NULL,
          "{\"profile\":\"https://a.example/p\",\"picture\":\"https://a.example/i\"}" },
        { "{\"profile\":\"https://a.example/p\",\"user_id\":\"x\",\"role\":\"admin\",\"sub\":\"x\",\"acr\":\"9\"}",
          NULL, "{}" },
        { "{\"website\":\"https://a.example/\",\"birthdate\":\"1990-12-10\",\"zoneinfo\":\"Europe/"
          "Paris\",\"locale\":\"fr\"}",
          NULL,
          "{\"website\":\"https://a.example/\",\"birthdate\":\"1990-12-10\",\"zoneinfo\":\"Europe/"
          "Paris\",\"locale\":\"fr\"}" },
        { "{\"phone_number\":\"+1 2\",\"phone_number_verified\":true,\"email_verified\":false}", NULL,
          "{\"email_verified\":false,\"phone_number\":\"+1 2\",\"phone_number_verified\":true}" },
        { "{\"address_formatted\":\"Wall 1\\nHome\",\"address_street\":\"Wall "
          "1\",\"address_locality\":\"Home\",\"address_region\":"
          "\"R\",\"address_postal_code\":\"1\",\"address_country\":\"NL\",\"address_planet\":\"Mars\"}",
          NULL,
          "{\"address\":{\"formatted\":\"Wall 1\\nHome\",\"street_address\":\"Wall "
          "1\",\"locality\":\"Home\",\"region\":\"R\","
          "\"postal_code\":\"1\",\"country\":\"NL\"}}" },
        { "{\"address_country\":\"NL\",\"address_region\":\"\"}", NULL, "{\"address\":{\"country\":\"NL\"}}" },
        { "{\"address_country\":\"\"}", NULL, "{}" },

        /* values that the claims can't have */
        { "{\"gender\":\"\",\"locale\":\"  "
          "\",\"zoneinfo\":1,\"website\":\"a.example\",\"birthdate\":\"yesterday\",\"picture_url\":"
          "\"javascript:alert(1)\",\"email_verified\":\"yes\",\"phone_number_verified\":1}",
          NULL, "{}" },

        /* the login wins, one claim at a time */
        { "{\"gender\":\"f\",\"locale\":\"fr\"}", "{\"locale\":\"nl\",\"favourite\":{\"x\":[1]}}",
          "{\"locale\":\"nl\",\"favourite\":{\"x\":[1]},\"gender\":\"f\"}" },
        { "{\"address_country\":\"NL\",\"address_region\":\"R\"}", "{\"address\":{\"country\":\"FR\"}}",
          "{\"address\":{\"country\":\"FR\"}}" },
        { "{\"profile_url\":\"https://a.example/p\"}", "{\"profile\":\"https://b.example/\"}",
          "{\"profile\":\"https://b.example/\"}" },

        /* nobody has verified the address that the login said */
        { "{\"email_verified\":true}", "{\"email\":\"eve@example.com\"}", "{\"email\":\"eve@example.com\"}" },
        { "{\"phone_number\":\"+1 2\",\"phone_number_verified\":true}", "{\"phone_number\":\"+6 6\"}",
          "{\"phone_number\":\"+6 6\"}" },
        { "{\"phone_number\":\"+1 2\",\"phone_number_verified\":false}", "{\"phone_number_verified\":true}",
          "{\"phone_number_verified\":true}" },
        { "{\"email\":\"ada@example.com\"}", "{\"email_verified\":true}", "{\"email_verified\":true}" },
        { "{\"phone_number_verified\":true}", "{\"email\":\"a@b.example\"}",
          "{\"email\":\"a@b.example\",\"phone_number_verified\":true}" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct json *claims = NULL, *said = rows[i].said ? json_of(rows[i].said) : NULL;
        struct buf text;
        assert_ok(kept_claims_join(&arena, json_of(rows[i].columns), said, &claims));
        buf_init(&text, &arena, 256, 4096);
        json_write(&text, claims);
        assert_row(str_eq(buf_str(&text), str_of(rows[i].claims)), rows[i].columns);
    }
}

static void what_is_too_much_is_an_error_and_never_less(void **state)
{
    (void)state;
    const struct json *claims = NULL;
    const struct json *said = json_of(arena_printf(&arena, "{\"big\":\"%065536d\"}", 0).at);
    assert_code(kept_claims_join(&arena, json_of("{\"gender\":\"f\"}"), said, &claims), ERR_INTERNAL, "64 KB");
    assert_null(claims);
}

RUN(TEST(each_column_becomes_its_claim_unless_it_was_said), TEST(what_is_too_much_is_an_error_and_never_less))
