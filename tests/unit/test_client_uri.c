/* test_client_uri.c: the URIs that a client may register: a table of good ones and of tricks. */
#include "service/client_uri.h"
#include "unit.h"

enum {
    R = 1 << CLIENT_URI_REDIRECT,
    N = 1 << CLIENT_URI_NATIVE,
    P = 1 << CLIENT_URI_PAGE,
    F = 1 << CLIENT_URI_FETCHED,
    S = 1 << CLIENT_URI_RESOURCE,
    WEB = R | N | P | F | S,
    ANY_PAGE = P | F | S,
    LOOPBACK = R | N | P | S
};

static const struct {
    struct str uri;
    int good_as; /* of the kinds above; for all others it is refused */
} rows[] = {
    { ROW("https://app.example/cb"), WEB },
    { ROW("https://app.example"), WEB },
    { ROW("https://APP.example:8443/cb?tenant=a&x=%C3%A4#"), 0 },
    { ROW("https://APP.example:8443/cb?tenant=a&x=%C3%A4"), WEB },
    { ROW("https://app.example/a;b/c,d/(e)'!*@f:$&=~"), WEB },
    { ROW("https://192.0.2.1/cb"), WEB },
    { ROW("https://[2001:db8::1]:8443/cb"), WEB },
    { ROW("https://xn--mnchen-3ya.example/"), WEB },
    { ROW("https://app.example/cb?next=https://app.example/state"), WEB },
    { ROW("https://app.example/cb?code_of_conduct=1&estate=2&statement=3"), WEB },
    { ROW("https://app.example/.well-known/..a/a../..."), WEB },

    /* http, on this machine alone */
    { ROW("http://127.0.0.1:3000/cb"), LOOPBACK },
    { ROW("http://127.8.9.1/cb"), LOOPBACK },
    { ROW("http://[::1]:3000/cb"), LOOPBACK },
    { ROW("http://localhost:3000/cb"), LOOPBACK },
    { ROW("http://app.example/cb"), S },
    { ROW("http://localhost.app.example/cb"), S },
    { ROW("http://127.0.0.1.app.example/cb"), S },
    { ROW("http://localhost./cb"), 0 },
    { ROW("http://LOCALHOST/cb"), S },
    { ROW("http://[::ffff:127.0.0.1]/cb"), LOOPBACK },
    { ROW("http://127.1/cb"), 0 },
    { ROW("http://2130706433/cb"), 0 },
    { ROW("http://0x7f.0.0.1/cb"), 0 },
    { ROW("http://0177.0.0.1/cb"), 0 },
    { ROW("http://[::1%25lo]/cb"), 0 },
    { ROW("http://0.0.0.0/cb"), S },

    /* private-use schemes */
    { ROW("com.example.app:/cb"), N | S },
    { ROW("com.example.app://cb"), N | S },
    { ROW("com.example.app:cb"), N | S },
    { ROW("com.example.app:"), 0 },
    { ROW("com.example.app://"), 0 },
    { ROW("myapp://cb"), S },
    { ROW("javascript:alert(1)"), S },
    { ROW("data:text/html,x"), S },
    { ROW("file:///etc/passwd"), S },
    { ROW("urn:ietf:wg:oauth:2.0:oob"), S },
    { ROW("Com.example.app:/cb"), 0 },
    { ROW("com.example.app:/cb?code=x"), S },
    { ROW("1com.example:/cb"), 0 },

    /* what is no absolute URI, or reads differently from what it looks like */
    { ROW(""), 0 },
    { ROW("/cb"), 0 },
    { ROW("//app.example/cb"), 0 },
    { ROW("app.example/cb"), 0 },
    { ROW("https:"), 0 },
    { ROW("https:/app.example/cb"), 0 },
    { ROW("https:app.example/cb"), 0 },
    { ROW("https:///cb"), 0 },
    { ROW("https://?x"), 0 },
    { ROW("https://:443/cb"), 0 },
    { ROW("HTTPS://app.example/cb"), 0 },
    { ROW(" https://app.example/cb"), 0 },
    { ROW("https://app.example/cb "), 0 },
    { ROW("https://app.example/c\tb"), 0 },
    { ROW("https://app.example/cb\r\nX: y"), 0 },
    { ROW("https://app.example/cb\0"), 0 },
    { ROW("https://app.example/cb#"), 0 },
    { ROW("https://app.example/cb#frag"), 0 },
    { ROW("https://user@app.example/cb"), 0 },
    { ROW("https://user:password@app.example/cb"), 0 },
    { ROW("https://app.example@evil.example/cb"), 0 },
    { ROW("https://app.example%40evil.example/cb"), 0 },
    { ROW("https://app.example\\@evil.example/cb"), 0 },
    { ROW("https://app.example\\.evil.example/cb"), 0 },
    { ROW("https:\\\\app.example/cb"), 0 },
    { ROW("https://app.example%2fevil.example/cb"), 0 },
    { ROW("https://app.example:/cb"), 0 },
    { ROW("https://app.example:0/cb"), 0 },
    { ROW("https://app.example:65536/cb"), 0 },
    { ROW("https://app.example:080/cb"), 0 },
    { ROW("https://app.example:443:443/cb"), 0 },
    { ROW("https://app.example:4a/cb"), 0 },
    { ROW("https://.app.example/cb"), 0 },
    { ROW("https://app_1.example/cb"), WEB },
    { ROW("https://*.app.example/cb"), 0 },
    { ROW("https://app.example,evil.example/cb"), 0 },
    { ROW("https://[app.example]/cb"), 0 },
    { ROW("https://[::1/cb"), 0 },
    { ROW("https://[::1]x/cb"), 0 },
    { ROW("https://[127.0.0.1]/cb"), 0 },
    { ROW("https://m\xc3\xbcnchen.example/"), 0 },
    { ROW("https://app.example/\xc3\xa4"), 0 },
    { ROW("https://app.example/<script>"), 0 },
    { ROW("https://app.example/\"x"), 0 },
    { ROW("https://app.example/{x}"), 0 },
    { ROW("https://app.example/a|b"), 0 },
    { ROW("https://app.example/a^b`"), 0 },
    { ROW("https://app.example/[x]"), 0 },
    { ROW("https://app.example/%"), 0 },
    { ROW("https://app.example/%2"), 0 },
    { ROW("https://app.example/%zz"), 0 },
    { ROW("https://app.example/%00"), 0 },
    { ROW("https://app.example/cb%0d%0aX:y"), 0 },
    { ROW("https://app.example/cb?x=%0A"), 0 },
    { ROW("https://app.example/cb%7F"), 0 },
    { ROW("https://app.example/cb/../evil"), 0 },
    { ROW("https://app.example/cb/%2e%2E/evil"), 0 },
    { ROW("https://app.example/cb/.%2e"), 0 },
    { ROW("https://app.example/./cb"), 0 },
    { ROW("https://app.example/cb/."), 0 },
    { ROW("https://app.example/cb/%2e"), 0 },
    { ROW("https://app.example/cb?x=../y"), WEB },

    /* planted parameters of a response */
    { ROW("https://app.example/cb?code=x"), ANY_PAGE },
    { ROW("https://app.example/cb?a=b&state=x"), ANY_PAGE },
    { ROW("https://app.example/cb?state"), ANY_PAGE },
    { ROW("https://app.example/cb?a;iss=x"), ANY_PAGE },
    { ROW("https://app.example/cb?%63ode=x"), ANY_PAGE },
    { ROW("https://app.example/cb?c%6Fd%65=x"), ANY_PAGE },
    { ROW("https://app.example/cb?error=access_denied"), ANY_PAGE },
    { ROW("https://app.example/cb?error_description=x"), ANY_PAGE },
    { ROW("https://app.example/cb?&&id_token=x"), ANY_PAGE },
    { ROW("https://app.example/cb?access_token=x"), ANY_PAGE },
    { ROW("https://app.example/cb?session_state=x"), ANY_PAGE },
    { ROW("https://app.example/cb?code[]=x"), 0 },
    { ROW("https://app.example/cb?code%5B%5D=x"), WEB }, /* another parameter */
    { ROW("https://app.example/cb?cod=x&ode&codex=y&xcode"), WEB },
};

