/* test_session.c: who is signed in: by a cookie that nobody has seen before, until it ends or is revoked. */
#include "oauth/session.h"
#include "oauth/cookie.h"
#include "granting.h"

static const struct granted ada = { .scope = { "", 0 }, .sub = { "ada", 3 }, .acr = { "1", 1 }, .auth_time = 1000 };

static struct granted login_of(const char *subject)
{
    struct granted login = ada;
    login.sub = str_of(subject);
    login.auth_time = now_s;
    return login;
}

/* Signs in; the cookie that the browser has then. */
static struct str sign_in(const char *subject, const struct session *before, int64_t lasts_s, struct session *out)
{
    const struct granted login = login_of(subject);
    const struct call call = call_with("");
    struct record *records = NULL;
    session_begin(&call, &response, &login, before, lasts_s, out);
    assert_ok(session_store(&arena, out, &records));
    assert_ok(keep(records));
    return cookie_of_response();
}

static struct err find(struct str cookies, struct session *out)
{
    const struct call call = call_with_cookies(cookies);
    return session_of_request(&call, out);
}

static void a_session_is_found_by_its_cookie_alone(void **state)
{
    (void)state;
    struct session begun, found;
    const struct str cookie = sign_in("ada", NULL, 0, &begun);
    assert_true(str_has_prefix(cookie, STR("__Host-token-service-session=")));
    assert_ok(find(cookie, &found));
    assert_str(found.login.sub, "ada");
    assert_str(found.login.acr, "1");
    assert_int_equal(found.begun_at, now_s);
    assert_int_equal(found.item.expires_at, now_s + 3600);
    assert_int_equal(found.login.sid.len, 43);
    assert_false(says(cookie, arena_copy(&arena, found.login.sid).at)); /* which is in tokens, and no secret */
    const struct str bad[] = { STR(""),
                               STR("__Host-token-service-session="),
                               STR("__Host-token-service-session=a"),
                               arena_printf(&arena, "__Host-token-service-session=%.*s", 43, found.login.sid.at),
                               arena_printf(&arena, "%.*sA", (int)cookie.len, cookie.at),
                               arena_printf(&arena, "x%.*s", (int)cookie.len, cookie.at) };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_code(find(bad[i], &found), ERR_NOT_FOUND, "no session");
}

static void a_session_ends_by_time_or_by_a_rule(void **state)
{
    (void)state;
    struct session begun, found;
    const struct str cookie = sign_in("ada", NULL, 50, &begun), other = sign_in("ada", NULL, 50, &found);
    now_s += 49;
    assert_ok(find(cookie, &found));
    now_s += 1;
    assert_code(find(cookie, &found), ERR_NOT_FOUND, "its time is over");
    now_s -= 50;
    revoke_session(arena_copy(&arena, begun.login.sid).at);
    assert_code(find(cookie, &found), ERR_NOT_FOUND, "a rule refuses it");
    assert_ok(find(other, &found));
}

/* One use: whether it writes the item. */
static bool use(struct str cookie)
{
    struct session session;
    struct record *records = NULL;
    const struct call call = call_with_cookies(cookie);
    assert_ok(session_of_request(&call, &session));
    session_use(&call, &session);
    assert_ok(session_store(&arena, &session, &records));
    assert_ok(keep(records));
    return records != NULL;
}

static void a_session_that_nobody_uses_is_over(void **state)
{
    (void)state;
    const int64_t begun_at = now_s;
    struct session begun, found;
    settings.session_idle_s = 1000;
    const struct str cookie = sign_in("ada", NULL, 0, &begun);
    assert_int_equal(begun.idle_expires_at, begun_at + 1000);
    now_s = begun_at + 999;
    assert_ok(find(cookie, &found));
    assert_int_equal(found.idle_expires_at, begun_at + 1000);
    now_s = begun_at + 1000;
    assert_code(find(cookie, &found), ERR_NOT_FOUND, "it was not used");
    const struct call call = call_with_cookies(cookie);
    assert_ok(session_of_logout(&call, &found)); /* which ends what came of it */
    assert_int_equal(found.item.expires_at, begun_at + 3600);
    revoke_session(arena_copy(&arena, begun.login.sid).at);
    assert_code(session_of_logout(&call, &found), ERR_NOT_FOUND, "it has ended");
    now_s = begun_at;
    settings.session_idle_s = 0;
}

