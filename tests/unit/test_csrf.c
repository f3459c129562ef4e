/* test_csrf.c: a form is taken from the page that was shown in this browser for this purpose, and from no other. */
#include "oauth/csrf.h"
#include "service/message.h"
#include "unit.h"

/* A browser: its cookie, and what it says of who made the request. */
struct browser {
    struct header headers[2];
};

static struct request request_of(const struct browser *browser)
{
    size_t count = browser->headers[1].value.at ? 2 : browser->headers[0].value.at ? 1 : 0;
    return (struct request){ .arena = &arena, .headers = { browser->headers, count } };
}

static struct browser browser_with(struct str key, const char *site)
{
    return (struct browser){ { { STR("Cookie"),
                                 arena_printf(&arena, "__Host-token-service-browser=%.*s", (int)key.len, key.at) },
                               { STR("Sec-Fetch-Site"), str_of(site) } } };
}

/* What a browser without a cookie is given. */
static struct str first_key(void)
{
    struct response response;
    const struct request request = { .arena = &arena };
    response_init(&response, &arena);
    const struct str key = csrf_key(&request, &response, true);
    assert_int_equal(response.header_count, 1);
    assert_non_null(memmem(response.headers[0].value.at, response.headers[0].value.len, key.at, key.len));
    return key;
}

static void a_browser_keeps_its_key(void **state)
{
    const struct str key = first_key();
    const struct browser browser = browser_with(key, NULL);
    const struct request request = request_of(&browser);
    struct response response;
    (void)state;
    response_init(&response, &arena);
    assert_int_equal(key.len, 43);
    assert_true(str_eq(csrf_key(&request, &response, true), key));
    assert_int_equal(response.header_count, 0); /* it isn't set again */
    assert_false(str_eq(first_key(), key));
}

static void a_form_is_good_in_its_browser_for_its_purpose(void **state)
{
    const struct str key = first_key(), other = first_key();
    const struct str token = csrf_token(&arena, key, STR("login\nchallenge-1"));
    const struct {
        const char *what;
        struct str key, purpose, token;
        const char *site;
        bool good;
    } rows[] = {
        { "as it was shown", key, STR("login\nchallenge-1"), token, NULL, true },
        { "from our own page", key, STR("login\nchallenge-1"), token, "same-origin", true },
        { "loaded again", key, STR("login\nchallenge-1"), token, "none", true },
        { "from another site", key, STR("login\nchallenge-1"), token, "cross-site", false },
        { "from another host of the site", key, STR("login\nchallenge-1"), token, "same-site", false },
        { "from nobody knows where", key, STR("login\nchallenge-1"), token, "", false },
        { "another login", key, STR("login\nchallenge-2"), token, NULL, false },
        { "another step", key, STR("consent\nchallenge-1"), token, NULL, false },
        { "another browser", other, STR("login\nchallenge-1"), token, NULL, false },
        { "no token", key, STR("login\nchallenge-1"), { NULL, 0 }, NULL, false },
        { "an empty token", key, STR("login\nchallenge-1"), STR(""), NULL, false },
        { "the key itself", key, STR("login\nchallenge-1"), key, NULL, false },
        { "cut short", key, STR("login\nchallenge-1"), { token.at, token.len - 1 }, NULL, false },
        { "no cookie", STR(""), STR("login\nchallenge-1"), csrf_token(&arena, STR(""), STR("login\nchallenge-1")), NULL,
          false },
        { "a short key", STR("a"), STR("login\nchallenge-1"), csrf_token(&arena, STR("a"), STR("login\nchallenge-1")),
          NULL, false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct browser browser = browser_with(rows[i].key, rows[i].site);
        const struct request request = request_of(&browser);
        assert_code(csrf_check(&request, true, rows[i].purpose, rows[i].token),
                    rows[i].good ? ERR_OK : ERR_INVALID_REQUEST, rows[i].what);
    }
}

static void a_plain_cookie_is_none_over_https(void **state)
{
    const struct str key = first_key(), token = csrf_token(&arena, key, STR("p"));
    const struct header planted = { STR("Cookie"),
                                    arena_printf(&arena, "token-service-browser=%.*s", (int)key.len, key.at) };
    const struct request request = { .arena = &arena, .headers = { &planted, 1 } };
    (void)state;
    assert_code(csrf_check(&request, true, STR("p"), token), ERR_INVALID_REQUEST, "planted");
    assert_code(csrf_check(&request, false, STR("p"), token), ERR_OK, "on a developer's machine");
}

static void a_token_shows_neither_the_key_nor_the_purpose(void **state)
{
    const struct str key = first_key(), token = csrf_token(&arena, key, STR("login\nchallenge"));
    (void)state;
    assert_int_equal(token.len, 43);
    assert_false(str_eq(token, key));
    assert_true(str_eq(token, csrf_token(&arena, key, STR("login\nchallenge"))));
    assert_false(str_eq(token, csrf_token(&arena, key, STR("login\nchallengf"))));
    assert_false(str_eq(token, csrf_token(&arena, key, STR("login\nchallenge\0"))));
}

RUN(TEST(a_browser_keeps_its_key), TEST(a_form_is_good_in_its_browser_for_its_purpose),
    TEST(a_plain_cookie_is_none_over_https), TEST(a_token_shows_neither_the_key_nor_the_purpose))
