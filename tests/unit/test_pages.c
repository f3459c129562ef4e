/* test_pages.c: what the pages say and which headers they have, also when everything in them comes from an attacker.
 * With TOKEN_PAGES set to a directory, they are written there too, as NAME.html and NAME.headers, for
 * tests/integration/test_pages.py, where a parser of HTML judges them. */
#include "oauth/pages.h"
#include "service/message.h"
#include "unit.h"

#define EVIL "\"'><script>alert(1)</script><img src=x onerror=alert(1)>`&amp;\xe2\x80\xae\0\xff"

static struct response response;

static struct str body(void)
{
    return buf_str(&response.body);
}

static bool says(const char *text)
{
    return response.body.len > 0 && memmem(response.body.at, response.body.len, text, strlen(text)) != NULL;
}

static struct str header(const char *name)
{
    return headers_value(response_headers(&response), &arena, str_of(name));
}

static bool header_says(const char *name, const char *text)
{
    const struct str value = header(name);
    return value.len > 0 && memmem(value.at, value.len, text, strlen(text)) != NULL;
}

static void keep_file(const char *name, const char *end, struct str text)
{
    const char *folder = getenv("TOKEN_PAGES");
    FILE *file = folder ? fopen(arena_printf(&arena, "%s/%s%s", folder, name, end).at, "we") : NULL;
    if (!folder)
        return;
    assert_non_null(file);
    assert_int_equal(fwrite(text.at, 1, text.len, file), text.len);
    const int closed = fclose(file);
    assert_int_equal(closed, 0);
}

/* Every page is held to this. */
static void keep(const char *name)
{
    struct buf lines;
    assert_row(!response.is_unfit && !response.body.overflowed, name);
    assert_row(str_eq(response.content_type, STR("text/html; charset=utf-8")), name);
    assert_row(str_eq(response.cache_control, STR("no-store")), name);
    assert_row(str_eq(header("X-Frame-Options"), STR("DENY")), name);
    assert_row(str_eq(header("Referrer-Policy"), STR("no-referrer")), name);
    assert_row(str_eq(header("X-Content-Type-Options"), STR("nosniff")), name);
    assert_row(header_says("Content-Security-Policy", "default-src 'none'; style-src 'nonce-"), name);
    assert_row(header_says("Content-Security-Policy", "; frame-ancestors 'none'; base-uri 'none'"), name);
    assert_row(str_has_prefix(body(), STR("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")),
               name);
    assert_row(!says("<script>") && !says("<img src=x") && !str_has(body(), '\0'), name);
    buf_init(&lines, &arena, 256, 65536);
    for (size_t i = 0; i < response.header_count; i++)
        buf_add(&lines,
                arena_printf(&arena, "%.*s: %.*s\n", (int)response.headers[i].name.len, response.headers[i].name.at,
                             (int)response.headers[i].value.len, response.headers[i].value.at));
    keep_file(name, ".html", body());
    keep_file(name, ".headers", buf_str(&lines));
}

static const struct page_form form = { STR_INIT("/login"), STR_INIT("csrf-1"), STR_INIT("challenge-1"),
                                       STR_INIT("de en") };
static const struct page_client client = { .name = STR_INIT("Story & Sons"),
                                           .logo_uri = STR_INIT("https://cdn.example/logo.png?a=1&b=2"),
                                           .policy_uri = STR_INIT("https://app.example/policy"),
                                           .tos_uri = STR_INIT("https://app.example/terms"),
                                           .redirect_uri = STR_INIT("https://app.example/callback?x=y") };
static const struct page_form evil_form = { STR_INIT("/login"), STR_INIT(EVIL), STR_INIT(EVIL), STR_INIT(EVIL) };
static const struct page_client evil_client = { .name = STR_INIT(EVIL),
                                                .logo_uri = STR_INIT("https://cdn.example/\"onerror=\"alert(1)"),
                                                .policy_uri = STR_INIT("javascript:alert(1)"),
                                                .tos_uri = STR_INIT(EVIL),
                                                .redirect_uri = STR_INIT("https://app.example; script-src *") };

static void login(const char *name, struct login_page page)
{
    response_init(&response, &arena);
    page_login(&response, &arena, &page);
    keep(name);
}

static void the_login_page_asks_for_a_username_and_a_password(void **state)
{
    (void)state;
    login("login", (struct login_page){ .form = form, .client = client });
    assert_int_equal(response.status, 200);
    assert_true(says("<title>Sign in</title>"));
    assert_true(says("<form method=\"post\" action=\"/login\">"));
    assert_true(says("<input type=\"hidden\" name=\"csrf\" value=\"csrf-1\">"));
    assert_true(says("<input type=\"hidden\" name=\"challenge\" value=\"challenge-1\">"));
    assert_true(says("id=\"username\" name=\"username\" autocomplete=\"username\""));
    assert_true(says("type=\"password\" id=\"password\" name=\"password\" autocomplete=\"current-password\" "
                     "value=\"\""));
    assert_true(says("to continue to <bdi>Story &amp; Sons</bdi>"));
    assert_true(says("<img alt=\"\" src=\"https://cdn.example/logo.png?a=1&amp;b=2\">"));
    assert_true(says("href=\"https://app.example/policy\"") && says("href=\"https://app.example/terms\""));
    assert_false(says("aria-invalid=\"") || says("role=\"alert\""));
    assert_true(header_says("Content-Security-Policy", "; img-src https://cdn.example;"));
    assert_true(header_says("Content-Security-Policy", "; form-action 'self' https://app.example;"));
    assert_false(header_says("Content-Security-Policy", "script-src"));
}

