/* test_request_object.c: a request object asks what a query would, for the client that sent it alone. */
#include "oauth/request_object.h"
#include "oauth/claims_request.h"
#include "service/message.h"
#include "unit.h"

#define PARTY "\"client_id\":\"c\",\"redirect_uri\":\"https://a.example/cb\",\"response_type\":\"code\""

static struct authorize_fault read(const char *text, struct form *out)
{
    const struct json *object;
    assert_ok(json_parse(&arena, str_of(text), &object));
    return request_object_form(&arena, object, STR("c"), out);
}

static void it_asks_what_a_query_would(void **state)
{
    struct form form;
    struct authorize_party party;
    struct authorize_request request;
    struct claim_request asked;
    (void)state;
    assert_null(read("{\"iss\":\"c\",\"aud\":[\"https://issuer.example\"],\"exp\":2000000000,\"jti\":{}," PARTY
                     ",\"state\":\"s\",\"scope\":\"openid\",\"max_age\":15000,\"response_mode\":\"form_post\","
                     "\"resource\":[\"urn:a\",\"urn:b\"],\"claims\":{\"id_token\":{\"acr\":{\"value\":\"1\"}}}}",
                     &form)
                    .error);
    assert_ok(authorize_request_party(&form, &party));
    assert_str(party.redirect_uri, "https://a.example/cb");
    assert_null(authorize_request_read(&arena, &form, false, &request).error);
    assert_str(request.state, "s");
    assert_int_equal(request.max_age_s, 15000);
    assert_int_equal(request.response_mode, RESPONSE_FORM_POST);
    assert_int_equal(request.resource.count, 2);
    assert_true(claims_request_find(request.claims, STR("id_token"), STR("acr"), &asked));
    assert_int_equal(form_count(&form, STR("iss")), 0); /* a claim of the object, no parameter */
}

static void a_client_that_is_not_named_is_the_one_that_sent_it(void **state)
{
    struct form form;
    (void)state;
    assert_null(read("{\"redirect_uri\":\"a:b\",\"resource\":\"urn:a\"}", &form).error);
    assert_str(form_value(&form, STR("client_id")), "c");
    assert_str(form_value(&form, STR("resource")), "urn:a");
}

static void an_object_that_is_not_its_own_or_no_request_is_refused(void **state)
{
    static const char *const bad[] = {
        "[]",
        "\"a\"",
        "{\"client_id\":\"d\"}",
        "{\"client_id\":\"\"}",
        "{\"client_id\":1}",
        "{\"client_id\":null}",
        "{\"client_id\":[\"c\"]}",
        "{" PARTY ",\"request\":\"a.b.c\"}",
        "{" PARTY ",\"request_uri\":\"urn:x\"}",
        "{" PARTY ",\"state\":true}",
        "{" PARTY ",\"state\":null}",
        "{" PARTY ",\"state\":[\"s\"]}",
        "{" PARTY ",\"state\":{}}",
        "{" PARTY ",\"scope\":[\"openid\"]}",
        "{" PARTY ",\"resource\":[1]}",
        "{" PARTY ",\"resource\":{}}",
        "{" PARTY ",\"claims\":[]}",
    };
    struct form form;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        const struct authorize_fault fault = read(bad[i], &form);
        assert_row(fault.error && strcmp(fault.error, "invalid_request_object") == 0, bad[i]);
    }
}

static void a_member_that_no_parameter_has_is_ignored(void **state)
{
    static const char *const values[] = { "\"x\"", "1", "true", "null", "[]", "{\"a\":[1]}" };
    struct form form;
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        const char *object = arena_printf(&arena, "{" PARTY ",\"authorization_details\":%s}", values[i]).at;
        assert_null(read(object, &form).error);
        assert_int_equal(form_count(&form, STR("authorization_details")), 0);
    }
    assert_null(read("{" PARTY ",\"registration\":{\"a\":1}}", &form).error);
    assert_true(form_value(&form, STR("registration")).at);
}

static void it_is_bounded_as_a_form_is(void **state)
{
    struct form form;
    struct buf text;
    (void)state;
    buf_init(&text, &arena, 1024, 65536);
    buf_add(&text, STR("{" PARTY ",\"resource\":[\"urn:3\""));
    for (int i = 4; i < FORM_PAIRS_MAX; i++)
        buf_add(&text, arena_printf(&arena, ",\"urn:%d\"", i));
    struct buf more = text;
    buf_add(&text, STR("]}"));
    assert_null(read(arena_copy(&arena, buf_str(&text)).at, &form).error);
    buf_add(&more, STR(",\"urn:one-more\"]}"));
    assert_non_null(read(arena_copy(&arena, buf_str(&more)).at, &form).error);
    const char *large = arena_printf(&arena, "{" PARTY ",\"claims\":{\"x\":\"%0*d\"}}", CLAIMS_REQUEST_MAX, 0).at;
    assert_non_null(read(large, &form).error);
}

RUN(TEST(it_asks_what_a_query_would), TEST(a_client_that_is_not_named_is_the_one_that_sent_it),
    TEST(an_object_that_is_not_its_own_or_no_request_is_refused), TEST(a_member_that_no_parameter_has_is_ignored),
    TEST(it_is_bounded_as_a_form_is))
