/* test_tokens.c: what comes of a grant: an access token and an id token that name it, never for more than was granted;
 * and the end of a grant, with all that came of it. */
#include "oauth/tokens.h"
#include "granting.h"
#include "jose/b64.h"

static struct err issue(const struct family *grant, const char *form, struct token_answer *answer)
{
    struct call call = call_with(form);
    struct token_request asked = request_of(&call);
    const struct str resource = form_value(&call.form, STR("resource"));
    if (resource.at)
        assert_ok(resources_add(&asked.resource, resource));
    *answer = (struct token_answer){ .retry_after_s = 0 };
    return tokens_issue(&asked, grant, STR("n1"), answer);
}

static void both_tokens_say_how_the_user_was_authenticated(void **state)
{
    (void)state;
    struct family grant;
    struct token_answer answer;
    unsigned char id[32];
    char parent[43];
    (void)new_grant("openid stories", "session-1", &grant);
    assert_ok(issue(&grant, "", &answer));
    family_row_id(grant.grant_id, id);
    b64url_encode(hash_str(id), parent);
    assert_true(str_eq(claim(answer.access.token, "parent_hash")->text, (struct str){ parent, sizeof parent }));
    assert_str(claim(answer.access.token, "parent_client_id")->text, "app");
    assert_str(claim(answer.access.token, "scope")->text, "openid stories");
    const struct str both[] = { answer.access.token, answer.id_token };
    for (size_t i = 0; i < COUNT(both); i++) {
        int64_t auth_time = 0;
        assert_str(claim(both[i], "sub")->text, "ada");
        assert_str(claim(both[i], "sid")->text, "session-1");
        assert_str(claim(both[i], "acr")->text, "1");
        assert_str(claim(both[i], "amr")->child->next->text, "otp");
        assert_true(json_int(claim(both[i], "auth_time"), 0, now_s, &auth_time) && auth_time == now_s - 7);
    }
    assert_str(claim(answer.id_token, "nonce")->text, "n1");
    assert_str(claim(answer.id_token, "aud")->text, "app");
    assert_int_equal(claim(answer.id_token, "at_hash")->text.len, 22);
    assert_int_equal(answer.access.lifetime_s, ACCESS_TTL_S);
}

/* OpenID Connect Core section 12.2. The identifiers were computed as those of test_pairwise.c. */
static void a_grant_gives_one_sub_or_none(void **state)
{
    static const char *const clients[] = {
        "{\"grant_types\":[\"authorization_code\"],\"redirect_uris\":[\"https://a.example/1\"]}",
        "{\"grant_types\":[\"authorization_code\"],\"redirect_uris\":[\"https://a.example/1\"],"
        "\"subject_type\":\"pairwise\"}",
        "{\"grant_types\":[\"authorization_code\"],\"redirect_uris\":[\"https://b.example/1\"],"
        "\"subject_type\":\"pairwise\"}",
    };
    static const char *const sectors[] = { "", "a.example", "b.example" };
    (void)state;
    for (size_t i = 0; i < COUNT(clients); i++) {
        struct family grant;
        struct token_answer answer;
        const char *const id = arena_printf(&arena, "client-%zu", i).at;
        settings.pairwise_salt = "0123456789abcdef0123456789abcdef";
        add_client(id, clients[i]);
        use_client(id);
        (void)new_grant("openid", "s", &grant);
        for (size_t each = 0; each < COUNT(sectors); each++) {
            grant.granted.sector = str_of(sectors[each]);
            assert_code(issue(&grant, "", &answer), each == i ? ERR_OK : ERR_INVALID_GRANT, sectors[each]);
        }
        grant.granted.sector = str_of(sectors[i]);
        assert_ok(issue(&grant, "", &answer));
        assert_str(claim(answer.access.token, "sub")->text, "ada");
        assert_row(str_eq(claim(answer.id_token, "sub")->text, STR("ada")) == (i == 0), sectors[i]);
        if (i == 1)
            assert_str(claim(answer.id_token, "sub")->text, "elfwwjP19CAlEeNxrbygQblGAmIMfAZQNz51GebWp88");
        settings.pairwise_salt = "";
        assert_code(issue(&grant, "", &answer), i == 0 ? ERR_OK : ERR_UNAUTHORIZED_CLIENT, "without a salt");
    }
    use_client("app");
}

