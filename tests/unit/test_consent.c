/* test_consent.c: what users have allowed clients: of one user and one client, for a time, and never more than was
 * said. */
#include "oauth/consent.h"
#include "granting.h"
#include "store/store.h"

static struct consent found(const char *subject, const char *client_id)
{
    struct consent consent;
    assert_ok(consent_find(store, &arena, str_of(subject), str_of(client_id), now_s, &consent));
    return consent;
}

static struct err allow(const struct consent *consent, const char *scope, int64_t lasts_s)
{
    struct record *records = NULL;
    TRY(consent_extend(&arena, consent, str_of(scope), now_s, lasts_s, &records));
    return keep(records);
}

static void nothing_is_allowed_until_somebody_says_so(void **state)
{
    (void)state;
    const struct consent consent = found("nobody", "app");
    assert_int_equal(consent.item.version, 0);
    assert_int_equal(consent.expires_at, 0);
    assert_str(consent.scope, "");
    assert_true(consent_covers(&consent, STR("")));
    assert_false(consent_covers(&consent, STR("openid")));
}

static void words_are_added_each_once(void **state)
{
    (void)state;
    struct consent consent = found("ada", "app");
    assert_ok(allow(&consent, "openid profile", 100));
    consent = found("ada", "app");
    assert_int_equal(consent.expires_at, now_s + 100);
    assert_ok(allow(&consent, "profile stories", 200));
    consent = found("ada", "app");
    assert_str(consent.scope, "openid profile stories");
    assert_int_equal(consent.item.version, 2);
    assert_true(consent_covers(&consent, STR("stories  openid")));
    assert_false(consent_covers(&consent, STR("stories email")));
    assert_false(consent_covers(&consent, STR("story")));
}

/* Names that would be the same text when they were put together. */
static void a_consent_is_of_one_user_and_one_client(void **state)
{
    static const struct {
        const char *subject, *client;
    } others[] = { { "eve", "app" }, { "eve-a", "pp" }, { "eve\"", "a\"app" }, { "eveapp", "" }, { "EVE-", "app" } };
    (void)state;
    struct consent consent = found("eve-", "app");
    assert_ok(allow(&consent, "openid", 100));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_row(found(others[i].subject, others[i].client).item.version == 0, others[i].subject);
    assert_int_equal(found("eve-", "app").item.version, 1);
}

static void a_consent_ends_and_can_be_given_again(void **state)
{
    (void)state;
    struct consent consent = found("bob", "app");
    assert_ok(allow(&consent, "openid", 100));
    now_s += 99;
    assert_str(found("bob", "app").scope, "openid");
    now_s += 1;
    consent = found("bob", "app");
    assert_str(consent.scope, "");
    assert_ok(allow(&consent, "stories", 100)); /* over the row that is there still */
    assert_str(found("bob", "app").scope, "stories");
    now_s -= 100;
}

static void of_two_answers_at_once_one_is_kept(void **state)
{
    (void)state;
    const struct consent consent = found("cat", "app");
    assert_ok(allow(&consent, "openid", 100));
    assert_code(allow(&consent, "stories", 100), ERR_CONFLICT, "the other tab");
    assert_str(found("cat", "app").scope, "openid");
}

static void what_is_revoked_or_of_another_form_allows_nothing(void **state)
{
    static const char *const bodies[] = {
        "{}",
        "{\"granted_scopes\":[\"openid\"]}",
        "{\"granted_scopes\":\"openid\",\"expires_at\":9999999999}",
        "{\"granted_scopes\":[\"openid\"],\"expires_at\":\"9999999999\"}",
        "{\"granted_scopes\":[\"openid\"],\"expires_at\":9999999999,\"revoked_at\":1}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        const char *subject = arena_printf(&arena, "user %zu", i).at;
        struct consent consent = found(subject, "app");
        assert_ok(allow(&consent, "openid", 100));
        consent = found(subject, "app");
        rewrite(&consent.item, bodies[i]);
        assert_row(!consent_covers(&(struct consent){ .scope = found(subject, "app").scope }, STR("openid")),
                   bodies[i]);
    }
}

static void more_than_can_be_kept_is_refused(void **state)
{
    (void)state;
    const struct consent consent = found("dan", "app");
    assert_code(allow(&consent, arena_printf(&arena, "%017000d", 0).at, 100), ERR_TOO_LARGE, "17 KB");
}

RUN_WITH(granting_begin, granting_finish, cmocka_unit_test(nothing_is_allowed_until_somebody_says_so),
         cmocka_unit_test(words_are_added_each_once), cmocka_unit_test(a_consent_is_of_one_user_and_one_client),
         cmocka_unit_test(a_consent_ends_and_can_be_given_again), cmocka_unit_test(of_two_answers_at_once_one_is_kept),
         cmocka_unit_test(what_is_revoked_or_of_another_form_allows_nothing),
         cmocka_unit_test(more_than_can_be_kept_is_refused))
