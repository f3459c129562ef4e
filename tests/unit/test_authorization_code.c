/* test_authorization_code.c: a code becomes a grant, once, for its client, with its redirect URI and code_verifier; who
 * comes second ends what the first one got. */
#include "granting.h"
#include "oauth/code.h"

#define VERIFIER "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" /* RFC 7636 appendix B */
#define CHALLENGE "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
#define GOOD "&redirect_uri=https://app.test/cb&code_verifier=" VERIFIER

static struct str new_code(const char *scope, const char *sid, const char *challenge)
{
    const struct code code = {
        .client_id = client.id,
        .redirect_uri = STR("https://app.test/cb"),
        .nonce = STR("n1"),
        .code_challenge = str_of(challenge),
        .expires_at = now_s + CODE_TTL_S,
        .granted = { .scope = str_of(scope), .sub = STR("ada"), .sid = str_of(sid), .auth_time = now_s }
    };
    struct str text;
    struct record *record;
    assert_ok(code_make(&arena, &code, NULL, &text, &record));
    assert_ok(keep(record));
    return text;
}

static struct err redeem(struct str code, const char *more, struct call *call, struct token_answer *answer)
{
    *call = call_with(arena_printf(&arena, "code=%.*s%s", (int)code.len, code.at, more).at);
    const struct token_request asked = request_of(call);
    *answer = (struct token_answer){ .retry_after_s = 0 };
    return grant_authorization_code(&asked, answer);
}

static void a_code_becomes_a_grant(void **state)
{
    (void)state;
    const struct str text = new_code("openid offline_access", "s", CHALLENGE);
    struct token_answer answer;
    struct call call;
    struct refresh_token token;
    struct grant grant;
    struct code code;
    assert_ok(redeem(text, GOOD, &call, &answer));
    assert_ok(keep(answer.records));
    assert_str(claim(answer.id_token, "nonce")->text, "n1");
    assert_str(claim(answer.access.token, "sub")->text, "ada");
    assert_true(refresh_token_read(answer.refresh_token, &token));
    assert_ok(grant_of_token(store, &arena, &token, &grant));
    assert_str(grant.item.subject, "ada");
    assert_str(grant.item.sid, "s");
    assert_str(grant.item.client_id, "app");
    assert_int_equal(grant.item.expires_at, now_s + REFRESH_TTL_S);
    assert_int_equal(grant.family.rotation_count, 0);
    assert_str(grant.family.granted.scope, "openid offline_access");
    assert_ok(code_find(store, &arena, text, &code));
    assert_true(code.is_used);
    assert_memory_equal(code.grant_id, grant.item.id, 32);
}

/* Each is good but for one thing; none of them uses the code up. */
static void a_request_that_does_not_fit_the_code_gets_nothing(void **state)
{
    static const struct {
        const char *text, *form;
        enum err_code code;
    } rows[] = {
        { "another redirect_uri", "&redirect_uri=https://app.test/cb/&code_verifier=" VERIFIER, ERR_INVALID_GRANT },
        { "no redirect_uri", "&code_verifier=" VERIFIER, ERR_INVALID_GRANT },
        { "no code_verifier", "&redirect_uri=https://app.test/cb", ERR_INVALID_GRANT },
        { "the challenge for a verifier", "&redirect_uri=https://app.test/cb&code_verifier=" CHALLENGE,
          ERR_INVALID_GRANT },
        { "a short code_verifier", "&redirect_uri=https://app.test/cb&code_verifier=abc", ERR_INVALID_GRANT },
    };
    (void)state;
    const struct str text = new_code("openid", "s", CHALLENGE);
    struct token_answer answer;
    struct call call;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_code(redeem(text, rows[i].form, &call, &answer), rows[i].code, rows[i].text);
        assert_null(call.always);
    }
    assert_code(redeem(STR(""), GOOD, &call, &answer), ERR_INVALID_REQUEST, "no code");
    assert_code(redeem(STR("x"), GOOD, &call, &answer), ERR_INVALID_GRANT, "no such code");
    use_client("other");
    assert_code(redeem(text, GOOD, &call, &answer), ERR_INVALID_GRANT, "another client");
    assert_null(call.always);
    use_client("app");
    now_s += CODE_TTL_S;
    assert_code(redeem(text, GOOD, &call, &answer), ERR_INVALID_GRANT, "its time is over");
    now_s -= 1;
    assert_ok(redeem(text, GOOD, &call, &answer));
    now_s -= CODE_TTL_S - 1;
}

/* RFC 9700 section 2.1.1: else the check could be left out by who sends no challenge. */
static void a_verifier_without_a_challenge_is_refused(void **state)
{
    (void)state;
    const struct str text = new_code("openid", "s", "");
    struct token_answer answer;
    struct call call;
    assert_code(redeem(text, GOOD, &call, &answer), ERR_INVALID_GRANT, "a verifier of nothing");
    assert_ok(redeem(text, "&redirect_uri=https://app.test/cb", &call, &answer));
}

