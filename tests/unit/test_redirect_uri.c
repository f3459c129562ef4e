/* test_redirect_uri.c: which redirect URIs a request may name, as a table of tricks beside what is registered; and how
 * an answer is added to one. */
#include "oauth/redirect_uri.h"
#include "unit.h"

/* What the client of the tricks has registered. */
#define REGISTERED "https://app.example/callback"
#define WITH_QUERY "https://app.example/callback?tenant=a&x=%2f"

static bool finds(const struct str *registered, size_t count, bool is_native, struct str presented)
{
    struct redirect_uri found = { { NULL, 0 } };
    char *copy = exactly(presented);
    const bool is_found = redirect_uri_find(registered, count, is_native, (struct str){ copy, presented.len }, &found);
    assert_true(is_found ? found.text.at == copy && found.text.len == presented.len : found.text.at == NULL);
    free(copy);
    return is_found;
}

static void what_is_registered_is_found_and_no_trick_is(void **state)
{
    static const struct str registered[] = { ROW(REGISTERED), ROW(WITH_QUERY), ROW("com.example.app:/callback") };
    static const struct str tricks[] = {
        /* another page, or the same one by another spelling */
        ROW("https://app.example/callback/"),
        ROW("https://app.example/callback//"),
        ROW("https://app.example//callback"),
        ROW("https://app.example/callback/more"),
        ROW("https://app.example/callbac"),
        ROW("https://app.example/callbacks"),
        ROW("https://app.example/Callback"),
        ROW("https://app.example/"),
        ROW("https://app.example"),
        ROW("https://app.example/./callback"),
        ROW("https://app.example/x/../callback"),
        ROW("https://app.example/callback/.."),
        ROW("https://app.example/callback/../../evil"),
        ROW("https://app.example/callback/..;/evil"),
        ROW("https://app.example/callback;/../evil"),
        ROW("https://app.example/callback;jsessionid=1"),
        ROW("https://app.example/callback/%2e%2e/evil"),
        ROW("https://app.example/callback%2f..%2fevil"),
        ROW("https://app.example/callback/%252e%252e/evil"),
        ROW("https://app.example/%63allback"),
        ROW("https://app.example/callback%00"),
        ROW("https://app.example/callback%20"),
        ROW("https://app.example/callback%0d%0aLocation:%20https://evil.example"),
        /* another host, or the same one by another spelling */
        ROW("https://APP.example/callback"),
        ROW("HTTPS://app.example/callback"),
        ROW("http://app.example/callback"),
        ROW("//app.example/callback"),
        ROW("/callback"),
        ROW("https://app.example./callback"),
        ROW("https://app.example:443/callback"),
        ROW("https://app.example:/callback"),
        ROW("https://app.example:8443/callback"),
        ROW("https://evil.example/callback"),
        ROW("https://app.example.evil.example/callback"),
        ROW("https://evil-app.example/callback"),
        ROW("https://appXexample/callback"),
        ROW("https://app%2eexample/callback"),
        ROW("https://app.example%2f.evil.example/callback"),
        ROW("https://app.example%00.evil.example/callback"),
        ROW("https://[::ffff:192.0.2.1]/callback"),
        ROW("https:app.example/callback"),
        ROW("https:/app.example/callback"),
        ROW("https:///app.example/callback"),
        ROW("https:\\\\app.example\\callback"),
        ROW("https://app.example\\callback"),
        ROW("https://evil.example\\@app.example/callback"),
        ROW("https://evil.example\\.app.example/callback"),
        /* user information */
        ROW("https://user@app.example/callback"),
        ROW("https://@app.example/callback"),
        ROW("https://app.example@evil.example/callback"),
        ROW("https://app.example:443@evil.example/callback"),
        ROW("https://app.example%40evil.example/callback"),
        /* a query, a fragment, and answers that are planted in them */
        ROW("https://app.example/callback?"),
        ROW("https://app.example/callback?x"),
        ROW("https://app.example/callback?code=planted"),
        ROW("https://app.example/callback?tenant=b&x=%2f"),
        ROW("https://app.example/callback?tenant=a&x=%2F"),
        ROW("https://app.example/callback?x=%2f&tenant=a"),
        ROW("https://app.example/callback?tenant=a&x=/"),
        ROW("https://app.example/callback?tenant=a&x=%2f&code=planted"),
        ROW("https://app.example/callback?tenant=a&x=%2f&iss=https://evil.example"),
        ROW("https://app.example/callback?tenant=a"),
        ROW("https://app.example/callback#"),
        ROW("https://app.example/callback#x"),
        ROW("https://app.example/callback#code=planted"),
        ROW("https://app.example/callback%23"),
        ROW("https://app.example/callback?#"),
        /* an open redirect of the client's own */
        ROW("https://app.example/go?to=https://evil.example"),
        ROW("https://evil.example/?https://app.example/callback"),
        ROW("https://evil.example/https://app.example/callback"),
        /* bytes that no URI has, and what looks like others */
        ROW(" https://app.example/callback"),
        ROW("https://app.example/callback "),
        ROW("\thttps://app.example/callback"),
        ROW("https://app.example/callback\r\n"),
        ROW("https://app.example/callback\r\nSet-Cookie: a=b"),
        ROW("https://app.example/callback\0"),
        ROW("https://app.example/callback\0.evil.example"),
        ROW("https://app.example/\0callback"),
        ROW("https://\xd0\xb0pp.example/callback"), /* a Cyrillic letter */
        ROW("https://app\xe3\x80\x82"
            "example/callback"), /* an ideographic full stop */
        ROW("https://app.example\xef\xbc\x8f"
            "callback"), /* a full-width slash */
        ROW("https://app.example/call\xe2\x80\x8b"
            "back"), /* a space of no width */
        ROW("https://xn--pp-6kc.example/callback"),
        /* other schemes */
        ROW("javascript:alert(1)//https://app.example/callback"),
        ROW("data:text/html,https://app.example/callback"),
        ROW("com.example.app:/callback/"),
        ROW("com.example.app://callback"),
        ROW("COM.example.app:/callback"),
        ROW("com.example.app2:/callback"),
        /* none, or several */
        ROW(""),
        ROW("https://app.example/callback https://app.example/callback"),
        ROW("https://app.example/callback,https://app.example/callback"),
        ROW("*"),
        ROW("https://*"),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(registered); i++) {
        assert_row(finds(registered, COUNT(registered), false, registered[i]), registered[i].at);
        assert_row(finds(registered, COUNT(registered), true, registered[i]), registered[i].at);
    }
    for (size_t i = 0; i < COUNT(tricks); i++) {
        assert_row(!finds(registered, COUNT(registered), false, tricks[i]), tricks[i].at);
        assert_row(!finds(registered, COUNT(registered), true, tricks[i]), tricks[i].at);
    }
    assert_false(finds(registered, 0, true, registered[0]));
    assert_false(finds(&registered[1], 2, true, registered[0]));
}

