/* test_login_request.c: an authorization request waits for its user under a challenge, in one browser, for a time, and
 * comes back with what was answered. */
#include "oauth/login_request.h"
#include "granting.h"

#define CHALLENGE "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"

static struct authorize_request asked(void)
{
    struct form form;
    struct authorize_request out;
    assert_ok(
        form_read_all(&arena,
                      STR("client_id=app&redirect_uri=https://app.test/cb&response_type=code&scope=openid&state=st"
                          "&code_challenge=" CHALLENGE "&code_challenge_method=S256&max_age=5"),
                      &form));
    const struct authorize_fault fault = authorize_request_read(&arena, &form, true, &out);
    assert_null(fault.error);
    return out;
}

static struct err put(const struct login_request *login)
{
    struct record *records = NULL;
    TRY(login_request_store(&arena, login, &records));
    return keep(records);
}

static struct login_request begun(void)
{
    const struct call call = call_with("");
    const struct authorize_request wanted = asked();
    struct login_request login;
    login_request_begin(&call, &wanted, &login);
    login.step = STEP_LOGIN;
    return login;
}

static struct err find(struct str challenge, struct login_request *out)
{
    const struct call call = call_with("");
    return login_request_find(&call, challenge, out);
}

static void it_comes_back_as_it_was_stored(void **state)
{
    (void)state;
    struct login_request login = begun(), found;
    assert_int_equal(login.challenge.len, LOGIN_CHALLENGE_LEN);
    login.subject = STR("ada");
    login.hinted = STR("elfwwjP1");
    assert_ok(put(&login));
    assert_ok(find(login.challenge, &found));
    assert_str(found.request.client_id, "app");
    assert_str(found.request.scope, "openid");
    assert_str(found.request.state, "st");
    assert_int_equal(found.request.max_age_s, 5);
    assert_int_equal(found.step, STEP_LOGIN);
    assert_str(found.subject, "ada");
    assert_str(found.hinted, "elfwwjP1");
    assert_int_equal(found.item.expires_at, now_s + LOGIN_REQUEST_TTL_S);
    assert_false(found.is_bound || found.is_logged_in || found.has_login || found.has_consent);
    assert_str(found.denied, "");
    assert_false(says(found.item.body, arena_copy(&arena, login.challenge).at));
}

static void so_do_its_answers(void **state)
{
    (void)state;
    struct login_request login = begun(), found;
    login.has_login = login.has_consent = login.is_logged_in = true;
    login.step = STEP_CONSENT;
    login.login =
        (struct granted){ .scope = STR(""), .sub = STR("bob"), .auth_time = 77, .amr = { STR("pwd") }, .amr_count = 1 };
    login.login_lasts_s = 88;
    login.consent_scope = STR("openid");
    login.consent_lasts_s = 99;
    login.denied = STR("access_denied");
    login.denied_why = STR("no");
    assert_ok(put(&login));
    assert_ok(find(login.challenge, &found));
    assert_true(found.has_login && found.has_consent && found.is_logged_in);
    assert_int_equal(found.step, STEP_CONSENT);
    assert_str(found.login.sub, "bob");
    assert_str(found.login.amr[0], "pwd");
    assert_int_equal(found.login.auth_time, 77);
    assert_int_equal(found.login_lasts_s, 88);
    assert_str(found.consent_scope, "openid");
    assert_int_equal(found.consent_lasts_s, 99);
    assert_str(found.denied, "access_denied");
    assert_str(found.denied_why, "no");
}

/* An empty answer is one: the user allows nothing. */
static void a_consent_to_nothing_is_an_answer(void **state)
{
    (void)state;
    struct login_request login = begun(), found;
    login.has_consent = true;
    login.consent_scope = STR("");
    assert_ok(put(&login));
    assert_ok(find(login.challenge, &found));
    assert_true(found.has_consent);
    assert_str(found.consent_scope, "");
}

static void it_is_found_by_its_challenge_until_its_time_is_over(void **state)
{
    (void)state;
    struct login_request login = begun(), found;
    assert_ok(put(&login));
    assert_code(find(STR(""), &found), ERR_NOT_FOUND, "none");
    assert_code(find((struct str){ login.challenge.at, 42 }, &found), ERR_NOT_FOUND, "a shorter one");
    assert_code(find(STR(CHALLENGE), &found), ERR_NOT_FOUND, "another one");
    now_s += LOGIN_REQUEST_TTL_S - 1;
    assert_ok(find(login.challenge, &found));
    now_s += 1;
    assert_code(find(login.challenge, &found), ERR_NOT_FOUND, "its time is over");
    now_s -= LOGIN_REQUEST_TTL_S;
}

