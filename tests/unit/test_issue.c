/* test_issue.c: token_issue() for those who are not the JSON call: a grant, which names no caller; and what limits a
 * caller that does. (The call itself: tests/integration/test_issue.py and test_authority.py.) */
#include "service/issue.h"
#include "keys.h"
#include "revocation/revocations.h"
#include "revocation/rule.h"
#include "service/call.h"
#include "service/client_metadata.h"
#include "service/service.h"
#include <time.h>

#define NOW begun_at /* no rule comes from a clock that is ahead of this machine's */

static struct service service;
static int64_t begun_at;
static const struct client client = {
    .id = { "app", 3 }, .scopes = { "a b token:issue", 15 }, .is_active = true, .access_ttl_s = 600
};

static int begin(void **state)
{
    if (keys_begin(state))
        return -1;
    begun_at = (int64_t)time(NULL);
    settings.records = RECORDS_GRANTS;
    settings.issuer = "https://auth.test";
    settings.privileged_claims = "";
    settings.token_max_bytes = 4096;
    settings.access_ttl_max_s = settings.id_ttl_s = settings.id_ttl_max_s = 3600;
    settings.refresh_ttl_s = settings.refresh_ttl_max_s = 7200;
    service = (struct service){ .settings = &settings,
                                .store = store,
                                .signer = signer,
                                .keyring = ring,
                                .revocations = revocations_new(&settings, store, NULL, ring),
                                .audience = STR("https://api.test") };
    return 0;
}

static int finish(void **state)
{
    revocations_close(service.revocations);
    return keys_finish(state);
}

/* What a code grant asks for. */
static struct issue granted(enum token_kind kind)
{
    return (struct issue){ .kind = kind,
                           .priority = SIGN_INTERACTIVE,
                           .client = &client,
                           .subject = STR("user-1"),
                           .scope = STR("b  a b"),
                           .auth_time = -1,
                           .now_s = NOW,
                           .request_id = STR("test") };
}

static const struct json *json_of(const char *text)
{
    const struct json *json = NULL;
    assert_ok(json_parse(&arena, str_of(text), &json));
    return json;
}

static struct err issue(const struct issue *asked, struct issued *out)
{
    *out = (struct issued){ .record = NULL };
    return token_issue(&service, &arena, asked, out);
}

static const struct json *claim(const struct issued *issued, const char *name)
{
    return json_member(json_of(arena_copy(&arena, issued->payload).at), str_of(name));
}

static void a_grant_needs_no_caller(void **state)
{
    (void)state;
    struct issue asked = granted(TOKEN_ACCESS);
    struct issued issued;
    asked.sid = STR("session-1");
    asked.auth_time = NOW - 5;
    assert_ok(issue(&asked, &issued));
    assert_str(issued.scope, "b a");
    assert_int_equal(issued.lifetime_s, 600);
    assert_int_equal(issued.expires_at, NOW + 600);
    assert_int_equal(issued.retry_after_s, 0);
    assert_null(issued.record); /* TOKEN_RECORDS: refresh tokens alone */
    assert_str(claim(&issued, "sid")->text, "session-1");
    assert_str(claim(&issued, "scope")->text, "b a");
    assert_str(claim(&issued, "sub")->text, "user-1");
    assert_int_equal(claim(&issued, "aud")->count, 2);
    assert_null(claim(&issued, "parent_hash"));
}

static void a_refresh_token_has_a_record_that_others_can_follow(void **state)
{
    (void)state;
    const struct issue asked = granted(TOKEN_REFRESH);
    struct issued issued;
    assert_ok(issue(&asked, &issued));
    assert_non_null(issued.record);
    assert_null(issued.record->next);
    assert_int_equal(issued.record->token_kind, TOKEN_REFRESH);
    assert_int_equal(issued.record->expires_at, NOW + 7200);
    assert_str(issued.record->audience, "[\"app\",\"https://auth.test\"]");
    assert_str(issued.record->subject, "user-1");
}

static void an_id_token_has_its_nonce_and_is_for_its_client(void **state)
{
    (void)state;
    struct issue asked = granted(TOKEN_ID);
    struct issued issued;
    asked.nonce = STR("n");
    asked.custom = json_of("{\"acr\":\"2\",\"amr\":[\"pwd\"]}"); /* privileged, but a grant may */
    assert_ok(issue(&asked, &issued));
    assert_str(claim(&issued, "nonce")->text, "n");
    assert_str(claim(&issued, "aud")->text, "app");
    assert_str(claim(&issued, "acr")->text, "2");
}