/* Somebody has registered them all the same, or they were there before there were rules. */
static void what_must_not_be_redirected_to_is_not_found_though_it_is_registered(void **state)
{
    static const struct str bad[] = {
        ROW("javascript:alert(1)"),
        ROW("JavaScript:alert(1)"),
        ROW("vbscript:x"),
        ROW("data:text/html,x"),
        ROW("blob:https://app.example/x"),
        ROW("file:///etc/passwd"),
        ROW("about:blank"),
        ROW("filesystem:https://app.example/x"),
        ROW("view-source:https://app.example/"),
        ROW("https:///callback"),
        ROW("https://:443/callback"),
        ROW("https:/callback"),
        ROW("https:callback"),
        ROW("https://user@app.example/"),
        ROW("https://user:password@app.example/"),
        ROW("https://app.example/#x"),
        ROW("https://app.example/\\"),
        ROW("https://app.example/ "),
        ROW("https://app.example/\r\n"),
        ROW("https://app.example/\0"),
        ROW("https://app.example/?code=x"),
        ROW("https://app.example/?a=b&code"),
        ROW("https://app.example/?a=b;code=x"),
        ROW("https://app.example/?%63ode=x"),
        ROW("https://app.example/?c%6Fd%65=x"),
        ROW("https://app.example/?&&state=x"),
        ROW("https://app.example/?iss=x"),
        ROW("https://app.example/?error=x"),
        ROW("https://app.example/?error_description=x"),
        ROW("https://app.example/?error_uri=x"),
        ROW("https://app.example/?response=x"),
        ROW("https://app.example/?id_token=x"),
        ROW("https://app.example/?access_token=x"),
        ROW("https://app.example/?session_state=x"),
        ROW("com.example.app:/?code=x"),
        ROW("/callback"),
        ROW("*"),
        ROW(""),
    };
    static const struct str good[] = { ROW("https://app.example/?codes=x"),
                                       ROW("https://app.example/?xcode=x"),
                                       ROW("https://app.example/?a=code"),
                                       ROW("https://app.example/?cod%65%65=x"),
                                       ROW("https://app.example/code"),
                                       ROW("https://app.example/?"),
                                       ROW("https://app.example/@"),
                                       ROW("http://[2001:db8::1]:80/"),
                                       ROW("myapp:callback"),
                                       ROW("https://app.example/?a=b=code&c") };
    char longest[REDIRECT_URI_MAX + 1];
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_row(!finds(&bad[i], 1, true, bad[i]), bad[i].at);
    for (size_t i = 0; i < COUNT(good); i++)
        assert_row(finds(&good[i], 1, false, good[i]), good[i].at);
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "https://", 8);
    const struct str fits = { longest, REDIRECT_URI_MAX }, too_long = { longest, sizeof longest };
    assert_true(finds(&fits, 1, false, fits));
    assert_false(finds(&too_long, 1, false, too_long));
}

