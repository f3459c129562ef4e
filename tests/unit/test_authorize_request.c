/* test_authorize_request.c: what an authorization request may ask, parameter by parameter; which faults are told to the
 * client and with which code; and that a request which is kept comes back the same. */
#include "oauth/authorize_request.h"
#include "oauth/claims_request.h"
#include "service/message.h"
#include "unit.h"

#define CHALLENGE "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
#define PARTY "client_id=c&redirect_uri=https://a.example/cb"
#define BASE PARTY "&response_type=code"
#define S256 "&code_challenge=" CHALLENGE "&code_challenge_method=S256"

static struct form form_of(struct str query)
{
    struct form form;
    assert_ok(form_read_all(&arena, query, &form));
    return form;
}

static struct authorize_fault read_as(const char *query, bool requires_pkce, struct authorize_request *out)
{
    const struct form form = form_of(str_of(query));
    return authorize_request_read(&arena, &form, requires_pkce, out);
}

static struct authorize_request good(const char *query)
{
    struct authorize_request request;
    const struct authorize_fault fault = read_as(query, false, &request);
    if (fault.error)
        print_error("%s: %s: %s\n", query, fault.error, fault.why);
    assert_null(fault.error);
    return request;
}

/* A sentence of ours: of the characters that error_description may have (RFC 6749 section 4.1.2.1). */
static void assert_fault(struct authorize_fault fault, const char *error, const char *row)
{
    if (!fault.error || strcmp(fault.error, error) != 0)
        print_error("%s: got %s, expected %s\n", row, fault.error ? fault.error : "no fault", error);
    assert_string_equal(fault.error ? fault.error : "", error);
    for (const char *at = fault.why; *at; at++)
        assert_row(*at >= ' ' && *at <= '~' && *at != '"' && *at != '\\', fault.why);
}

/* --- who asks ----------------------------------------------------------------------------------------------------- */

static void a_request_without_a_client_and_a_place_to_answer_goes_to_a_page(void **state)
{
    static const char *const bad[] = {
        "",
        "redirect_uri=https://a.example/cb",
        "client_id=&redirect_uri=https://a.example/cb",
        "client_id=c",
        "client_id=c&redirect_uri=",
        "client_id=c&client_id=c&redirect_uri=https://a.example/cb",
        "client_id=c&client_id=&redirect_uri=https://a.example/cb",
        "client_id=c&redirect_uri=a:b&redirect_uri=a:b",
        "client_id=c&redirect_uri=a:b&redirect_uri",
        "client_id=c&request=x&request=y",
        "Client_id=c&redirect_uri=https://a.example/cb",
    };
    struct authorize_party party;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        const struct form form = form_of(str_of(bad[i]));
        assert_code(authorize_request_party(&form, &party), ERR_INVALID_REQUEST, bad[i]);
    }
    struct form form = form_of(arena_printf(&arena, "client_id=%0256d&redirect_uri=a:b", 0));
    assert_code(authorize_request_party(&form, &party), ERR_INVALID_REQUEST, "a long id");
    form = form_of(arena_printf(&arena, "client_id=c&redirect_uri=a:%02047d", 0));
    assert_code(authorize_request_party(&form, &party), ERR_INVALID_REQUEST, "a long URI");
}

static void who_asks_is_told_as_it_came(void **state)
{
    struct authorize_party party;
    struct form form = form_of(STR("redirect_uri=https%3A%2F%2Fa.example%2Fcb%3Fx&scope=a&scope=b&client_id=c%20d"));
    (void)state;
    assert_ok(authorize_request_party(&form, &party));
    assert_str(party.client_id, "c d");
    assert_str(party.redirect_uri, "https://a.example/cb?x");
    assert_null(party.request.at);
    form = form_of(STR("client_id=c&request=a.b.c"));
    assert_ok(authorize_request_party(&form, &party));
    assert_null(party.redirect_uri.at);
    assert_str(party.request, "a.b.c");
}