/* The values are those of test_pairwise.c. */
static void of_a_pairwise_client_an_id_token_alone_names_the_user_otherwise(void **state)
{
    static const struct client pairwise = {
        .id = ROW("app"),
        .scopes = ROW("a b"),
        .is_active = true,
        .metadata = ROW("{\"subject_type\":\"pairwise\",\"redirect_uris\":[\"https://a.example/cb\"]}")
    };
    static const enum token_kind kinds[] = { TOKEN_ACCESS, TOKEN_REFRESH, TOKEN_ID };
    struct client_metadata registered;
    struct issued issued;
    (void)state;
    client_metadata_read(&arena, pairwise.metadata, false, &registered);
    settings.pairwise_salt = "0123456789abcdef0123456789abcdef";
    for (size_t i = 0; i < 2 * COUNT(kinds); i++) {
        struct issue asked = granted(kinds[i / 2]);
        struct client changed = pairwise;
        changed.registered = i % 2 ? &registered : NULL; /* it is read, if memory has not read it */
        asked.client = &changed;
        asked.sid = STR("session-1");
        assert_ok(issue(&asked, &issued));
        const bool is_id = asked.kind == TOKEN_ID;
        assert_str(claim(&issued, "sub")->text, is_id ? "kWOsUqTuaohLALZJIrM4pQbv9xIhNknAnVqrO_YFWRM" : "user-1");
        assert_str(claim(&issued, "sid")->text, is_id ? "4DMHmTKhuvgMFSIgK-9vNcO7A8YTQW-Ce_bazK0_I3c" : "session-1");
        assert_true(!is_id || !memmem(issued.payload.at, issued.payload.len, "user-1", 6));
        assert_true(is_id == (claim(&issued, "sealed_rules") != NULL)); /* so that rules reach it all the same */
    }
    settings.pairwise_salt = "";
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct issue asked = granted(kinds[i]);
        asked.client = &pairwise;
        assert_code(issue(&asked, &issued), kinds[i] == TOKEN_ID ? ERR_UNAUTHORIZED_CLIENT : ERR_OK, "without a salt");
    }
}

/* Rules go by the platform's subject, also of a token that will not show it. */
static void a_rule_refuses_an_id_token_that_does_not_name_its_user(void **state)
{
    static const struct client pairwise = {
        .id = ROW("app"),
        .scopes = ROW("a b"),
        .is_active = true,
        .metadata = ROW("{\"subject_type\":\"pairwise\",\"redirect_uris\":[\"https://a.example/cb\"]}")
    };
    struct issue asked = granted(TOKEN_ID);
    struct issued issued;
    struct record rule = {
        .kind = RECORD_REVOCATION, .revokes = REVOKED_SUBJECT, .before = NOW, .expires_at = NOW + 9999, .issued_at = NOW
    };
    uint64_t announced = 0;
    (void)state;
    settings.pairwise_salt = "0123456789abcdef0123456789abcdef";
    asked.client = &pairwise;
    asked.subject = STR("user-2");
    assert_ok(issue(&asked, &issued));
    rule_hash(REVOKED_SUBJECT, STR("user-2"), rule.token_hash);
    assert_ok(revocations_make(service.revocations, &rule, &announced));
    assert_code(issue(&asked, &issued), ERR_UNAVAILABLE, "its user's tokens are revoked");
    settings.pairwise_salt = "";
}