static void of_two_at_once_one_is_kept_and_the_other_ends_it(void **state)
{
    (void)state;
    const struct str text = new_code("openid offline_access", "s", CHALLENGE);
    struct token_answer one, other;
    struct call call;
    struct refresh_token token;
    struct grant grant;
    assert_ok(redeem(text, GOOD, &call, &one));
    assert_ok(redeem(text, GOOD, &call, &other));
    assert_ok(keep(other.records));
    assert_code(keep(one.records), ERR_CONFLICT, "who was slower"); /* and no token of it is stored */
    assert_true(refresh_token_read(one.refresh_token, &token));
    assert_code(grant_of_token(store, &arena, &token, &grant), ERR_NOT_FOUND, "the grant of who was slower");
    assert_code(redeem(text, GOOD, &call, &one), ERR_INVALID_GRANT, "run again");
    assert_ok(keep(call.always));
    assert_true(refresh_token_read(other.refresh_token, &token));
    assert_ok(grant_of_token(store, &arena, &token, &grant));
    assert_str(grant.family.revocation_reason, "code reused");
}

/* Another client that has found a used code can't end what it stands for. */
static void a_used_code_of_another_client_ends_nothing(void **state)
{
    (void)state;
    const struct str text = new_code("openid offline_access", "s", CHALLENGE);
    struct token_answer answer, none;
    struct call call;
    assert_ok(redeem(text, GOOD, &call, &answer));
    assert_ok(keep(answer.records));
    use_client("other");
    assert_code(redeem(text, GOOD, &call, &none), ERR_INVALID_GRANT, "another client");
    assert_null(call.always);
    use_client("app");
}

static void a_refresh_token_is_for_who_asked_and_is_registered_for_it(void **state)
{
    static const struct {
        const char *client, *scope;
        bool has;
    } rows[] = { { "app", "openid", false },
                 { "app", "openid offline_access", true },
                 { "app", "stories", true }, /* without OpenID Connect there is no such word */
                 { "codes", "openid offline_access", false },
                 { "codes", "stories", false } };
    (void)state;
    add_client("codes", "{\"grant_types\":[\"authorization_code\"]}");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct token_answer answer;
        struct call call;
        use_client(rows[i].client);
        assert_ok(redeem(new_code(rows[i].scope, "s", CHALLENGE), GOOD, &call, &answer));
        assert_row((answer.refresh_token.at != NULL) == rows[i].has, rows[i].scope);
        const struct item *item = answer.records->next->item; /* behind the code's */
        assert_row(item->expires_at == now_s + (rows[i].has ? REFRESH_TTL_S : ACCESS_TTL_S), rows[i].scope);
    }
    use_client("app");
}

static void a_session_that_has_ended_since_gives_nothing(void **state)
{
    (void)state;
    const struct str text = new_code("openid", "ended", CHALLENGE), good = new_code("openid", "goes on", CHALLENGE);
    struct token_answer answer;
    struct call call;
    revoke_session("ended");
    assert_code(redeem(text, GOOD, &call, &answer), ERR_INVALID_GRANT, "its session has ended");
    assert_ok(redeem(good, GOOD, &call, &answer));
}

/* Another instance may redeem it before it hears of the end of its session: what comes of it must be refused later. */
static void a_grant_begins_with_its_code(void **state)
{
    (void)state;
    const struct str text = new_code("openid offline_access", "s", CHALLENGE);
    struct token_answer answer;
    struct call call;
    struct refresh_token token;
    struct grant grant;
    now_s += CODE_TTL_S - 1;
    assert_ok(redeem(text, GOOD, &call, &answer));
    assert_ok(keep(answer.records));
    assert_true(refresh_token_read(answer.refresh_token, &token));
    assert_ok(grant_of_token(store, &arena, &token, &grant));
    assert_int_equal(grant.family.issued_at, now_s - (CODE_TTL_S - 1));
    assert_int_equal(grant.item.expires_at, now_s + REFRESH_TTL_S);
    now_s -= CODE_TTL_S - 1;
}

RUN_WITH(granting_begin, granting_finish, cmocka_unit_test(a_code_becomes_a_grant),
         cmocka_unit_test(a_request_that_does_not_fit_the_code_gets_nothing),
         cmocka_unit_test(a_verifier_without_a_challenge_is_refused),
         cmocka_unit_test(of_two_at_once_one_is_kept_and_the_other_ends_it),
         cmocka_unit_test(a_used_code_of_another_client_ends_nothing),
         cmocka_unit_test(a_refresh_token_is_for_who_asked_and_is_registered_for_it),
         cmocka_unit_test(a_session_that_has_ended_since_gives_nothing), cmocka_unit_test(a_grant_begins_with_its_code))
