/* test_refresh.c: the refresh token grant over the store: what each verdict of a family (test_family.c) becomes, and
 * what the store says of two who use a token at once. (With real instances: integration/test_refresh_races.py.) */
#include "granting.h"

/* One use of a token: its answer, and what is to be recorded; nothing is yet. */
struct use {
    struct call call;
    struct token_answer answer;
    struct err err;
};

static struct use use_token(struct str token, const char *more)
{
    struct use use = { .call = call_with(
                           arena_printf(&arena, "refresh_token=%.*s%s", (int)token.len, token.at, more).at) };
    const struct token_request asked = request_of(&use.call);
    use.err = grant_refresh_token(&asked, &use.answer);
    return use;
}

/* What the response comes to, as a front does it: what must be kept always, and on success the rest. */
static struct err finish(const struct use *use)
{
    if (use->call.always)
        assert_ok(keep(use->call.always));
    return use->err.code ? use->err : keep(use->answer.records);
}

static struct str used(struct str token)
{
    const struct use use = use_token(token, "");
    assert_ok(use.err);
    assert_ok(finish(&use));
    return use.answer.refresh_token;
}

static void a_use_brings_a_successor_and_again_the_same(void **state)
{
    (void)state;
    struct family grant;
    const struct str first = new_grant("openid stories", "s", &grant);
    struct use use = use_token(first, "");
    assert_ok(use.err);
    assert_ok(finish(&use));
    const struct str second = use.answer.refresh_token;
    assert_false(str_eq(first, second));
    assert_str(claim(use.answer.access.token, "scope")->text, "openid stories");
    assert_non_null(use.answer.id_token.at);
    assert_int_equal(grant_in_store(&grant).family.rotation_count, 1);
    use = use_token(first, "&scope=stories");
    assert_ok(use.err);
    assert_ok(finish(&use));
    assert_true(str_eq(use.answer.refresh_token, second));
    assert_str(claim(use.answer.access.token, "scope")->text, "stories");
    assert_int_equal(grant_in_store(&grant).family.rotation_count, 1);
    assert_false(str_eq(used(second), second));
    assert_int_equal(grant_in_store(&grant).family.rotation_count, 2);
}

/* The front runs the one who was slower again. */
static void of_two_at_once_one_rotates_and_the_other_gets_the_same(void **state)
{
    (void)state;
    struct family grant;
    const struct str token = new_grant("openid", "s", &grant);
    const struct use one = use_token(token, ""), other = use_token(token, "");
    assert_ok(one.err);
    assert_ok(other.err);
    assert_ok(finish(&other));
    assert_code(finish(&one), ERR_CONFLICT, "who was slower");
    const struct use again = use_token(token, "");
    assert_ok(again.err);
    assert_true(str_eq(again.answer.refresh_token, other.answer.refresh_token));
    assert_ok(finish(&again));
    assert_int_equal(grant_in_store(&grant).family.rotation_count, 1);
}

static void a_late_reuse_revokes_the_family_also_in_memory(void **state)
{
    (void)state;
    struct family grant;
    const struct str first = new_grant("openid", "s", &grant), second = used(first);
    now_s += GRACE_S;
    assert_ok(use_token(first, "").err); /* the last second of it */
    now_s += 1;
    const struct use use = use_token(first, "");
    assert_code(use.err, ERR_INVALID_GRANT, "a reuse");
    assert_null(use.answer.refresh_token.at);
    assert_memory_equal(revocation_among(use.call.always)->token_hash, grant_in_store(&grant).item.id, 32);
    assert_code(finish(&use), ERR_INVALID_GRANT, "the answer");
    assert_true(grant_in_store(&grant).family.revoked_at > 0);
    assert_code(use_token(second, "").err, ERR_INVALID_GRANT, "the live one");
    const struct use again = use_token(first, "");
    assert_code(again.err, ERR_INVALID_GRANT, "once more");
    assert_null(again.call.always); /* nothing is left to revoke */
    now_s -= GRACE_S + 1;
}

/* A revocation can't be taken back, so it must not hang on this machine's clock. */
static void a_late_reuse_revokes_nothing_while_the_clock_is_in_doubt(void **state)
{
    (void)state;
    struct family grant;
    const struct str first = new_grant("openid", "s", &grant), second = used(first);
    now_s += GRACE_S + 1;
    atomic_store(&service.state.clock_step_s, now_s - 5);
    const struct use use = use_token(first, "");
    atomic_store(&service.state.clock_step_s, 0);
    assert_code(use.err, ERR_INVALID_GRANT, "refused");
    assert_null(use.call.always);
    assert_ok(use_token(second, "").err);
    now_s -= GRACE_S + 1;
}

static int64_t shared_ms; /* 0: it can't be asked */

static struct err shared_now(struct store *of, int64_t *out_ms)
{
    (void)of;
    *out_ms = shared_ms;
    return shared_ms > 0 ? OK : failed(ERR_UNAVAILABLE, "the store is away");
}

static void the_stores_clock_decides_where_there_is_one(void **state)
{
    struct store_ops ops = *store->ops;
    (void)state;
    struct family grant;
    const struct str first = new_grant("openid", "s", &grant), second = used(first);
    const struct store_ops *const own = store->ops;
    ops.now = shared_now;
    store->ops = &ops;
    shared_ms = now_s * 1000;
    now_s += GRACE_S + 1; /* this machine's is ahead */
    const struct use use = use_token(first, "");
    shared_ms = 0;
    const struct use unknown = use_token(first, "");
    shared_ms = now_s * 1000;
    const struct use late = use_token(first, "");
    store->ops = own;
    now_s -= GRACE_S + 1;
    assert_ok(use.err);
    assert_true(str_eq(use.answer.refresh_token, second));
    assert_code(unknown.err, ERR_UNAVAILABLE, "nobody knows");
    assert_null(unknown.call.always);
    assert_code(late.err, ERR_INVALID_GRANT, "late by both");
    assert_non_null(revocation_among(late.call.always));
}