/* Each row is good but for one thing. */
static void what_a_grant_may_not_have(void **state)
{
    (void)state;
    const struct str elsewhere = STR("https://elsewhere.test");
    const struct {
        const char *text;
        enum err_code code;
        const char *scope, *custom, *sid;
        const struct str *audience;
        int64_t lifetime_s, auth_time;
    } rows[] = {
        { "all of it good", ERR_OK, "a", "{\"x\":1}", "s", NULL, 600, NOW },
        { "a scope that the client lacks", ERR_INVALID_SCOPE, "a c", NULL, NULL, NULL, 0, -1 },
        { "a scope of this service", ERR_INVALID_SCOPE, "a token:issue", NULL, NULL, NULL, 0, -1 },
        { "the role admin", ERR_INSUFFICIENT_SCOPE, "a", "{\"role\":\"admin\"}", NULL, NULL, 0, -1 },
        { "a claim of the service's own", ERR_INVALID_REQUEST, "a", "{\"iss\":\"x\"}", NULL, NULL, 0, -1 },
        { "two sessions", ERR_INVALID_REQUEST, "a", "{\"sid\":\"t\"}", "s", NULL, 0, -1 },
        { "an audience of nobody here", ERR_INVALID_TARGET, "a", NULL, NULL, &elsewhere, 0, -1 },
        { "longer than the client's", ERR_INVALID_REQUEST, "a", NULL, NULL, NULL, 601, -1 },
        { "a login to come", ERR_INVALID_REQUEST, "a", NULL, NULL, NULL, 0, NOW + 1 },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct issue asked = granted(TOKEN_ACCESS);
        struct issued issued;
        asked.scope = str_of(rows[i].scope);
        asked.custom = rows[i].custom ? json_of(rows[i].custom) : NULL;
        asked.sid = str_of(rows[i].sid);
        asked.audience = rows[i].audience;
        asked.audience_count = rows[i].audience != NULL;
        asked.lifetime_s = rows[i].lifetime_s;
        asked.auth_time = rows[i].auth_time;
        assert_code(issue(&asked, &issued), rows[i].code, rows[i].text);
    }
}

static void a_caller_limits_what_it_has_issued(void **state)
{
    (void)state;
    const struct str aud = STR("https://api.test");
    const struct bearer bearer = { .exp = NOW + 60, .aud = &aud, .aud_count = 1, .is_clients = true };
    const struct caller caller = {
        .client_id = STR("app"), .scopes = client.scopes, .token_scopes = STR("a token:issue"), .bearer = &bearer
    };
    struct issue asked = granted(TOKEN_ACCESS);
    struct issued issued;
    asked.authority = &caller;
    assert_code(issue(&asked, &issued), ERR_INVALID_SCOPE, "a scope that its token lacks");
    asked.scope = STR("a token:issue");
    asked.custom = json_of("{\"acr\":\"2\"}");
    assert_code(issue(&asked, &issued), ERR_INSUFFICIENT_SCOPE, "a privileged claim");
    asked.custom = NULL;
    assert_ok(issue(&asked, &issued));
    assert_int_equal(issued.lifetime_s, 60);
    assert_int_equal(claim(&issued, "aud")->count, 1);
    assert_str(claim(&issued, "parent_client_id")->text, "app");
}

/* A session that was revoked is found where the grant names it, too. */
static void a_rule_refuses_the_session_of_a_grant(void **state)
{
    (void)state;
    struct issue asked = granted(TOKEN_ACCESS);
    struct issued issued;
    struct record rule = {
        .kind = RECORD_REVOCATION, .revokes = REVOKED_SESSION, .before = NOW, .expires_at = NOW + 9999, .issued_at = NOW
    };
    uint64_t announced = 0;
    rule_hash(REVOKED_SESSION, STR("session-2"), rule.token_hash);
    assert_ok(revocations_make(service.revocations, &rule, &announced));
    asked.sid = STR("session-1");
    assert_ok(issue(&asked, &issued));
    asked.sid = STR("session-2");
    const struct err err = issue(&asked, &issued);
    assert_true(err.code == ERR_UNAVAILABLE && issued.retry_after_s == 1);
}

RUN_WITH(begin, finish, cmocka_unit_test(a_grant_needs_no_caller),
         cmocka_unit_test(a_refresh_token_has_a_record_that_others_can_follow),
         cmocka_unit_test(an_id_token_has_its_nonce_and_is_for_its_client),
         cmocka_unit_test(of_a_pairwise_client_an_id_token_alone_names_the_user_otherwise),
         cmocka_unit_test(a_rule_refuses_an_id_token_that_does_not_name_its_user),
         cmocka_unit_test(what_a_grant_may_not_have), cmocka_unit_test(a_caller_limits_what_it_has_issued),
         cmocka_unit_test(a_rule_refuses_the_session_of_a_grant))