/* Else somebody could have another person's browser go on with a login of his own. */
static void it_goes_on_in_its_browser_alone(void **state)
{
    (void)state;
    struct login_request login = begun(), found;
    assert_false(login_request_is_bound_to(&login, STR("key")));
    login_request_bind(&login, STR("key"));
    assert_ok(put(&login));
    assert_ok(find(login.challenge, &found));
    assert_true(found.is_bound && login_request_is_bound_to(&found, STR("key")));
    assert_false(login_request_is_bound_to(&found, STR("kez")));
    assert_false(login_request_is_bound_to(&found, STR("")));
}

/* As authorize.c begins one for a browser that came with its key. */
static struct login_request named(const char *key, const char *subject)
{
    const struct call call = call_with("");
    struct login_request login = begun();
    login.step = STEP_NOTHING;
    login.subject = str_of(subject);
    login_request_bind(&login, str_of(key));
    assert_ok(login_request_name(&call, &login, str_of(key), true));
    login.step = STEP_LOGIN;
    return login;
}

static void the_same_request_of_a_browser_takes_the_place_of_the_one_before(void **state)
{
    (void)state;
    struct login_request first = named("key", "ada"), found;
    assert_int_equal(first.challenge.len, LOGIN_CHALLENGE_LEN);
    assert_int_equal(first.item.version, 0);
    first.denied = STR("access_denied");
    assert_ok(put(&first));
    struct login_request again = named("key", "ada"), of_another = named("kez", "ada"), other = named("key", "bob");
    assert_true(str_eq(again.challenge, first.challenge));
    assert_false(str_eq(of_another.challenge, first.challenge) || str_eq(other.challenge, first.challenge));
    assert_int_equal(again.item.version, 1);
    assert_int_equal(of_another.item.version, 0);
    assert_int_equal(other.item.version, 0);
    assert_ok(put(&again));
    assert_code(put(&again), ERR_CONFLICT, "two at once");
    assert_ok(find(first.challenge, &found));
    assert_str(found.denied, ""); /* what was answered before is not the answer to this one */
}

static void it_ends_once_and_only_when_it_was_stored(void **state)
{
    (void)state;
    struct login_request login = begun(), found;
    struct record *records = NULL;
    login_request_end(&arena, &login, &records);
    assert_null(records);
    assert_ok(put(&login));
    assert_ok(find(login.challenge, &found));
    login_request_end(&arena, &found, &records);
    struct record *again = NULL;
    login_request_end(&arena, &found, &again);
    assert_ok(keep(records));
    assert_code(keep(again), ERR_CONFLICT, "two tabs go on at once");
    assert_code(find(login.challenge, &found), ERR_NOT_FOUND, "it has ended");
}

static void a_body_of_another_form_is_an_error(void **state)
{
    static const char *const bad[] = { "{}", "{\"step\":1}", "{\"request\":{},\"step\":1}" };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct login_request login = begun(), found;
        assert_ok(put(&login));
        assert_ok(find(login.challenge, &found));
        rewrite(&found.item, bad[i]);
        assert_code(find(login.challenge, &found), ERR_INTERNAL, bad[i]);
    }
    struct login_request login = begun(), found;
    login.step = (enum login_step)7;
    assert_ok(put(&login));
    assert_code(find(login.challenge, &found), ERR_INTERNAL, "a step that there is not");
}

RUN_WITH(granting_begin, granting_finish, cmocka_unit_test(it_comes_back_as_it_was_stored),
         cmocka_unit_test(so_do_its_answers), cmocka_unit_test(a_consent_to_nothing_is_an_answer),
         cmocka_unit_test(it_is_found_by_its_challenge_until_its_time_is_over),
         cmocka_unit_test(it_goes_on_in_its_browser_alone),
         cmocka_unit_test(the_same_request_of_a_browser_takes_the_place_of_the_one_before),
         cmocka_unit_test(it_ends_once_and_only_when_it_was_stored),
         cmocka_unit_test(a_body_of_another_form_is_an_error))