static void on_a_loopback_address_a_native_application_has_any_port(void **state)
{
    static const struct {
        struct str registered, presented;
        bool is_found;
    } rows[] = {
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1/cb"), true },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:1/cb"), true },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:65535/cb"), true },
        { ROW("http://127.0.0.1:8080/cb"), ROW("http://127.0.0.1:49152/cb"), true },
        { ROW("http://127.0.0.1:8080/cb"), ROW("http://127.0.0.1/cb"), true },
        { ROW("http://127.0.0.1:8080"), ROW("http://127.0.0.1:9090"), true },
        { ROW("http://127.0.0.1/cb?a=b"), ROW("http://127.0.0.1:9090/cb?a=b"), true },
        { ROW("http://127.0.0.1?a=b"), ROW("http://127.0.0.1:9090?a=b"), true },
        { ROW("http://[::1]/cb"), ROW("http://[::1]:9090/cb"), true },
        { ROW("http://[::1]:1/cb"), ROW("http://[::1]:9090/cb"), true },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:0/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:00080/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:080/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:65536/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:99999999999999999999/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:+80/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:8o/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:80:90/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:80@evil.example/cb"), false },
        { ROW("http://127.0.0.1"), ROW("http://127.0.0.1:80@evil.example"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1.evil.example/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:80.evil.example/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.10/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.2:80/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.1:80/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://2130706433:80/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://0x7f.0.0.1:80/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://[::1]:80/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://[::ffff:127.0.0.1]:80/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://localhost:80/cb"), false },
        { ROW("http://[::1]/cb"), ROW("http://[0:0:0:0:0:0:0:1]:80/cb"), false },
        { ROW("http://[::1]/cb"), ROW("http://[::1%25lo]:80/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("https://127.0.0.1:80/cb"), false },
        { ROW("https://127.0.0.1/cb"), ROW("https://127.0.0.1:80/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("HTTP://127.0.0.1:80/cb"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:80/cb/"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:80/"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:80"), false },
        { ROW("http://127.0.0.1/"), ROW("http://127.0.0.1:80"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:80/cb?code=planted"), false },
        { ROW("http://127.0.0.1/cb"), ROW("http://127.0.0.1:80/cb#x"), false },
        { ROW("http://127.0.0.1/cb#x"), ROW("http://127.0.0.1:80/cb#x"), false },
        { ROW("http://localhost/cb"), ROW("http://localhost:80/cb"), false },
        { ROW("http://app.example/cb"), ROW("http://app.example:80/cb"), false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const bool is_same = str_eq(rows[i].registered, rows[i].presented) && rows[i].is_found;
        assert_row(finds(&rows[i].registered, 1, true, rows[i].presented) == rows[i].is_found, rows[i].presented.at);
        assert_row(finds(&rows[i].registered, 1, false, rows[i].presented) == is_same, rows[i].presented.at);
    }
}

/* --- the answer --------------------------------------------------------------------------------------------------- */

static struct str answered(const char *uri, const struct redirect_parameter *parameters, size_t count)
{
    const struct str registered = str_of(uri);
    struct redirect_uri to;
    struct str out = { NULL, 0 };
    assert_true(redirect_uri_find(&registered, 1, false, registered, &to));
    assert_ok(redirect_uri_with(&arena, &to, parameters, count, &out));
    return out;
}

static void an_answer_is_added_to_the_query_that_is_there(void **state)
{
    static const struct redirect_parameter answer[] = { { ROW("code"), ROW("a-b") }, { ROW("state"), ROW("x y&z=1") } };
    static const struct {
        const char *uri, *expected;
    } rows[] = {
        { "https://a.example", "https://a.example?code=a-b&state=x%20y%26z%3D1" },
        { "https://a.example/", "https://a.example/?code=a-b&state=x%20y%26z%3D1" },
        { "https://a.example/?", "https://a.example/?code=a-b&state=x%20y%26z%3D1" },
        { "https://a.example/?b=%2f", "https://a.example/?b=%2f&code=a-b&state=x%20y%26z%3D1" },
        { "https://a.example/?b=c&", "https://a.example/?b=c&code=a-b&state=x%20y%26z%3D1" },
        { "https://a.example/?b=?", "https://a.example/?b=?&code=a-b&state=x%20y%26z%3D1" },
        { "com.example.app:/cb", "com.example.app:/cb?code=a-b&state=x%20y%26z%3D1" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_str(answered(rows[i].uri, answer, COUNT(answer)), rows[i].expected);
}

static void every_byte_that_could_end_a_value_is_encoded(void **state)
{
    struct redirect_parameter parameter = { STR("state"), { NULL, 0 } };
    (void)state;
    assert_str(answered("https://a.example/", &parameter, 1), "https://a.example/"); /* left out */
    parameter.value = STR("");
    assert_str(answered("https://a.example/", &parameter, 1), "https://a.example/?state=");
    parameter.value = STR("\r\nX: y");
    assert_str(answered("https://a.example/", &parameter, 1), "https://a.example/?state=%0D%0AX%3A%20y");
    parameter.value = STR("\0#&=+%;\"'<\\\xc3\xa4");
    assert_str(answered("https://a.example/", &parameter, 1),
               "https://a.example/?state=%00%23%26%3D%2B%25%3B%22%27%3C%5C%C3%A4");
    parameter.value = STR("azAZ09-._~");
    assert_str(answered("https://a.example/", &parameter, 1), "https://a.example/?state=azAZ09-._~");
}

static void an_answer_is_bounded(void **state)
{
    char *large = arena_alloc(&arena, REDIRECT_MAX);
    const struct redirect_uri to = { STR("https://a.example/") };
    struct redirect_parameter parameter = { STR("state"), { large, REDIRECT_MAX - 25 } };
    struct str out = STR("untouched");
    (void)state;
    memset(large, 'a', REDIRECT_MAX);
    assert_ok(redirect_uri_with(&arena, &to, &parameter, 1, &out));
    assert_int_equal(out.len, REDIRECT_MAX);
    parameter.value.len++;
    out = STR("untouched");
    assert_code(redirect_uri_with(&arena, &to, &parameter, 1, &out), ERR_TOO_LARGE, "a byte more");
    assert_str(out, "untouched");
}

RUN(TEST(what_is_registered_is_found_and_no_trick_is),
    TEST(what_must_not_be_redirected_to_is_not_found_though_it_is_registered),
    TEST(on_a_loopback_address_a_native_application_has_any_port), TEST(an_answer_is_added_to_the_query_that_is_there),
    TEST(every_byte_that_could_end_a_value_is_encoded), TEST(an_answer_is_bounded))
