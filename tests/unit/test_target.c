/* test_target.c: what a request asks for, as wire/target.c reads it. */
#include "wire/target.h"
#include "unit.h"

static void a_target_is_read_by_its_form(void **state)
{
    static const struct {
        const char *target, *path, *query, *authority; /* NULL: there is none */
    } rows[] = {
        { "/", "/", NULL, NULL },
        { "/token", "/token", NULL, NULL },
        { "/token?a?b", "/token", "a?b", NULL },
        { "/token?", "/token", "", NULL },
        { "/?x=/metrics", "/", "x=/metrics", NULL },
        { "//h/metrics", "//h/metrics", NULL, NULL }, /* a path: its first segment is empty */
        { "/a%2Fb/%7e", "/a%2Fb/%7e", NULL, NULL },
        { "/-._~!$&'()*+,;=:@/", "/-._~!$&'()*+,;=:@/", NULL, NULL },
        { "/token?a[]={\"x\"|\\^`<y>}%zz", "/token", "a[]={\"x\"|\\^`<y>}%zz", NULL }, /* as browsers send it */
        { "http://other.example/token?x", "/token", "x", "other.example" },
        { "HTTPS://other.example/token", "/token", NULL, "other.example" },
        { "http://other.example", "/", NULL, "other.example" },
        { "http://h?x=/metrics", "/", "x=/metrics", "h" },
        { "http://h?", "/", "", "h" },
        { "http://h:80/x", "/x", NULL, "h:80" },
        { "http://h:/x", "/x", NULL, "h:" }, /* a port may be empty (RFC 3986 section 3.2.3) */
        { "http://[2001:db8::1]:8080/x", "/x", NULL, "[2001:db8::1]:8080" },
        { "http://[::ffff:192.0.2.1]?x", "/", "x", "[::ffff:192.0.2.1]" },
        { "http://a%20b/x", "/x", NULL, "a%20b" },
        { "http://h//x", "//x", NULL, "h" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct target target;
        assert_row(target_read(STR("GET"), str_of(rows[i].target), &target), rows[i].target);
        assert_str(target.path, rows[i].path);
        assert_row((target.query.at == NULL) == (rows[i].query == NULL), rows[i].target);
        assert_str(target.query, rows[i].query ? rows[i].query : "");
        assert_row((target.authority.at == NULL) == (rows[i].authority == NULL), rows[i].target);
        assert_str(target.authority, rows[i].authority ? rows[i].authority : "");
    }
}

static void a_target_that_is_no_path_is_refused(void **state)
{
    static const struct str bad[] = {
        ROW(""),
        ROW("token"),
        ROW("?x"),
        ROW("*"), /* of OPTIONS alone */
        ROW("/a b"),
        ROW("/a\tb"),
        ROW("/a\0b"),
        ROW("/a\x7f"),
        ROW("/\xc3\xa4"),
        ROW("/a#b"),
        ROW("/a?b#c"),
        ROW("#"),
        ROW("/%"),
        ROW("/%4"),
        ROW("/%zz"),
        ROW("/a%4g"),
        ROW("/a\\b"),
        ROW("/a|b"),
        ROW("/a{b}"),
        ROW("/a[b]"),
        ROW("/a\"b"),
        ROW("/a<b>"),
        ROW("/a^b"),
        ROW("/a`b"),
        ROW("h:80"), /* authority-form, of CONNECT alone */
        ROW("h/metrics"),
        ROW("http:/metrics"),
        ROW("http:metrics"),
        ROW("http://"),
        ROW("http:///metrics"), /* a host there must be (RFC 9110 section 4.2.1) */
        ROW("http://?x"),
        ROW("http://:80/x"),
        ROW("http://u@h/x"), /* RFC 9110 section 4.2.4 */
        ROW("http://u:p@h/x"),
        ROW("http://h:8a/x"),
        ROW("http://h:80:80/x"),
        ROW("http://h:-1/x"),
        ROW("http://h#/x"),
        ROW("http://h/x#y"),
        ROW("http://h?x#y"),
        ROW("http://h\\x/y"),
        ROW("http://[/x"),
        ROW("http://[]/x"),
        ROW("http://[::1/x"),
        ROW("http://[::1]x/y"),
        ROW("http://[::1%25eth0]/x"),
        ROW("http://[127.0.0.1]/x"),
        ROW("http://[::1\0]/x"),
        ROW("http://[1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222]/x"),
        ROW("http://a[::1]/x"),
        ROW("http://%zz/x"),
        ROW("ftp://h/metrics"),
        ROW("urn:x:/metrics"),
        ROW("httpx://h/x"),
    };
    struct target target;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        char *copy = exactly(bad[i]);
        if (target_read(STR("GET"), (struct str){ copy, bad[i].len }, &target))
            fail_msg("row %zu was taken", i);
        free(copy);
    }
}

static void only_options_asks_of_the_whole_server_and_connect_of_nothing(void **state)
{
    static const char *const others[] = { "GET", "HEAD", "POST", "PRI", "options", "CONNECT" };
    struct target target;
    (void)state;
    assert_true(target_read(STR("OPTIONS"), STR("*"), &target));
    assert_str(target.path, "*");
    for (size_t i = 0; i < COUNT(others); i++)
        assert_row(!target_read(str_of(others[i]), STR("*"), &target), others[i]);
    assert_false(target_read(STR("OPTIONS"), STR("**"), &target));
    assert_false(target_read(STR("OPTIONS"), STR("*?x"), &target));
    assert_false(target_read(STR("CONNECT"), STR("h:80"), &target));
    assert_false(target_read(STR("CONNECT"), STR("/metrics"), &target));
}

RUN(TEST(a_target_is_read_by_its_form), TEST(a_target_that_is_no_path_is_refused),
    TEST(only_options_asks_of_the_whole_server_and_connect_of_nothing))
