/* test_session_calls.c: sessions as an administrator sees and ends them: page by page, as many at once as one list of
 * records can hold, each with its tokens and with notices to its clients. */
#include "oauth/operations.h"
#include "oauth/session.h"
#include "oauth/session_end.h"
#include "granting.h"

static struct call call;

/* Signs a user in, who has used so many clients; its sid. */
static struct str sign_in(const char *subject, int clients)
{
    const struct granted login = { .scope = STR(""), .sub = str_of(subject), .auth_time = now_s };
    const struct call begin = call_with("");
    struct session session;
    struct record *records = NULL;
    session_begin(&begin, &response, &login, NULL, 0, &session);
    for (int i = 0; i < clients; i++)
        session_add_client(&session, arena_printf(&arena, "told-%d", i));
    assert_ok(session_store(&arena, &session, &records));
    assert_ok(keep(records));
    return session.login.sid;
}

/* The answer of a call; what it has to record is not, yet. */
static struct err ask(struct err (*run)(struct call *, struct response *), const char *query, struct str sid)
{
    call = call_with("");
    call.caller.client_id = STR("keeper");
    call.path_value = sid;
    request.query = str_of(query);
    return run(&call, &response);
}

static const struct json *member(const char *name)
{
    return json_member(json_of(arena_copy(&arena, buf_str(&response.body))), str_of(name));
}

static size_t count_of(const char *subject)
{
    assert_ok(ask(list_sessions, arena_printf(&arena, "subject=%s&limit=100", subject).at, STR("")));
    return member("sessions")->count;
}

static size_t notices(const char *subject)
{
    const struct item_query query = { .kind = ITEM_NOTICE, .subject = str_of(subject), .max = ITEMS_LISTED_MAX };
    struct item *items;
    size_t count;
    assert_ok(store->ops->list_items(store, &arena, &query, &items, &count));
    return count;
}

static void a_session_is_shown_until_it_is_over(void **state)
{
    (void)state;
    const struct str sid = sign_in("shown", 2), revoked = sign_in("shown", 0);
    assert_ok(ask(show_session, NULL, sid));
    assert_str(member("sid")->text, arena_copy(&arena, sid).at);
    assert_str(member("sub")->text, "shown");
    assert_str(member("clients")->child->next->text, "told-1");
    assert_int_equal(count_of("shown"), 2);
    revoke_session(arena_copy(&arena, revoked).at);
    assert_code(ask(show_session, NULL, revoked), ERR_NOT_FOUND, "a rule refuses it");
    assert_int_equal(count_of("shown"), 1);
    now_s += 3600;
    assert_code(ask(show_session, NULL, sid), ERR_NOT_FOUND, "its time is over");
    assert_int_equal(count_of("shown"), 0);
    now_s -= 3600;
    assert_code(ask(show_session, NULL, STR("nothing")), ERR_NOT_FOUND, "no such");
    assert_code(ask(show_session, NULL, STR("")), ERR_NOT_FOUND, "none");
    assert_code(ask(show_session, NULL, arena_printf(&arena, "%0600d", 0)), ERR_NOT_FOUND, "longer than any");
}

static void pages_follow_one_another(void **state)
{
    (void)state;
    size_t found = 0, pages = 0;
    struct str next = STR("");
    for (int i = 0; i < 5; i++)
        (void)sign_in("paged", 0);
    do {
        assert_ok(ask(list_sessions,
                      arena_printf(&arena, "subject=paged&limit=2%s%.*s", next.len > 0 ? "&after=" : "", (int)next.len,
                                   next.at)
                          .at,
                      STR("")));
        found += member("sessions")->count;
        pages++;
        next = member("next") ? member("next")->text : STR("");
    } while (next.len > 0);
    assert_int_equal(found, 5);
    assert_int_equal(pages, 3);
}

static void a_wrong_question_is_refused(void **state)
{
    static const char *const bad[] = { "limit=0",  "limit=101", "limit=x",    "after=ab",
                                       "subject=", "subject",   "subject=%zz" };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_code(ask(list_sessions, bad[i], STR("")), ERR_INVALID_REQUEST, bad[i]);
    assert_code(ask(end_sessions, NULL, STR("")), ERR_INVALID_REQUEST, "whose?");
    assert_code(ask(end_sessions, "subject=", STR("")), ERR_INVALID_REQUEST, "whose?");
    assert_code(ask(end_sessions, "after=00", STR("")), ERR_INVALID_REQUEST, "whose?");
    assert_null(response.records);
}