static void without_openid_there_is_no_id_token(void **state)
{
    (void)state;
    struct family grant;
    struct token_answer answer;
    (void)new_grant("stories", "", &grant);
    assert_ok(issue(&grant, "", &answer));
    assert_null(answer.id_token.at);
    assert_null(claim(answer.access.token, "sid"));
    (void)new_grant("openid", "", &grant);
    assert_ok(issue(&grant, "", &answer));
    assert_non_null(answer.id_token.at);
}

/* RFC 6749 section 6, RFC 8707 section 2.2. */
static void a_request_gets_a_part_of_the_grant_and_never_more(void **state)
{
    static const struct {
        const char *form;
        enum err_code code;
        const char *scope, *aud;
    } rows[] = {
        { "", ERR_OK, "openid stories", "https://a.test/" },
        { "scope=stories", ERR_OK, "stories", "https://a.test/" },
        { "scope=stories+openid+stories", ERR_OK, "stories openid", "https://a.test/" },
        { "scope=profile", ERR_INVALID_SCOPE, NULL, NULL }, /* which the client may have, but not of this user */
        { "scope=stories+profile", ERR_INVALID_SCOPE, NULL, NULL },
        { "scope=Stories", ERR_INVALID_SCOPE, NULL, NULL },
        { "resource=https://b.test/", ERR_OK, "openid stories", "https://b.test/" },
        { "resource=https://c.test/", ERR_INVALID_TARGET, NULL, NULL },
        { "resource=https://api.test", ERR_INVALID_TARGET, NULL, NULL },
    };
    (void)state;
    struct family grant;
    (void)new_grant("openid stories", "s", &grant);
    grant.granted.resource = (struct resources){ { STR("https://a.test/"), STR("https://b.test/") }, 2 };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct token_answer answer;
        assert_code(issue(&grant, rows[i].form, &answer), rows[i].code, rows[i].form);
        if (rows[i].code)
            continue;
        assert_str(claim(answer.access.token, "scope")->text, rows[i].scope);
        const struct json *aud = claim(answer.access.token, "aud");
        assert_str((aud->kind == JSON_ARRAY ? aud->child : aud)->text, rows[i].aud);
    }
}

static struct family_terms terms_of(const char *id)
{
    use_client(id);
    struct call call = call_with("");
    const struct token_request asked = request_of(&call);
    const struct family_terms terms = tokens_terms(&asked);
    use_client("app");
    return terms;
}

static void a_clients_own_terms_come_before_the_settings(void **state)
{
    (void)state;
    settings.refresh_idle_s = 1000;
    add_client("strict", "{\"refresh_token_rotation\":false,\"refresh_token_grace\":0,\"refresh_token_idle\":50}");
    struct family_terms terms = terms_of("app");
    assert_str(terms.client_id, "app");
    assert_true(terms.rotates);
    assert_int_equal(terms.grace_s, GRACE_S);
    assert_int_equal(terms.idle_s, 1000);
    terms = terms_of("strict");
    assert_str(terms.client_id, "strict");
    assert_false(terms.rotates);
    assert_int_equal(terms.grace_s, 0);
    assert_int_equal(terms.idle_s, 50);
    settings.refresh_idle_s = 0;
}

/* One's clock judges what another's has written; but a client that wants none has none. */
static void instances_that_share_a_store_add_what_clocks_may_differ(void **state)
{
    struct store_ops ops = *store->ops;
    struct store shared = { &ops };
    struct call call = call_with("");
    const struct token_request asked = request_of(&call);
    (void)state;
    ops.is_shared = true;
    service.store = &shared;
    assert_int_equal(tokens_terms(&asked).grace_s, GRACE_S + settings.clock_skew_s);
    registered.refresh_token_grace_s = 0;
    assert_int_equal(tokens_terms(&asked).grace_s, 0);
    service.store = store;
    use_client("app");
}

