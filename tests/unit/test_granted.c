/* test_granted.c: what a user has granted comes back from a body as it was written; a body that is not as it should be
 * is refused as a whole, since what is missing could be a bound. */
#include "oauth/granted.h"
#include "unit.h"

static const struct json *json_of(const char *text)
{
    const struct json *json = NULL;
    assert_ok(json_parse(&arena, str_of(text), &json));
    return json;
}

static struct str written(const struct granted *granted)
{
    struct buf body;
    buf_init(&body, &arena, 64, 64 * 1024);
    buf_add_char(&body, '{');
    granted_write(&body, granted);
    buf_add_char(&body, '}');
    assert_false(body.overflowed);
    return buf_str(&body);
}

static void all_of_it_comes_back(void **state)
{
    struct granted granted = { .scope = STR("openid \"odd\""),
                               .sub = STR("user-1"),
                               .sid = STR("session-1"),
                               .acr = STR("silver"),
                               .sector = STR("a.test"),
                               .auth_time = 0,
                               .resource = { { ROW("https://a.test/"), ROW("https://b.test/") }, 2 },
                               .amr = { ROW("pwd"), ROW("otp") },
                               .amr_count = 2,
                               .claims = json_of("{\"userinfo\":{\"email\":null}}"),
                               .user = json_of("{\"name\":\"Ada\"}") },
                   read;
    (void)state;
    const struct json *body = json_of(arena_copy(&arena, written(&granted)).at);
    assert_true(granted_read(body, &read));
    assert_str(read.scope, "openid \"odd\"");
    assert_str(read.sub, "user-1");
    assert_str(read.sid, "session-1");
    assert_str(read.acr, "silver");
    assert_str(read.sector, "a.test");
    assert_int_equal(read.auth_time, 0);
    assert_int_equal(read.resource.count, 2);
    assert_str(read.resource.of[1], "https://b.test/");
    assert_int_equal(read.amr_count, 2);
    assert_str(read.amr[1], "otp");
    assert_non_null(json_member(read.claims, STR("userinfo")));
    assert_str(json_member(read.user, STR("name"))->text, "Ada");
    for (const struct json *each = body->child; each; each = each->next)
        assert_row(granted_has_member(each->name), each->name.at);
    assert_int_equal(body->count, 10);
    assert_false(granted_has_member(STR("scopes")) || granted_has_member(STR("")) || granted_has_member(STR("Sub")));
}

static void what_is_not_known_is_not_written(void **state)
{
    const struct granted granted = { .scope = STR(""), .sub = STR("u"), .auth_time = -1 };
    struct granted read;
    (void)state;
    assert_str(written(&granted), "{\"scope\":\"\",\"sub\":\"u\"}");
    assert_true(granted_read(json_of("{\"scope\":\"\",\"sub\":\"u\",\"other\":[]}"), &read));
    assert_int_equal(read.auth_time, -1);
    assert_true(read.resource.count == 0 && read.amr_count == 0 && read.sid.len == 0 && !read.claims && !read.user);
}

/* Each member after two good ones. */
static void a_member_of_another_form_is_refused(void **state)
{
    static const char *const bad[] = {
        "\"sid\":1",           "\"sid\":null",
        "\"acr\":[\"a\"]",     "\"auth_time\":-1",
        "\"auth_time\":\"1\"", "\"auth_time\":1.5",
        "\"auth_time\":1e15",  "\"amr\":\"pwd\"",
        "\"amr\":[\"\"]",      "\"amr\":[1]",
        "\"resource\":{}",     "\"resource\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]",
        "\"claims\":[]",       "\"claims\":\"{}\"",
        "\"user\":null",       "\"sector\":1",
    };
    static const char *const incomplete[] = { "{}", "{\"scope\":\"a\"}", "{\"sub\":\"u\"}",
                                              "{\"scope\":1,\"sub\":\"u\"}" };
    struct granted read;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_row(!granted_read(json_of(arena_printf(&arena, "{\"scope\":\"\",\"sub\":\"u\",%s}", bad[i]).at), &read),
                   bad[i]);
    for (size_t i = 0; i < COUNT(incomplete); i++)
        assert_row(!granted_read(json_of(incomplete[i]), &read), incomplete[i]);
    const char *many = "\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\"";
    assert_false(
        granted_read(json_of(
                         arena_printf(&arena, "{\"scope\":\"\",\"sub\":\"u\",\"amr\":[%s,%s,\"9\"]}", many, many).at),
                     &read));
    const char *long_one = arena_printf(&arena, "{\"scope\":\"%02049d\",\"sub\":\"u\"}", 0).at;
    assert_false(granted_read(json_of(long_one), &read));
}

RUN(TEST(all_of_it_comes_back), TEST(what_is_not_known_is_not_written), TEST(a_member_of_another_form_is_refused))