static void an_end_is_one_list_of_rule_item_and_notices(void **state)
{
    (void)state;
    const struct str sid = sign_in("leaving", 3);
    add_client("told-0", "{\"backchannel_logout_uri\":\"https://a.test/logout\"}");
    add_client("told-1", "{}"); /* which wants to hear of nothing; and told-2 is no client any more */
    assert_ok(ask(end_session, NULL, sid));
    assert_int_equal(response.status, 204);
    const struct record *rule = revocation_among(response.records);
    assert_int_equal(rule->revokes, REVOKED_SESSION);
    assert_true(str_eq(rule->target, sid));
    assert_str(rule->revoked_by, "keeper");
    const struct record *offline = revocation_among(rule->next); /* of the grants that a logout leaves alone */
    assert_true(str_eq(offline->target, rule_offline_target(&arena, sid)));
    assert_memory_not_equal(offline->token_hash, rule->token_hash, 32);
    assert_int_equal(offline->before, rule->before);
    assert_str(offline->revoked_by, "keeper");
    assert_int_equal(count_of("leaving"), 0); /* in memory at once; ask() has made another response */
    assert_ok(ask(end_session, NULL, sid));
    struct record *records = response.records;
    assert_ok(keep(records));
    assert_int_equal(notices("leaving"), 1);
    assert_code(ask(end_session, NULL, sid), ERR_NOT_FOUND, "it has ended");
}

/* So its grants with offline_access go on (test_refresh.c). */
static void a_logout_is_one_rule(void **state)
{
    (void)state;
    const struct item_query query = { .kind = ITEM_SESSION, .sid = sign_in("logged out", 0), .max = 2 };
    struct item *items;
    size_t count;
    struct session session;
    struct record *records = NULL;
    uint64_t announced = 0;
    assert_ok(store->ops->list_items(store, &arena, &query, &items, &count));
    assert_int_equal(count, 1);
    assert_ok(session_read(&arena, items, &session));
    call = call_with("");
    assert_ok(session_end(&call, &session, SESSION_LOGGED_OUT, &records, &announced));
    const struct record *rule = revocation_among(records);
    assert_true(str_eq(rule->target, query.sid));
    assert_str(rule->reason, "logged out");
    assert_null(revocation_among(rule->next));
    assert_ok(keep(records));
    assert_int_equal(count_of("logged+out"), 0);
}

static void two_who_end_one_at_once_end_it_once(void **state)
{
    (void)state;
    const struct str sid = sign_in("once", 0);
    assert_ok(ask(end_session, NULL, sid));
    struct record *first = response.records;
    assert_ok(ask(end_session, NULL, sid));
    struct record *second = response.records;
    assert_ok(keep(first));
    assert_code(keep(second), ERR_CONFLICT, "who was slower runs again");
}

static int64_t end_all(const char *subject, bool *more)
{
    int64_t ended = -1;
    assert_ok(ask(end_sessions, arena_printf(&arena, "subject=%s", subject).at, STR("")));
    assert_true(json_int(member("ended"), 0, 1000, &ended));
    *more = member("more")->kind == JSON_TRUE;
    assert_ok(keep(response.records));
    return ended;
}

static void all_of_a_user_end_in_as_many_calls_as_it_takes(void **state)
{
    (void)state;
    bool more;
    for (int i = 0; i < 40; i++)
        (void)sign_in("everywhere", 1);
    (void)sign_in("everywhere else", 0);
    assert_int_equal(end_all("everywhere", &more), 32);
    assert_true(more);
    assert_int_equal(end_all("everywhere", &more), 8);
    assert_false(more);
    assert_int_equal(end_all("everywhere", &more), 0);
    assert_false(more);
    assert_int_equal(notices("everywhere"), 40);
    assert_int_equal(count_of("everywhere+else"), 1);
}

/* 64 notices and the session itself, each: of four there would be more than one list may have. */
static void a_list_of_records_is_never_longer_than_may_be(void **state)
{
    (void)state;
    bool more;
    for (int i = 2; i < SESSION_CLIENTS_MAX; i++)
        add_client(arena_printf(&arena, "told-%d", i).at, "{\"backchannel_logout_uri\":\"https://a.test/logout\"}");
    for (int i = 0; i < 4; i++)
        (void)sign_in("busy", SESSION_CLIENTS_MAX);
    assert_int_equal(end_all("busy", &more), 3);
    assert_true(more);
    assert_int_equal(end_all("busy", &more), 1);
    assert_false(more);
}

/* Its tokens may be good still. */
static void what_is_over_by_time_ends_as_well(void **state)
{
    (void)state;
    const struct str sid = sign_in("late", 0);
    now_s += 3600;
    assert_ok(ask(end_session, NULL, sid));
    now_s -= 3600;
    assert_non_null(revocation_among(response.records));
    assert_ok(keep(response.records));
}

RUN_WITH(granting_begin, granting_finish, cmocka_unit_test(a_session_is_shown_until_it_is_over),
         cmocka_unit_test(pages_follow_one_another), cmocka_unit_test(a_wrong_question_is_refused),
         cmocka_unit_test(an_end_is_one_list_of_rule_item_and_notices), cmocka_unit_test(a_logout_is_one_rule),
         cmocka_unit_test(two_who_end_one_at_once_end_it_once),
         cmocka_unit_test(all_of_a_user_end_in_as_many_calls_as_it_takes),
         cmocka_unit_test(a_list_of_records_is_never_longer_than_may_be),
         cmocka_unit_test(what_is_over_by_time_ends_as_well))