/* --- what is asked ------------------------------------------------------------------------------------------------ */

static void everything_that_is_asked_is_read(void **state)
{
    const struct authorize_request got = good(
        BASE S256 "&state=s%26t&nonce=n&scope=openid+email&login_hint=a%40b&acr_values=1+2&ui_locales=de+en"
                  "&claims_locales=fr&id_token_hint=a.b.c&display=popup&prompt=login+consent&max_age=0"
                  "&response_mode=form_post&resource=https://r.example/1&resource=urn:r&resource=urn:r"
                  "&claims=%7B%22userinfo%22%3A%7B%22name%22%3Anull%7D%7D&extra=foobar&registration=&request=");
    struct claim_request asked;
    (void)state;
    assert_str(got.client_id, "c");
    assert_str(got.redirect_uri, "https://a.example/cb");
    assert_int_equal(got.response_mode, RESPONSE_FORM_POST);
    assert_str(got.state, "s&t");
    assert_str(got.nonce, "n");
    assert_str(got.scope, "openid email");
    assert_str(got.code_challenge, CHALLENGE);
    assert_str(got.login_hint, "a@b");
    assert_str(got.acr_values, "1 2");
    assert_str(got.ui_locales, "de en");
    assert_str(got.claims_locales, "fr");
    assert_str(got.id_token_hint, "a.b.c");
    assert_int_equal(got.display, DISPLAY_POPUP);
    assert_int_equal(got.prompt, PROMPT_LOGIN | PROMPT_CONSENT);
    assert_int_equal(got.max_age_s, 0);
    assert_int_equal(got.resource.count, 2);
    assert_str(got.resource.of[0], "https://r.example/1");
    assert_true(claims_request_find(got.claims, STR("userinfo"), STR("name"), &asked));
}

static void what_is_not_asked_is_absent(void **state)
{
    const struct authorize_request got = good(BASE "&state=&nonce&prompt=&max_age=&claims=&resource=&display=hologram");
    (void)state;
    assert_int_equal(got.response_mode, RESPONSE_QUERY);
    assert_null(got.state.at);
    assert_null(got.nonce.at);
    assert_null(got.scope.at);
    assert_null(got.code_challenge.at);
    assert_null(got.claims);
    assert_int_equal(got.resource.count, 0);
    assert_int_equal(got.prompt, 0);
    assert_int_equal(got.display, DISPLAY_PAGE);
    assert_int_equal(got.max_age_s, -1);
}

