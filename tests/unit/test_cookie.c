/* test_cookie.c: cookies as they are sent, and as they come back among others. */
#include "oauth/cookie.h"
#include "service/message.h"
#include "unit.h"

#define SESSION "__Host-token-service-session"
#define BROWSER "__Host-token-service-browser"

static void one_pair_of_the_name_is_found(void **state)
{
    static const struct {
        struct str header, value;
        bool found;
    } rows[] = {
        { ROW("a=1"), ROW("1"), true },
        { ROW("b=2; a=1"), ROW("1"), true },
        { ROW("b=2;a=1;c=3"), ROW("1"), true },
        { ROW("  a = 1 ;"), ROW("1"), true },
        { ROW("a="), ROW(""), true },
        { ROW("a=b=c"), ROW("b=c"), true },
        { ROW("a=\"1\""), ROW("\"1\""), true },
        { ROW("a=1\0"), ROW("1\0"), true },
        { ROW("; ;;a=1;;"), ROW("1"), true },
        { ROW("b=a=2; a=1"), ROW("1"), true },
        { ROW(""), ROW(""), false },
        { ROW("a"), ROW(""), false },
        { ROW("=a"), ROW(""), false },
        { ROW("A=1"), ROW(""), false }, /* a name has a case */
        { ROW("aa=1"), ROW(""), false },
        { ROW("b=a=1"), ROW(""), false },
        { ROW("b=\"; a\"=1"), ROW(""), false },
        { ROW("a=1; a=2"), ROW(""), false }, /* which one would be another's guess */
        { ROW("a=1; a=1"), ROW(""), false },
        { ROW("a,b=1"), ROW(""), false },
        { ROW("a\0=1"), ROW(""), false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct str value = { 0, 0 };
        char *copy = exactly(rows[i].header);
        const bool found = cookie_find((struct str){ copy, rows[i].header.len }, STR("a"), &value);
        assert_row(found == rows[i].found, rows[i].header.at);
        assert_row(!found || str_eq(value, rows[i].value), rows[i].header.at);
        free(copy);
    }
}

static struct str value_of(const char *cookies, enum cookie cookie, bool is_secure)
{
    const struct header header = { STR("cookie"), str_of(cookies) };
    const struct request request = { .arena = &arena, .headers = { &header, 1 } };
    return cookie_value(&request, cookie, is_secure);
}

static void only_what_was_set_here_is_taken(void **state)
{
    char *longest = arena_zalloc(&arena, COOKIE_VALUE_MAX + sizeof SESSION + 2);
    (void)state;
    assert_str(value_of("x=y; " SESSION "=abc_-9; z", COOKIE_SESSION, true), "abc_-9");
    assert_str(value_of("token-service-session=abc", COOKIE_SESSION, false), "abc");
    assert_null(value_of("token-service-session=abc", COOKIE_SESSION, true).at); /* anybody on the wire can set that */
    assert_null(value_of(SESSION "=abc", COOKIE_SESSION, false).at);
    assert_null(value_of(BROWSER "=abc", COOKIE_SESSION, true).at);
    assert_null(value_of(SESSION "=", COOKIE_SESSION, true).at);
    assert_null(value_of(SESSION "=a b", COOKIE_SESSION, true).at);
    assert_null(value_of(SESSION "=\"abc\"", COOKIE_SESSION, true).at);
    assert_null(value_of(SESSION "=ab%63", COOKIE_SESSION, true).at);
    assert_null(value_of(SESSION "=a; " SESSION "=b", COOKIE_SESSION, true).at);
    memcpy(longest, SESSION "=", sizeof SESSION);
    memset(longest + sizeof SESSION, 'a', COOKIE_VALUE_MAX);
    assert_int_equal(value_of(longest, COOKIE_SESSION, true).len, COOKIE_VALUE_MAX);
    longest[sizeof SESSION + COOKIE_VALUE_MAX] = 'a';
    assert_null(value_of(longest, COOKIE_SESSION, true).at);
}

static void several_cookie_lines_are_one_list(void **state)
{
    const struct header headers[] = { { STR("Cookie"), STR("a=1") }, { STR("Cookie"), STR(SESSION "=abc") } };
    const struct request request = { .arena = &arena, .headers = { headers, 2 } };
    const struct request none = { .arena = &arena };
    (void)state;
    assert_str(cookie_value(&request, COOKIE_SESSION, true), "abc");
    assert_null(cookie_value(&none, COOKIE_SESSION, true).at);
}

static void a_cookie_says_what_the_browser_may_do_with_it(void **state)
{
    struct response response;
    (void)state;
    response_init(&response, &arena);
    cookie_set(&response, &arena, COOKIE_SESSION, true, STR("abc"), 3600);
    cookie_set(&response, &arena, COOKIE_BROWSER, true, STR("abc"), 0);
    cookie_set(&response, &arena, COOKIE_SESSION, false, STR("abc"), 0);
    cookie_forget(&response, &arena, COOKIE_SESSION, true);
    assert_int_equal(response.header_count, 4);
    assert_str(response.headers[0].name, "Set-Cookie");
    assert_str(response.headers[0].value, SESSION "=abc; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=3600");
    assert_str(response.headers[1].value, BROWSER "=abc; Path=/; HttpOnly; SameSite=Lax; Secure");
    assert_str(response.headers[2].value, "token-service-session=abc; Path=/; HttpOnly; SameSite=Lax");
    assert_str(response.headers[3].value, SESSION "=; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=0");
    assert_false(response.is_unfit);
}

static void a_value_that_could_add_to_its_line_goes_nowhere(void **state)
{
    static const struct str values[] = { ROW(""),          ROW("a;Domain=x"), ROW("a b"),
                                         ROW("a\r\nX: y"), ROW("a\0b"),       ROW("a,b") };
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        struct response response;
        response_init(&response, &arena);
        cookie_set(&response, &arena, COOKIE_SESSION, true, values[i], 0);
        assert_row(response.is_unfit && response.header_count == 0, values[i].at);
    }
}

static void only_an_http_issuer_has_plain_cookies(void **state)
{
    static const struct {
        bool is_https;
        const char *issuer;
        bool is_secure;
    } rows[] = {
        { true, "https://id.example", true },     { false, "https://id.example", true }, /* a proxy that nobody told
                                                                                            about */
        { true, "http://127.0.0.1:8080", true },  { false, "http://127.0.0.1:8080", false }, { false, "", true },
        { false, "HTTP://127.0.0.1:8080", true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct request request = { .is_https = rows[i].is_https };
        assert_row(cookie_is_secure(&request, str_of(rows[i].issuer)) == rows[i].is_secure, rows[i].issuer);
    }
}

RUN(TEST(one_pair_of_the_name_is_found), TEST(only_what_was_set_here_is_taken), TEST(several_cookie_lines_are_one_list),
    TEST(a_cookie_says_what_the_browser_may_do_with_it), TEST(a_value_that_could_add_to_its_line_goes_nowhere),
    TEST(only_an_http_issuer_has_plain_cookies))