static void a_uri_is_good_where_it_may_be_registered_and_nowhere_else(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *at = exactly(rows[i].uri);
        for (int kind = CLIENT_URI_REDIRECT; kind <= CLIENT_URI_RESOURCE; kind++) {
            const char *fault = client_uri_fault((struct str){ at, rows[i].uri.len }, (enum client_uri)kind);
            const bool is_good = rows[i].good_as & 1 << kind;
            if (is_good != !fault)
                fail_msg("%.*s as kind %d: %s", (int)rows[i].uri.len, rows[i].uri.at, kind, fault ? fault : "good");
        }
        free(at);
    }
}

static void a_uri_is_bounded(void **state)
{
    char text[CLIENT_URI_MAX + 2];
    (void)state;
    memset(text, 'x', sizeof text);
    memcpy(text, "https://a.example/", 18);
    assert_null(client_uri_fault((struct str){ text, CLIENT_URI_MAX }, CLIENT_URI_REDIRECT));
    assert_non_null(client_uri_fault((struct str){ text, CLIENT_URI_MAX + 1 }, CLIENT_URI_REDIRECT));
}

static void the_host_is_told_without_its_port(void **state)
{
    (void)state;
    assert_str(client_uri_host(STR("https://a.example:8443/b:c")), "a.example");
    assert_str(client_uri_host(STR("https://[2001:db8::1]:8443")), "[2001:db8::1]");
    assert_str(client_uri_host(STR("https://[2001:db8::1]")), "[2001:db8::1]");
    assert_str(client_uri_host(STR("https://a.example?x:y")), "a.example");
    assert_str(client_uri_host(STR("com.example:/cb")), "");
    assert_str(client_uri_host(STR("x")), "");
    assert_str(client_uri_host(STR("")), "");
}

RUN(TEST(a_uri_is_good_where_it_may_be_registered_and_nowhere_else), TEST(a_uri_is_bounded),
    TEST(the_host_is_told_without_its_port))
