/* test_opaque_tokens.c: a refresh token of a grant, as POST /token/introspect and /token/revoke see it: judged as the
 * token endpoint would judge it, ended by who may, and never changed by a question. */
#include "oauth/opaque_tokens.h"
#include "granting.h"
#include "oauth/password_login.h"

#define HASH "$scrypt$ln=4,r=1,p=1$c29tZXNhbHRjbw$vXuwZ7Q3pn8Ry6WTjtompMi63ww156d+cWUKEZqIZuU"

static struct call call;

/* The token endpoint's next use of it, kept in the store. */
static struct str used(struct str token)
{
    struct token_answer answer = { .retry_after_s = 0 };
    call = call_with(arena_printf(&arena, "refresh_token=%.*s", (int)token.len, token.at).at);
    const struct token_request asked = request_of(&call);
    assert_ok(grant_refresh_token(&asked, &answer));
    assert_ok(keep(answer.records));
    return answer.refresh_token;
}

/* What is said of it; ERR_INVALID_GRANT: it isn't good. A question leaves nothing to be recorded. */
static struct err introspect(struct str token, struct str *out)
{
    struct buf body;
    buf_init(&body, &arena, 256, 4096);
    call = call_with("");
    const struct err err = oauth_opaque_tokens.introspect(&call, token, &body);
    assert_null(call.always);
    assert_true(!err.code || body.len == 0);
    *out = buf_str(&body);
    return err;
}

static enum err_code code_of(struct str token)
{
    struct str out;
    return introspect(token, &out).code;
}

static struct err end_by(struct str token, const char *scopes, const struct bearer *bearer)
{
    call = call_with("");
    call.caller.scopes = call.caller.token_scopes = str_of(scopes);
    call.caller.bearer = bearer;
    return oauth_opaque_tokens.revoke(&call, token, STR("lost"));
}

static struct str forged(struct str token, size_t at)
{
    char *text = arena_alloc(&arena, token.len);
    memcpy(text, token.at, token.len);
    text[at] = text[at] == 'A' ? 'B' : 'A';
    return (struct str){ text, token.len };
}

static void only_the_form_of_a_refresh_token_is_taken_for_one(void **state)
{
    (void)state;
    struct family grant;
    const struct str token = new_grant("openid", "s", &grant);
    const struct str others[] = { STR(""),
                                  STR("a.b.c"),
                                  { token.at, token.len - 1 },
                                  arena_printf(&arena, "%.*sA", (int)token.len, token.at),
                                  arena_printf(&arena, "%.*s=", (int)token.len - 1, token.at),
                                  arena_printf(&arena, "%.*s.", (int)token.len - 1, token.at) };
    assert_true(oauth_opaque_tokens.have_form(token));
    assert_true(oauth_opaque_tokens.have_form(forged(token, 3))); /* whose it is comes later */
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(oauth_opaque_tokens.have_form(others[i]));
}

static int64_t number_of(struct str answer, const char *name)
{
    int64_t number = -1;
    assert_true(json_int(json_member(json_of(answer), str_of(name)), 0, INT64_MAX, &number));
    return number;
}

static void a_good_one_is_described(void **state)
{
    (void)state;
    struct family grant;
    struct str answer;
    const struct str token = new_grant("openid stories", "s", &grant);
    assert_ok(introspect(token, &answer));
    const struct json *told = json_of(answer);
    assert_str(json_member(told, STR("scope"))->text, "openid stories");
    assert_str(json_member(told, STR("client_id"))->text, "app");
    assert_str(json_member(told, STR("sub"))->text, "ada");
    assert_str(json_member(told, STR("token_type"))->text, "Refresh");
    assert_str(json_member(told, STR("iss"))->text, "https://auth.test");
    assert_str(json_member(told, STR("aud"))->child->text, "app");
    assert_int_equal(json_member(told, STR("jti"))->text.len, 43);
    assert_int_equal(number_of(answer, "iat"), now_s);
    assert_int_equal(number_of(answer, "exp"), now_s + REFRESH_TTL_S);
    settings.refresh_idle_s = 100;
    assert_ok(introspect(new_grant("openid", "s", &grant), &answer));
    assert_int_equal(number_of(answer, "exp"), now_s + 100);
    settings.refresh_idle_s = 0;
}

static void one_is_good_as_long_as_its_client_could_use_it(void **state)
{
    (void)state;
    struct family grant;
    const struct str first = new_grant("openid", "s", &grant), second = used(first);
    assert_int_equal(code_of(first), ERR_OK); /* it brings its successor still */
    assert_int_equal(code_of(second), ERR_OK);
    now_s += GRACE_S + 1;
    assert_int_equal(code_of(first), ERR_INVALID_GRANT);
    assert_int_equal(grant_in_store(&grant).family.revoked_at, 0); /* nobody has used it */
    assert_int_equal(code_of(second), ERR_OK);
    now_s += REFRESH_TTL_S;
    assert_int_equal(code_of(second), ERR_INVALID_GRANT);
    now_s -= GRACE_S + 1 + REFRESH_TTL_S;
    for (size_t at = 0; at < first.len; at += 9)
        assert_int_equal(code_of(forged(second, at)), ERR_INVALID_GRANT);
    assert_int_equal(code_of(STR("")), ERR_INVALID_GRANT);
}

