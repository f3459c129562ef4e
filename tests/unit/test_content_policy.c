/* test_content_policy.c: what a page may load, run and send to, and that no URL adds to it. */
#include "oauth/content_policy.h"
#include "unit.h"

static void a_url_is_allowed_by_its_origin(void **state)
{
    static const struct {
        struct str url;
        const char *source;
    } rows[] = {
        { ROW("https://app.example/callback?x=y"), "https://app.example" },
        { ROW("https://app.example"), "https://app.example" },
        { ROW("https://app.example?x"), "https://app.example" },
        { ROW("https://app.example#x"), "https://app.example" },
        { ROW("https://app.example:8443/cb"), "https://app.example:8443" },
        { ROW("HTTPS://App.Example/cb"), "HTTPS://App.Example" },
        { ROW("http://127.0.0.1:49152/cb"), "http://127.0.0.1:49152" },
        { ROW("http://localhost/cb"), "http://localhost" },
        { ROW("http://[::1]:49152/cb"), "http:" }, /* no host-source can say it */
        { ROW("com.example.app:/cb"), "com.example.app:" },
        { ROW("com.example.app://cb"), "com.example.app:" },
        { ROW("urn:ietf:wg:oauth:2.0:oob"), "urn:" },
        /* nothing that ends the expression, the directive or the policy, or brings a script */
        { ROW("https://app.example;script-src *"), "" },
        { ROW("https://app.example; script-src *"), "" },
        { ROW("https://app.example,default-src *"), "" },
        { ROW("https://app.example 'unsafe-inline'"), "" },
        { ROW("https://*.example/"), "" },
        { ROW("https://*"), "" },
        { ROW("https://user@app.example/"), "" },
        { ROW("https://app.example\\@evil.example/"), "" },
        { ROW("https:///cb"), "" },
        { ROW("https://"), "" },
        { ROW("https:/app.example/"), "" },
        { ROW("https:app.example"), "" },
        { ROW("https:"), "" },
        { ROW("https"), "" },
        { ROW(""), "" },
        { ROW(":"), "" },
        { ROW("//app.example/"), "" },
        { ROW("javascript:alert(1)"), "" },
        { ROW("JaVaScRiPt:alert(1)"), "" },
        { ROW("data:text/html,x"), "" },
        { ROW("blob:https://app.example/x"), "" },
        { ROW("'self':x"), "" },
        { ROW("*:x"), "" },
        { ROW("a b:x"), "" },
        { ROW("1a:x"), "" },
        { ROW("https://app.example\r\nX: y/"), "" },
        { ROW("https://app\0.example/"), "" },
        { ROW("https://\xc3\xa4pp.example/"), "" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *copy = exactly(rows[i].url);
        const struct str source = content_policy_source(&arena, (struct str){ copy, rows[i].url.len });
        free(copy);
        assert_row(str_eq(source, str_of(rows[i].source)), rows[i].url.at);
    }
}

#define END "; frame-ancestors 'none'; base-uri 'none'"

static void only_what_a_page_has_is_allowed(void **state)
{
    static const struct {
        struct content_policy policy;
        const char *expected;
    } rows[] = {
        { { .nonce = ROW("N") }, "default-src 'none'; style-src 'nonce-N'; form-action 'none'" END },
        { { .nonce = ROW("N"), .posts_here = true },
          "default-src 'none'; style-src 'nonce-N'; form-action 'self'" END },
        { { .nonce = ROW("N"), .posts_here = true, .posts_to = ROW("https://app.example/cb") },
          "default-src 'none'; style-src 'nonce-N'; form-action 'self' https://app.example" END },
        { { .nonce = ROW("N"), .posts_to = ROW("https://app.example/cb"), .has_script = true },
          "default-src 'none'; style-src 'nonce-N'; script-src 'nonce-N'; form-action https://app.example" END },
        { { .nonce = ROW("N"), .posts_to = ROW("javascript:x"), .has_script = true },
          "default-src 'none'; style-src 'nonce-N'; script-src 'nonce-N'; form-action 'none'" END },
        { { .nonce = ROW("N"), .image = ROW("https://cdn.example/logo.png") },
          "default-src 'none'; style-src 'nonce-N'; img-src https://cdn.example; form-action 'none'" END },
        { { .nonce = ROW("N"), .image = ROW("data:image/png,x") },
          "default-src 'none'; style-src 'nonce-N'; form-action 'none'" END },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_str(content_policy_write(&arena, &rows[i].policy), rows[i].expected);
}

RUN(TEST(a_url_is_allowed_by_its_origin), TEST(only_what_a_page_has_is_allowed))