/* Up to its absolute end; a tenth of 1000 s is what is worth a write. */
static void a_use_moves_the_idle_end_in_steps(void **state)
{
    static const struct {
        int64_t at, expires_at;
    } uses[] = { { 0, 1000 },    { 99, 1000 },   { 100, 1100 },  { 150, 1100 },  { 1099, 2099 },
                 { 2000, 3000 }, { 2599, 3599 }, { 2600, 3600 }, { 2601, 3600 }, { 3599, 3600 } };
    (void)state;
    const int64_t begun_at = now_s;
    struct session begun, found;
    settings.session_idle_s = 1000;
    const struct str cookie = sign_in("ada", NULL, 0, &begun);
    int64_t before = 1000;
    for (size_t i = 0; i < COUNT(uses); i++) {
        now_s = begun_at + uses[i].at;
        const bool has_written = use(cookie);
        assert_row(has_written == (uses[i].expires_at != before), arena_printf(&arena, "write %zu", i).at);
        assert_ok(find(cookie, &found));
        assert_row(found.idle_expires_at == begun_at + uses[i].expires_at, arena_printf(&arena, "end %zu", i).at);
        before = uses[i].expires_at;
    }
    now_s = begun_at + 3600;
    assert_code(find(cookie, &found), ERR_NOT_FOUND, "its absolute end");
    now_s = begun_at;
    settings.session_idle_s = 0;
}

static void of_two_uses_at_once_one_is_written(void **state)
{
    (void)state;
    struct session begun, one, other;
    struct record *first = NULL, *second = NULL;
    settings.session_idle_s = 1000;
    const struct str cookie = sign_in("ada", NULL, 0, &begun);
    now_s += 500;
    const struct call call = call_with_cookies(cookie);
    assert_ok(session_of_request(&call, &one));
    assert_ok(session_of_request(&call, &other));
    session_use(&call, &one);
    session_use(&call, &other);
    assert_ok(session_store(&arena, &one, &first));
    assert_ok(session_store(&arena, &other, &second));
    assert_ok(keep(first));
    assert_code(keep(second), ERR_CONFLICT, "who was slower runs again");
    assert_false(use(cookie)); /* and finds nothing to write */
    now_s -= 500;
    settings.session_idle_s = 0;
}

static void another_idle_time_is_in_force_with_the_next_use(void **state)
{
    (void)state;
    struct session begun, found;
    const struct str cookie = sign_in("ada", NULL, 0, &begun);
    assert_int_equal(begun.idle_expires_at, now_s + 3600);
    settings.session_idle_s = 1000;
    assert_true(use(cookie));
    settings.session_idle_s = 500;
    assert_true(use(cookie));
    assert_ok(find(cookie, &found));
    assert_int_equal(found.idle_expires_at, now_s + 500);
    settings.session_idle_s = 530; /* which is no more than clocks that differ */
    assert_false(use(cookie));
    settings.session_idle_s = 0;
    assert_true(use(cookie));
    assert_ok(find(cookie, &found));
    assert_int_equal(found.idle_expires_at, now_s + 3600);
}

/* Who was asked to be remembered for a month does not come back each hour. */
static void a_session_of_a_length_that_was_asked_for_has_no_idle_end(void **state)
{
    (void)state;
    struct session begun;
    settings.session_idle_s = 10;
    const struct str cookie = sign_in("ada", NULL, 3000, &begun);
    assert_int_equal(begun.item.expires_at, now_s + 3000);
    assert_int_equal(begun.idle_expires_at, 0);
    now_s += 2999;
    assert_false(use(cookie));
    now_s -= 2999;
    settings.session_idle_s = 0;
}

static void a_cookie_lasts_as_long_as_was_asked_for(void **state)
{
    (void)state;
    struct session begun;
    (void)sign_in("ada", NULL, 0, &begun);
    assert_false(says(response.headers[0].value, "Max-Age"));
    (void)sign_in("ada", NULL, 777, &begun);
    assert_true(says(response.headers[0].value, "Max-Age=777"));
}

/* Or one that was planted before would be the user's now (session fixation). */
static void each_login_has_a_new_cookie(void **state)
{
    (void)state;
    struct session first, second, found;
    const struct str before = sign_in("ada", NULL, 0, &first);
    assert_ok(find(before, &found));
    session_add_client(&found, STR("app"));
    now_s += 10;
    const struct str after = sign_in("ada", &found, 0, &second);
    now_s -= 10;
    assert_false(str_eq(before, after));
    assert_true(str_eq(first.login.sid, second.login.sid));
    assert_code(find(before, &found), ERR_NOT_FOUND, "the cookie before");
    assert_ok(find(after, &found));
    assert_int_equal(found.begun_at, first.begun_at);
    assert_int_equal(found.login.auth_time, first.login.auth_time + 10);
    assert_int_equal(found.client_count, 1);
}