/* Enter in a field presses the first button. */
static void the_button_that_agrees_comes_first(void **state)
{
    (void)state;
    login("login", (struct login_page){ .form = form, .client = client });
    const char *submit = memmem(body().at, body().len, "id=\"submit\"", 11);
    const char *cancel = memmem(body().at, body().len, "id=\"cancel\"", 11);
    assert_true(submit && cancel && submit < cancel);
    assert_true(says("name=\"cancel\" value=\"1\" formnovalidate>"));
}

static void a_problem_is_told_with_its_status(void **state)
{
    static const struct {
        enum login_problem problem;
        const char *name, *words;
        int status;
        const char *retry_after;
    } rows[] = {
        { LOGIN_WRONG, "login-wrong", "username or the password is wrong", 200, "" },
        { LOGIN_LIMITED, "login-limited", "wait <bdi>7</bdi> seconds", 429, "7" },
        { LOGIN_BUSY, "login-busy", "not possible at this moment", 503, "1" },
        { LOGIN_STALE, "login-stale", "open for too long", 400, "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        login(rows[i].name,
              (struct login_page){ .form = form, .username = STR("ada"), .problem = rows[i].problem, .wait_s = 7 });
        assert_row(response.status == rows[i].status, rows[i].name);
        assert_row(says(rows[i].words) && says("id=\"problem\" role=\"alert\""), rows[i].name);
        assert_row(says("<title>Error: Sign in</title>") && says("aria-describedby=\"problem\""), rows[i].name);
        assert_row(says("aria-invalid=\"true\"") == (rows[i].problem == LOGIN_WRONG), rows[i].name);
        assert_row(says(" value=\"ada\""), rows[i].name);
        assert_row(str_eq(header("Retry-After"), str_of(rows[i].retry_after)), rows[i].name);
    }
}

static void the_consent_page_says_in_words_what_a_client_wants(void **state)
{
    const struct consent_page page = { .form = form,
                                       .client = client,
                                       .username = STR("ada"),
                                       .scope = STR("openid profile offline_access stories:read"),
                                       .may_remember = true };
    struct consent_page once = page;
    (void)state;
    response_init(&response, &arena);
    page_consent(&response, &arena, &page);
    keep("consent");
    assert_true(says("<li>know who you are, each time you sign in</li>"));
    assert_true(says("<li>see your name and your profile</li>"));
    assert_true(says("<li>keep this access while you are away</li>"));
    assert_true(says("<li><code>stories:read</code></li>"));
    assert_true(says("<bdi>Story &amp; Sons</bdi> would like to:") && says("signed in as <bdi>ada</bdi>"));
    assert_true(says("id=\"remember\" name=\"remember\" value=\"1\">"));
    assert_true(says("id=\"submit\"") && says("id=\"cancel\""));
    once.may_remember = false;
    response_init(&response, &arena);
    page_consent(&response, &arena, &once);
    keep("consent-once");
    assert_false(says("name=\"remember\""));
}

static void the_pages_of_signing_out(void **state)
{
    const struct logout_page page = { .form = { STR("/logout"), STR("csrf-1"), STR("c"), STR("") },
                                      .username = STR("ada"),
                                      .client_id = STR("app"),
                                      .to = STR("https://app.example/bye"),
                                      .state = STR("a&b") };
    (void)state;
    response_init(&response, &arena);
    page_logout(&response, &arena, &page);
    keep("logout");
    assert_true(says("action=\"/logout\"") && says("signed in as <bdi>ada</bdi>"));
    assert_true(says("name=\"client_id\" value=\"app\"") && says("name=\"state\" value=\"a&amp;b\""));
    assert_true(says("name=\"post_logout_redirect_uri\" value=\"https://app.example/bye\""));
    assert_true(says("id=\"submit\"") && says("id=\"cancel\""));
    assert_true(header_says("Content-Security-Policy", "; form-action 'self' https://app.example;"));
    response_init(&response, &arena);
    page_signed_out(&response, &arena, STR(""));
    keep("signed-out");
    assert_true(says("<h1>You are signed out</h1>"));
    assert_true(header_says("Content-Security-Policy", "; form-action 'none';"));
}