static void an_ended_grant_is_over_with_all_that_came_of_it(void **state)
{
    (void)state;
    struct family grant;
    (void)new_grant("openid", "s", &grant);
    struct grant before = grant_in_store(&grant);
    struct call call = call_with("");
    assert_ok(tokens_end_grant(&call, before.item.id, STR("because")));
    const struct record *revocation = revocation_among(call.always);
    assert_memory_equal(revocation->token_hash, before.item.id, 32);
    assert_str(revocation->reason, "because");
    assert_str(revocation->revoked_by, "app");
    assert_true(revocation->expires_at > now_s + REFRESH_TTL_S); /* the longest that a key may have signed */
    assert_ok(keep(call.always));
    struct grant after = grant_in_store(&grant);
    assert_int_equal(after.family.revoked_at, now_s);
    assert_str(after.family.revocation_reason, "because");
    call = call_with("");
    assert_ok(tokens_end_grant(&call, before.item.id, STR("again"))); /* recorded again: memory is no disk */
    assert_non_null(revocation_among(call.always));
    assert_ok(keep(call.always));
    assert_str(grant_in_store(&grant).family.revocation_reason, "because");
    assert_int_equal(grant_in_store(&grant).item.version, after.item.version);
}

static void what_is_no_grant_any_more_is_still_revoked(void **state)
{
    static const unsigned char nothing[32] = { 9 };
    struct call call = call_with("");
    (void)state;
    assert_ok(tokens_end_grant(&call, nothing, STR("gone")));
    assert_memory_equal(revocation_among(call.always)->token_hash, nothing, 32);
    assert_null(call.always->next);
    assert_ok(keep(call.always));
}

/* Its row takes 64 bytes; a longer one must not make it unreadable. */
static void a_long_reason_leaves_the_row_readable(void **state)
{
    (void)state;
    struct family grant;
    (void)new_grant("openid", "s", &grant);
    struct call call = call_with("");
    const struct str reason = arena_printf(&arena, "%0200d", 0);
    assert_ok(tokens_end_grant(&call, grant_in_store(&grant).item.id, reason));
    assert_true(str_eq(revocation_among(call.always)->reason, reason));
    assert_ok(keep(call.always));
    assert_str(grant_in_store(&grant).family.revocation_reason, "revoked");
}

static void two_who_end_a_grant_at_once_agree(void **state)
{
    (void)state;
    struct family grant;
    (void)new_grant("openid", "s", &grant);
    const struct grant before = grant_in_store(&grant);
    struct call one = call_with(""), other = call_with("");
    assert_ok(tokens_end_grant(&one, before.item.id, STR("one")));
    assert_ok(tokens_end_grant(&other, before.item.id, STR("other")));
    assert_ok(keep(one.always));
    assert_code(keep(other.always), ERR_CONFLICT, "who was slower runs again");
    assert_str(grant_in_store(&grant).family.revocation_reason, "one");
}

RUN_WITH(granting_begin, granting_finish, cmocka_unit_test(both_tokens_say_how_the_user_was_authenticated),
         cmocka_unit_test(a_grant_gives_one_sub_or_none), cmocka_unit_test(without_openid_there_is_no_id_token),
         cmocka_unit_test(a_request_gets_a_part_of_the_grant_and_never_more),
         cmocka_unit_test(a_clients_own_terms_come_before_the_settings),
         cmocka_unit_test(instances_that_share_a_store_add_what_clocks_may_differ),
         cmocka_unit_test(an_ended_grant_is_over_with_all_that_came_of_it),
         cmocka_unit_test(what_is_no_grant_any_more_is_still_revoked),
         cmocka_unit_test(a_long_reason_leaves_the_row_readable), cmocka_unit_test(two_who_end_a_grant_at_once_agree))