static void a_fault_is_told_to_the_client_by_its_own_code(void **state)
{
    static const struct {
        const char *query, *error;
    } rows[] = {
        { PARTY, "invalid_request" }, /* no response_type */
        { PARTY "&response_type=token", "unsupported_response_type" },
        { PARTY "&response_type=code+id_token", "unsupported_response_type" },
        { PARTY "&response_type=id_token", "unsupported_response_type" },
        { PARTY "&response_type=Code", "unsupported_response_type" },
        { PARTY "&response_type=code+", "unsupported_response_type" },
        { BASE "&response_mode=fragment", "invalid_request" },
        { BASE "&response_mode=Query", "invalid_request" },
        { BASE "&response_mode=query.jwt", "invalid_request" },
        { BASE "&response_mode=web_message", "invalid_request" },
        { BASE "&request=a.b.c", "request_not_supported" },
        { BASE "&request_uri=https://a.example/r", "request_uri_not_supported" },
        { BASE "&request_uri=urn:x", "request_uri_not_supported" },
        { BASE "&registration={}", "registration_not_supported" },
        { BASE "&prompt=none+login", "invalid_request" },
        { BASE "&prompt=consent+none", "invalid_request" },
        { BASE "&prompt=None", "invalid_request" },
        { BASE "&prompt=create", "invalid_request" },
        { BASE "&prompt=login,consent", "invalid_request" },
        { BASE "&max_age=-1", "invalid_request" },
        { BASE "&max_age=1.5", "invalid_request" },
        { BASE "&max_age=1e3", "invalid_request" },
        { BASE "&max_age=+1", "invalid_request" },
        { BASE "&max_age=2147483648", "invalid_request" },
        { BASE "&max_age=x", "invalid_request" },
        { BASE "&claims={", "invalid_request" },
        { BASE "&claims=[]", "invalid_request" },
        { BASE "&claims={\"id_token\":[]}", "invalid_request" },
        { BASE "&scope=a%22b", "invalid_scope" },
        { BASE "&scope=a%5Cb", "invalid_scope" },
        { BASE "&scope=%C3%A4", "invalid_scope" },
        { BASE "&scope=a%0Ab", "invalid_request" },
        { BASE "&state=a%0D%0Ab", "invalid_request" },
        { BASE "&nonce=a%7Fb", "invalid_request" },
        { BASE "&resource=https://r.example/%23x", "invalid_target" },
        { BASE "&resource=/r", "invalid_target" },
        { BASE "&resource=urn:a&resource=b", "invalid_target" },
        { BASE "&code_challenge=" CHALLENGE, "invalid_request" }, /* plain */
        { BASE "&code_challenge=" CHALLENGE "&code_challenge_method=plain", "invalid_request" },
        { BASE "&code_challenge_method=S256", "invalid_request" },
        { BASE "&code_challenge=x&code_challenge_method=S256", "invalid_request" },
        { BASE "&scope=a&scope=b", "invalid_request" },
        { BASE "&scope=a&scope=a", "invalid_request" },
        { BASE "&nonce=&nonce=x", "invalid_request" },
        { BASE "&response_type=code", "invalid_request" },
        { BASE "&unknown=a&unknown=b", "invalid_request" },
        { BASE "&claims={}&claims={}", "invalid_request" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct authorize_request request;
        char *copy = exactly(str_of(rows[i].query));
        const struct form form = form_of((struct str){ copy, strlen(rows[i].query) });
        assert_fault(authorize_request_read(&arena, &form, false, &request), rows[i].error, rows[i].query);
        free(copy);
    }
}

static void pkce_is_missed_only_where_it_is_required(void **state)
{
    struct authorize_request request;
    (void)state;
    assert_null(read_as(BASE, false, &request).error);
    assert_fault(read_as(BASE, true, &request), "invalid_request", "without");
    assert_null(read_as(BASE S256, true, &request).error);
}

static void texts_are_bounded(void **state)
{
    static const struct {
        const char *name;
        int max;
    } rows[] = { { "state", AUTHORIZE_STATE_MAX },
                 { "nonce", AUTHORIZE_NONCE_MAX },
                 { "scope", 2048 },
                 { "login_hint", 512 },
                 { "acr_values", 512 },
                 { "ui_locales", 512 },
                 { "claims_locales", 512 },
                 { "id_token_hint", 8192 } };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct authorize_request request;
        const char *name = rows[i].name;
        assert_null(read_as(arena_printf(&arena, BASE "&%s=%0*d", name, rows[i].max, 0).at, false, &request).error);
        assert_fault(read_as(arena_printf(&arena, BASE "&%s=%0*d", name, rows[i].max + 1, 0).at, false, &request),
                     "invalid_request", name);
    }
    struct buf many;
    struct authorize_request request;
    buf_init(&many, &arena, 1024, 65536);
    buf_add(&many, STR(BASE));
    for (int i = 0; i < RESOURCES_MAX; i++)
        buf_add(&many, arena_printf(&arena, "&resource=urn:%d", i));
    assert_null(read_as(arena_copy(&arena, buf_str(&many)).at, false, &request).error);
    buf_add(&many, STR("&resource=urn:8"));
    assert_fault(read_as(arena_copy(&arena, buf_str(&many)).at, false, &request), "invalid_target", "9 resources");
}