static void a_client_that_does_not_rotate_keeps_its_token(void **state)
{
    (void)state;
    add_client("steady", "{\"grant_types\":[\"refresh_token\"],\"refresh_token_rotation\":false,"
                         "\"refresh_token_idle\":640}");
    use_client("steady");
    struct family grant;
    const struct str token = new_grant("openid", "s", &grant);
    assert_true(str_eq(used(token), token));
    assert_int_equal(grant_in_store(&grant).item.version, 1); /* not worth a write */
    now_s += 10;
    assert_true(str_eq(used(token), token));
    assert_int_equal(grant_in_store(&grant).family.idle_expires_at, now_s + 640);
    now_s += 640;
    assert_code(use_token(token, "").err, ERR_INVALID_GRANT, "idle for too long");
    now_s -= 650;
    use_client("app");
}

static void another_clients_token_is_none(void **state)
{
    (void)state;
    struct family grant;
    const struct str token = new_grant("openid", "s", &grant);
    use_client("other");
    const struct use use = use_token(token, "");
    assert_code(use.err, ERR_INVALID_GRANT, "of another client");
    assert_null(use.call.always);
    use_client("app");
    assert_ok(use_token(token, "").err);
}

/* All in the same words, and without a change: nobody learns which grants there are. */
static void what_is_no_token_is_refused(void **state)
{
    (void)state;
    struct family grant;
    const struct str token = new_grant("openid", "s", &grant);
    char forged[REFRESH_TOKEN_LEN];
    memcpy(forged, token.at, sizeof forged);
    forged[60] = forged[60] == 'A' ? 'B' : 'A';
    const struct str bad[] = {
        STR("a"),
        { token.at, token.len - 1 },
        { forged, sizeof forged },
        arena_printf(&arena, "%.*sA", (int)token.len, token.at),
        STR("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
    };
    const char *why = NULL;
    for (size_t i = 0; i < COUNT(bad); i++) {
        const struct use use = use_token(bad[i], "");
        assert_code(use.err, ERR_INVALID_GRANT, "no token");
        assert_null(use.call.always);
        assert_true(!why || strcmp(why, use.err.why) == 0);
        why = use.err.why;
    }
    assert_code(use_token(STR(""), "").err, ERR_INVALID_REQUEST, "none at all");
}

static void a_rule_that_revokes_its_session_refuses_it(void **state)
{
    (void)state;
    struct family grant, other;
    const struct str token = new_grant("openid", "ended", &grant), good = new_grant("openid", "goes on", &other);
    revoke_session("ended");
    assert_code(use_token(token, "").err, ERR_INVALID_GRANT, "its session has ended");
    assert_ok(use_token(good, "").err);
}

/* Whether the tokens that come of a use are of that session. */
static bool names_session(struct str token, const char *sid)
{
    const struct use use = use_token(token, "");
    assert_ok(use.err);
    const struct json *access = claim(use.answer.access.token, "sid"), *id = claim(use.answer.id_token, "sid");
    assert_true(!access == !id);
    return access && str_eq(access->text, str_of(sid)) && str_eq(id->text, str_of(sid));
}

/* Back-Channel Logout 1.0 section 2.7. An administrator's end is the second rule. */
static void one_with_offline_access_outlives_a_logout(void **state)
{
    (void)state;
    struct family grant, other;
    const struct str token = new_grant("openid offline_access", "left", &grant),
                     bystander = new_grant("openid offline_access", "stays", &other);
    assert_true(names_session(token, "left"));
    revoke_session("left");
    assert_false(names_session(token, "left"));
    assert_null(claim(use_token(token, "").answer.access.token, "sid"));
    assert_false(names_session(used(token), "left"));
    assert_true(names_session(bystander, "stays"));
    revoke_session("offline:left");
    assert_code(use_token(token, "").err, ERR_INVALID_GRANT, "an administrator has ended it");
    assert_ok(use_token(bystander, "").err);
    revoke_session("offline:stays"); /* alone, as another instance may learn of them */
    assert_code(use_token(bystander, "").err, ERR_INVALID_GRANT, "the second rule is enough");
}

static void a_wider_scope_is_refused_and_uses_nothing_up(void **state)
{
    (void)state;
    struct family grant;
    const struct str token = new_grant("openid", "s", &grant);
    assert_code(use_token(token, "&scope=openid+stories").err, ERR_INVALID_SCOPE, "wider");
    assert_int_equal(grant_in_store(&grant).family.rotation_count, 0);
}

RUN_WITH(granting_begin, granting_finish, cmocka_unit_test(a_use_brings_a_successor_and_again_the_same),
         cmocka_unit_test(of_two_at_once_one_rotates_and_the_other_gets_the_same),
         cmocka_unit_test(a_late_reuse_revokes_the_family_also_in_memory),
         cmocka_unit_test(a_late_reuse_revokes_nothing_while_the_clock_is_in_doubt),
         cmocka_unit_test(the_stores_clock_decides_where_there_is_one),
         cmocka_unit_test(a_client_that_does_not_rotate_keeps_its_token),
         cmocka_unit_test(another_clients_token_is_none), cmocka_unit_test(what_is_no_token_is_refused),
         cmocka_unit_test(a_rule_that_revokes_its_session_refuses_it),
         cmocka_unit_test(one_with_offline_access_outlives_a_logout),
         cmocka_unit_test(a_wider_scope_is_refused_and_uses_nothing_up))