static void an_error_page_leads_nowhere(void **state)
{
    static const struct {
        enum err_code code;
        int status;
    } rows[] = { { ERR_INVALID_REQUEST, 400 }, { ERR_INVALID_CLIENT, 400 }, { ERR_INSUFFICIENT_SCOPE, 400 },
                 { ERR_UNAVAILABLE, 503 },     { ERR_INTERNAL, 500 },       { ERR_TOO_LARGE, 413 } };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        response_init(&response, &arena);
        page_error(&response, &arena, STR(""), failed(rows[i].code, "the redirect_uri <x> is not registered"));
        keep("error");
        assert_row(response.status == rows[i].status && response.outcome == rows[i].code, err_name(rows[i].code));
        assert_row(says("the redirect_uri &lt;x&gt; is not registered") && says(err_name(rows[i].code)), "words");
        assert_row(!says("<a ") && !says("<form") && !says("http-equiv"), "links");
    }
}

static void an_error_page_says_when_to_come_back(void **state)
{
    (void)state;
    response_init(&response, &arena);
    response.retry_after_s = 17;
    page_error(&response, &arena, STR(""), failed(ERR_TOO_MANY_REQUESTS, "wait a moment"));
    assert_int_equal(response.status, 429);
    assert_true(header_says("Retry-After", "17"));
    assert_true(says("wait a moment") && !says("The application that sent you here"));
    response_init(&response, &arena);
    page_error(&response, &arena, STR(""), failed(ERR_UNAVAILABLE, "the store is away"));
    assert_true(header_says("Retry-After", "1") && says("The application that sent you here"));
}

static void a_form_post_page_posts_itself(void **state)
{
    static const struct page_parameter parameters[] = { { STR_INIT("code"), STR_INIT("abc-_") },
                                                        { STR_INIT("state"), STR_INIT("x\"y<z&") },
                                                        { STR_INIT("iss"), STR_INIT("https://id.example") } };
    const struct post_page page = { .client = client, .parameters = parameters, .count = COUNT(parameters) };
    (void)state;
    response_init(&response, &arena);
    page_post(&response, &arena, STR(""), &page);
    keep("post");
    assert_true(says("<form method=\"post\" action=\"https://app.example/callback?x=y\">"));
    assert_true(says("<input type=\"hidden\" name=\"code\" value=\"abc-_\">"));
    assert_true(says("<input type=\"hidden\" name=\"state\" value=\"x&quot;y&lt;z&amp;\">"));
    assert_true(says("<button type=\"submit\" id=\"continue\">")); /* without a script, by hand */
    assert_false(says("name=\"submit\"") || says("id=\"submit\""));
    assert_true(header_says("Content-Security-Policy", "; script-src 'nonce-"));
    assert_true(header_says("Content-Security-Policy", "; form-action https://app.example;"));
}

static void nothing_of_strangers_gets_out_of_its_place(void **state)
{
    static const struct page_parameter parameters[] = { { STR_INIT(EVIL), STR_INIT(EVIL) } };
    const struct post_page post = { .client = evil_client, .parameters = parameters, .count = 1 };
    const struct consent_page consent = { evil_form, evil_client, STR(EVIL), STR(EVIL), true };
    const struct logout_page logout = { evil_form, STR(EVIL), STR(EVIL), STR("javascript:alert(1)"), STR(EVIL) };
    (void)state;
    login("evil-login", (struct login_page){ .form = evil_form, .client = evil_client, .username = STR(EVIL) });
    assert_false(says("javascript:") || says("<footer>"));
    assert_true(says("src=\"https://cdn.example/&quot;onerror=&quot;alert(1)\""));
    assert_true(header_says("Content-Security-Policy", "; form-action 'self'; frame-ancestors"));
    response_init(&response, &arena);
    page_consent(&response, &arena, &consent);
    keep("evil-consent");
    response_init(&response, &arena);
    page_logout(&response, &arena, &logout);
    keep("evil-logout");
    response_init(&response, &arena);
    page_post(&response, &arena, STR(EVIL), &post);
    keep("evil-post");
    assert_true(header_says("Content-Security-Policy", "; form-action 'none';"));
    response_init(&response, &arena);
    page_error(&response, &arena, STR(EVIL), failed(ERR_INVALID_REQUEST, "\"'><script>alert(1)</script>"));
    keep("evil-error");
}

static void no_two_pages_have_the_same_nonce(void **state)
{
    struct str nonces[64];
    (void)state;
    for (size_t i = 0; i < COUNT(nonces); i++) {
        response_init(&response, &arena);
        page_signed_out(&response, &arena, STR(""));
        const char *at = memmem(body().at, body().len, "<style nonce=\"", 14);
        assert_non_null(at);
        nonces[i] = (struct str){ at + 14, 24 };
        assert_true(header_says("Content-Security-Policy", arena_printf(&arena, "'nonce-%.24s'", at + 14).at));
        for (size_t j = 0; j < i; j++)
            assert_false(str_eq(nonces[i], nonces[j]));
    }
}

RUN(TEST(the_login_page_asks_for_a_username_and_a_password), TEST(the_button_that_agrees_comes_first),
    TEST(a_problem_is_told_with_its_status), TEST(the_consent_page_says_in_words_what_a_client_wants),
    TEST(the_pages_of_signing_out), TEST(an_error_page_leads_nowhere), TEST(an_error_page_says_when_to_come_back),
    TEST(a_form_post_page_posts_itself), TEST(nothing_of_strangers_gets_out_of_its_place),
    TEST(no_two_pages_have_the_same_nonce))