static void its_session_and_its_client_must_be_there(void **state)
{
    (void)state;
    struct family grant;
    const struct str ended = new_grant("openid", "ended", &grant);
    assert_int_equal(code_of(ended), ERR_OK);
    const struct str kept = new_grant("openid offline_access", "ended", &grant);
    revoke_session("ended");
    assert_int_equal(code_of(ended), ERR_INVALID_GRANT);
    assert_int_equal(code_of(kept), ERR_OK); /* which is what a logout leaves alone */
    revoke_session("offline:ended");
    assert_int_equal(code_of(kept), ERR_INVALID_GRANT);
    add_client("codes", "{\"grant_types\":[\"authorization_code\"]}");
    use_client("codes");
    assert_int_equal(code_of(new_grant("openid", "s", &grant)), ERR_INVALID_GRANT);
    client.id = STR("nobody"); /* a client that was deleted */
    const struct str orphan = new_grant("openid", "s", &grant);
    use_client("app");
    assert_int_equal(code_of(orphan), ERR_INVALID_GRANT);
    assert_int_equal(code_of(new_grant("openid", "s", &grant)), ERR_OK);
}

/* Of the built-in login: its file says whether the user may still do anything. */
static void its_user_must_not_be_disabled(void **state)
{
    static const struct {
        const char *subject, *rest;
        enum err_code code;
    } rows[] = { { "ada", "", ERR_OK },
                 { "ada", ",\"disabled\":true", ERR_INVALID_GRANT },
                 { "bob", "", ERR_INVALID_GRANT } };
    (void)state;
    struct family grant;
    const struct str token = new_grant("openid", "s", &grant);
    settings.users_file = "";
    for (size_t i = 0; i < COUNT(rows); i++) {
        write_text("users.json",
                   arena_printf(&arena, "[{\"subject\":\"%s\",\"username\":\"u\",\"password_hash\":\"" HASH "\"%s}]",
                                rows[i].subject, rows[i].rest),
                   0600);
        oauth.password_login = password_login_new(&settings);
        const enum err_code code = code_of(token);
        password_login_free(oauth.password_login);
        oauth.password_login = NULL;
        assert_row(code == rows[i].code, rows[i].subject);
    }
}

static struct err no_store(struct store *of, struct arena *out_arena, enum item_kind kind, const unsigned char id[32],
                           struct item *out)
{
    (void)of;
    (void)out_arena;
    (void)kind;
    (void)id;
    (void)out;
    return failed(ERR_UNAVAILABLE, "the store is away");
}

/* Neither answer would be true. */
static void what_is_not_known_is_no_answer(void **state)
{
    struct store_ops ops = *store->ops;
    const struct store_ops *const own = store->ops;
    (void)state;
    struct family grant;
    const struct str token = new_grant("openid", "s", &grant), broken = new_grant("openid", "s", &grant);
    ops.find_item = no_store;
    store->ops = &ops;
    const enum err_code asked = code_of(token), revoked = end_by(token, "", NULL).code;
    store->ops = own;
    assert_int_equal(asked, ERR_UNAVAILABLE);
    assert_int_equal(revoked, ERR_UNAVAILABLE);
    const struct grant there = grant_in_store(&grant);
    rewrite(&there.item, "{}");
    assert_int_equal(code_of(broken), ERR_INTERNAL);
    assert_int_equal(end_by(broken, "", NULL).code, ERR_INTERNAL);
}

static void its_client_ends_the_grant_by_any_token_of_it(void **state)
{
    (void)state;
    struct family grant;
    const struct str first = new_grant("openid", "s", &grant), second = used(first);
    now_s += GRACE_S + 1; /* a use of it would be a reuse now */
    assert_ok(end_by(first, "", NULL));
    now_s -= GRACE_S + 1;
    assert_memory_equal(revocation_among(call.always)->token_hash, grant_in_store(&grant).item.id, 32);
    assert_ok(keep(call.always));
    assert_str(grant_in_store(&grant).family.revocation_reason, "lost");
    assert_int_equal(code_of(second), ERR_INVALID_GRANT);
    assert_ok(end_by(second, "", NULL)); /* RFC 7009 section 2.2: no error */
    assert_ok(keep(call.always));
}

static void others_need_the_scope(void **state)
{
    static const struct bearer bearer = { .is_clients = true };
    (void)state;
    struct family grant;
    const struct str token = new_grant("openid", "s", &grant);
    use_client("other");
    assert_code(end_by(token, "token:revoke", NULL), ERR_INSUFFICIENT_SCOPE, "another client");
    assert_null(call.always);
    use_client("app");
    assert_code(end_by(token, "", &bearer), ERR_INSUFFICIENT_SCOPE, "its own client's token speaks for less");
    assert_null(call.always);
    use_client("other");
    assert_ok(end_by(token, "token:revoke:any", &bearer));
    assert_str(revocation_among(call.always)->revoked_by, "other");
    use_client("app");
}

static void a_forgery_ends_nothing(void **state)
{
    (void)state;
    struct family grant;
    const struct str token = new_grant("openid", "s", &grant);
    for (size_t at = 0; at < token.len; at += 7) {
        assert_code(end_by(forged(token, at), "token:revoke:any", NULL), ERR_NOT_FOUND, "a forgery");
        assert_null(call.always);
    }
    assert_int_equal(code_of(token), ERR_OK);
}

RUN_WITH(granting_begin, granting_finish, cmocka_unit_test(only_the_form_of_a_refresh_token_is_taken_for_one),
         cmocka_unit_test(a_good_one_is_described), cmocka_unit_test(one_is_good_as_long_as_its_client_could_use_it),
         cmocka_unit_test(its_session_and_its_client_must_be_there), cmocka_unit_test(its_user_must_not_be_disabled),
         cmocka_unit_test(what_is_not_known_is_no_answer),
         cmocka_unit_test(its_client_ends_the_grant_by_any_token_of_it), cmocka_unit_test(others_need_the_scope),
         cmocka_unit_test(a_forgery_ends_nothing))