static void another_user_gets_another_session(void **state)
{
    (void)state;
    struct session first, second, found;
    const struct str before = sign_in("ada", NULL, 0, &first);
    assert_ok(find(before, &found));
    const struct str after = sign_in("bob", &found, 0, &second);
    assert_false(str_eq(first.login.sid, second.login.sid));
    assert_ok(find(after, &found));
    assert_str(found.login.sub, "bob");
    assert_int_equal(found.client_count, 0);
}

static void clients_are_noted_once_and_as_many_as_there_is_room_for(void **state)
{
    (void)state;
    struct session session, found;
    struct record *records = NULL;
    const struct str cookie = sign_in("ada", NULL, 0, &session);
    assert_ok(find(cookie, &session));
    assert_false(session.is_changed);
    assert_ok(session_store(&arena, &session, &records));
    assert_null(records); /* nothing has changed */
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < SESSION_CLIENTS_MAX + 3; i++)
            session_add_client(&session, arena_printf(&arena, "client-%d", i));
    assert_ok(session_store(&arena, &session, &records));
    assert_ok(keep(records));
    assert_ok(find(cookie, &found));
    assert_int_equal(found.client_count, SESSION_CLIENTS_MAX);
    assert_str(found.clients[SESSION_CLIENTS_MAX - 1], "client-63");
    records = NULL;
    assert_ok(session_store(&arena, &session, &records)); /* as it was read before that */
    assert_code(keep(records), ERR_CONFLICT, "somebody was faster");
}

static void what_is_too_large_is_refused(void **state)
{
    (void)state;
    struct session session;
    struct record *records = NULL;
    const struct granted login = { .scope = STR(""),
                                   .sub = STR("ada"),
                                   .auth_time = now_s,
                                   .user = json_of(arena_printf(&arena, "{\"name\":\"%017000d\"}", 0)) };
    const struct call call = call_with("");
    session_begin(&call, &response, &login, NULL, 0, &session);
    assert_code(session_store(&arena, &session, &records), ERR_TOO_LARGE, "17 KB");
}

static void a_body_of_another_form_is_an_error(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"scope\":\"\",\"sub\":\"u\",\"clients\":[]}",
        "{\"scope\":\"\",\"sub\":\"u\",\"begun_at\":1}",
        "{\"scope\":\"\",\"sub\":\"u\",\"begun_at\":-1,\"clients\":[]}",
        "{\"scope\":\"\",\"sub\":\"u\",\"begun_at\":1,\"clients\":[1]}",
        "{\"scope\":\"\",\"sub\":\"u\",\"begun_at\":1,\"clients\":[],\"idle_expires_at\":0}",
        "{\"scope\":\"\",\"sub\":\"u\",\"begun_at\":1,\"clients\":[],\"idle_expires_at\":\"2\"}",
        "{\"sub\":\"u\",\"begun_at\":1,\"clients\":[]}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct session session;
        const struct str cookie = sign_in("ada", NULL, 0, &session);
        assert_ok(find(cookie, &session));
        rewrite(&session.item, bad[i]);
        assert_code(find(cookie, &session), ERR_INTERNAL, bad[i]);
    }
}

RUN_WITH(granting_begin, granting_finish, cmocka_unit_test(a_session_is_found_by_its_cookie_alone),
         cmocka_unit_test(a_session_ends_by_time_or_by_a_rule), cmocka_unit_test(a_session_that_nobody_uses_is_over),
         cmocka_unit_test(a_use_moves_the_idle_end_in_steps), cmocka_unit_test(of_two_uses_at_once_one_is_written),
         cmocka_unit_test(another_idle_time_is_in_force_with_the_next_use),
         cmocka_unit_test(a_session_of_a_length_that_was_asked_for_has_no_idle_end),
         cmocka_unit_test(a_cookie_lasts_as_long_as_was_asked_for), cmocka_unit_test(each_login_has_a_new_cookie),
         cmocka_unit_test(another_user_gets_another_session),
         cmocka_unit_test(clients_are_noted_once_and_as_many_as_there_is_room_for),
         cmocka_unit_test(what_is_too_large_is_refused), cmocka_unit_test(a_body_of_another_form_is_an_error))