/* With whatever else is wrong, the answer finds its way. */
static void a_fault_is_answered_in_the_way_and_with_the_state_that_were_asked_for(void **state)
{
    static const struct {
        const char *query;
        enum response_mode mode;
        const char *state; /* NULL: none */
    } rows[] = {
        { PARTY "&state=s", RESPONSE_QUERY, "s" },
        { PARTY "&state=s&response_mode=form_post", RESPONSE_FORM_POST, "s" },
        { PARTY "&response_mode=form_post", RESPONSE_FORM_POST, NULL },
        { BASE "&state=s&response_mode=fragment", RESPONSE_QUERY, "s" },
        { BASE "&state=s&response_mode=form_post&response_mode=query", RESPONSE_QUERY, "s" },
        { BASE "&state=s&state=t&response_mode=form_post", RESPONSE_FORM_POST, NULL },
        { BASE "&state=s&state=", RESPONSE_QUERY, NULL },
        { BASE "&state=a%0Ab", RESPONSE_QUERY, NULL },
        { BASE "&state=s&request=a.b.c&response_mode=form_post", RESPONSE_FORM_POST, "s" },
        { BASE "&state=s&scope=%22", RESPONSE_QUERY, "s" },
        { BASE "&state=s&claims=x", RESPONSE_QUERY, "s" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct authorize_request request;
        assert_row(read_as(rows[i].query, false, &request).error != NULL, rows[i].query);
        assert_row(request.response_mode == rows[i].mode, rows[i].query);
        assert_row(rows[i].state ? str_eq(request.state, str_of(rows[i].state)) : request.state.at == NULL,
                   rows[i].query);
    }
    struct authorize_request request;
    const char *long_state = arena_printf(&arena, BASE "&state=%0*d", AUTHORIZE_STATE_MAX + 1, 0).at;
    assert_fault(read_as(long_state, false, &request), "invalid_request", "a long state");
    assert_null(request.state.at);
}

/* --- as JSON ------------------------------------------------------------------------------------------------------ */

static struct str written(const struct authorize_request *request)
{
    struct buf out;
    buf_init(&out, &arena, 256, 65536);
    assert_ok(authorize_request_write(request, &out));
    return buf_str(&out);
}

static struct err restore(struct str text, struct authorize_request *out)
{
    const struct json *json;
    assert_ok(json_parse(&arena, text, &json));
    return authorize_request_restore(json, out);
}

static void a_request_comes_back_as_it_was_kept(void **state)
{
    static const char *const queries[] = {
        BASE,
        BASE S256 "&state=%22%5C%C3%A4&nonce=n&scope=openid+email&login_hint=a%40b&acr_values=1+2&ui_locales=de+en"
                  "&claims_locales=fr&display=wap&prompt=none&max_age=2147483647&response_mode=form_post"
                  "&resource=https://r.example/1&resource=urn:r&claims=%7B%22id_token%22%3A%7B%22acr%22%3A%7B"
                  "%22values%22%3A%5B%221%22%5D%7D%7D%7D",
        BASE "&prompt=login+consent+select_account&max_age=0&claims={}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(queries); i++) {
        const struct authorize_request request = good(queries[i]);
        struct authorize_request back;
        const struct str text = written(&request);
        assert_ok(restore(text, &back));
        assert_true(str_eq(written(&back), text));
        assert_true(str_eq(back.state, request.state) && str_eq(back.nonce, request.nonce));
        assert_true(str_eq(back.scope, request.scope) && str_eq(back.code_challenge, request.code_challenge));
        assert_true(str_eq(back.client_id, request.client_id) && str_eq(back.redirect_uri, request.redirect_uri));
        assert_int_equal(back.response_mode, request.response_mode);
        assert_int_equal(back.prompt, request.prompt);
        assert_int_equal(back.display, request.display);
        assert_int_equal(back.max_age_s, request.max_age_s);
        assert_int_equal(back.resource.count, request.resource.count);
        assert_true((back.claims != NULL) == (request.claims != NULL));
    }
}

static void a_token_is_not_kept(void **state)
{
    const struct authorize_request request = good(BASE "&id_token_hint=secret.token.hint");
    const struct str text = written(&request);
    (void)state;
    assert_null(memmem(text.at, text.len, "hint", 4));
}

static void what_was_not_written_here_is_not_restored(void **state)
{
#define KEPT(more) "{\"client_id\":\"c\",\"redirect_uri\":\"a:b\"" more "}"
#define NUMBERS ",\"response_mode\":0,\"prompt\":0,\"display\":0"
    static const char *const bad[] = {
        "null",
        "[]",
        "{}",
        KEPT(""),
        "{\"client_id\":\"c\"" NUMBERS "}",
        "{\"redirect_uri\":\"a:b\"" NUMBERS "}",
        "{\"client_id\":\"\",\"redirect_uri\":\"a:b\"" NUMBERS "}",
        KEPT(",\"response_mode\":2,\"prompt\":0,\"display\":0"),
        KEPT(",\"response_mode\":0,\"prompt\":3,\"display\":0"),
        KEPT(",\"response_mode\":0,\"prompt\":16,\"display\":0"),
        KEPT(",\"response_mode\":0,\"prompt\":-1,\"display\":0"),
        KEPT(",\"response_mode\":0,\"prompt\":0,\"display\":4"),
        KEPT(",\"response_mode\":\"query\",\"prompt\":0,\"display\":0"),
        KEPT(NUMBERS ",\"state\":1"),
        KEPT(NUMBERS ",\"state\":null"),
        KEPT(NUMBERS ",\"state\":\"a\\nb\""),
        KEPT(NUMBERS ",\"scope\":\"a\\\"b\""),
        KEPT(NUMBERS ",\"max_age\":-1"),
        KEPT(NUMBERS ",\"max_age\":\"1\""),
        KEPT(NUMBERS ",\"resource\":\"urn:a\""),
        KEPT(NUMBERS ",\"resource\":[1]"),
        KEPT(NUMBERS ",\"resource\":[\"/a\"]"),
        KEPT(NUMBERS ",\"claims\":[]"),
        KEPT(NUMBERS ",\"claims\":{\"userinfo\":1}"),
    };
    struct authorize_request request;
    (void)state;
    assert_ok(restore(STR(KEPT(NUMBERS)), &request));
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_code(restore(str_of(bad[i]), &request), ERR_INTERNAL, bad[i]);
}

static void what_is_kept_is_bounded(void **state)
{
    struct authorize_request request = good(BASE);
    struct buf out;
    char *large = arena_alloc(&arena, AUTHORIZE_WRITTEN_MAX);
    (void)state;
    memset(large, 'x', AUTHORIZE_WRITTEN_MAX);
    request.state = (struct str){ large, AUTHORIZE_WRITTEN_MAX };
    buf_init(&out, &arena, 256, 65536);
    assert_code(authorize_request_write(&request, &out), ERR_TOO_LARGE, "by its own bound");
    request.state.len = 100;
    buf_init(&out, &arena, 64, 64);
    assert_code(authorize_request_write(&request, &out), ERR_TOO_LARGE, "by the buffer's");
}

RUN(TEST(a_request_without_a_client_and_a_place_to_answer_goes_to_a_page), TEST(who_asks_is_told_as_it_came),
    TEST(everything_that_is_asked_is_read), TEST(what_is_not_asked_is_absent),
    TEST(a_fault_is_told_to_the_client_by_its_own_code), TEST(pkce_is_missed_only_where_it_is_required),
    TEST(texts_are_bounded), TEST(a_fault_is_answered_in_the_way_and_with_the_state_that_were_asked_for),
    TEST(a_request_comes_back_as_it_was_kept), TEST(a_token_is_not_kept),
    TEST(what_was_not_written_here_is_not_restored), TEST(what_is_kept_is_bounded))
