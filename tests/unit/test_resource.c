/* test_resource.c: oauth/resource.c and wire/uri.c: which texts are absolute URIs, how they are divided, and that a
 * step never gets a resource that the one before did not have. */
#include "oauth/resource.h"
#include "wire/uri.h"
#include "unit.h"

static void an_absolute_uri_is_divided_at_its_delimiters(void **state)
{
    static const struct {
        const char *text, *scheme, *authority, *path, *query; /* NULL: there is none */
    } rows[] = {
        { "https://a.example/b?c", "https", "a.example", "/b", "c" },
        { "https://a.example", "https", "a.example", "", NULL },
        { "https://a.example?", "https", "a.example", "", "" },
        { "https://a.example?b?c/d", "https", "a.example", "", "b?c/d" },
        { "https://u:p@a.example:80/", "https", "u:p@a.example:80", "/", NULL },
        { "https:///b", "https", "", "/b", NULL },
        { "http://[::1]:8080/b//c", "http", "[::1]:8080", "/b//c", NULL },
        { "urn:example:a", "urn", NULL, "example:a", NULL },
        { "com.example.app:/b", "com.example.app", NULL, "/b", NULL },
        { "a+b-c.d1:", "a+b-c.d1", NULL, "", NULL },
        { "https:a?b", "https", NULL, "a", "b" },
        { "https://a.example/%2e%2E/b", "https", "a.example", "/%2e%2E/b", NULL },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct uri uri;
        char *copy = exactly(str_of(rows[i].text));
        const struct str text = { copy, strlen(rows[i].text) };
        assert_row(uri_split(text, &uri), rows[i].text);
        assert_str(uri.scheme, rows[i].scheme);
        assert_str(uri.path, rows[i].path);
        assert_row((uri.authority.at != NULL) == (rows[i].authority != NULL), rows[i].text);
        assert_row((uri.query.at != NULL) == (rows[i].query != NULL), rows[i].text);
        assert_str(uri.authority, rows[i].authority ? rows[i].authority : "");
        assert_str(uri.query, rows[i].query ? rows[i].query : "");
        free(copy);
    }
}

static void what_no_uri_has_is_refused(void **state)
{
    static const struct str bad[] = {
        ROW(""),
        ROW("a"),
        ROW("/a"),
        ROW("//a.example/"),
        ROW(":"),
        ROW("://a.example"),
        ROW("1a:b"),
        ROW("-a:b"),
        ROW("a_b:c"),
        ROW("a%20b:c"),
        ROW("https://a.example/#"),
        ROW("https://a.example/#b"),
        ROW("https://a.example/ b"),
        ROW(" https://a.example/"),
        ROW("https://a.example/\\b"),
        ROW("https://a.example/\"b"),
        ROW("https://a.example/<b>"),
        ROW("https://a.example/{b}"),
        ROW("https://a.example/b|c"),
        ROW("https://a.example/b^c"),
        ROW("https://a.example/b`c"),
        ROW("https://a.example/%"),
        ROW("https://a.example/%2"),
        ROW("https://a.example/%2g"),
        ROW("https://a.example/%g2"),
        ROW("https://a.example/%%41"),
        ROW("https://a.example/\r\nb"),
        ROW("https://a.example/\tb"),
        ROW("https://a.example/\0b"),
        ROW("https://a.example/\x7f"),
        ROW("https://a.example/\xc3\xa4"),
        ROW("https://\xe2\x80\xaf/"),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct uri uri;
        char *copy = exactly(bad[i]);
        assert_row(!uri_split((struct str){ copy, bad[i].len }, &uri), bad[i].at);
        free(copy);
    }
}

static struct resources list_of(const char *const *texts)
{
    struct resources list = { .count = 0 };
    for (; *texts; texts++)
        assert_ok(resources_add(&list, str_of(*texts)));
    return list;
}

#define LIST(...) list_of((const char *const[]){ __VA_ARGS__, NULL })

static void a_resource_is_an_absolute_uri_of_bounded_length(void **state)
{
    static const struct str bad[] = { ROW(""),       ROW("a.example"), ROW("https://a.example/#b"),
                                      ROW("https:"), ROW("urn:"),      ROW("https://a.example/ ") };
    struct resources list = { .count = 0 };
    char longest[RESOURCE_LEN_MAX + 1];
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_code(resources_add(&list, bad[i]), ERR_INVALID_TARGET, bad[i].at);
    memset(longest, 'a', sizeof longest);
    longest[1] = ':';
    assert_code(resources_add(&list, (struct str){ longest, RESOURCE_LEN_MAX + 1 }), ERR_INVALID_TARGET, "too long");
    assert_int_equal(list.count, 0);
    assert_ok(resources_add(&list, (struct str){ longest, RESOURCE_LEN_MAX }));
    assert_ok(resources_add(&list, STR("urn:a")));
    assert_int_equal(list.count, 2);
}

static void a_resource_counts_once_and_there_are_at_most_8(void **state)
{
    struct resources list = { .count = 0 };
    (void)state;
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < RESOURCES_MAX; i++)
            assert_ok(resources_add(&list, arena_printf(&arena, "https://a.example/%d", i)));
    assert_int_equal(list.count, RESOURCES_MAX);
    assert_code(resources_add(&list, STR("https://a.example/8")), ERR_INVALID_TARGET, "the ninth");
    assert_int_equal(list.count, RESOURCES_MAX);
}

static void only_what_a_client_may_ask_for_is_allowed_byte_by_byte(void **state)
{
    static const struct str allowed[] = { ROW("https://a.example/x"), ROW("https://b.example") };
    static const char *const bad[] = { "https://a.example/x/", "https://A.example/x",   "https://a.example/X",
                                       "https://a.example",    "https://a.example/x?",  "https://a.example:443/x",
                                       "https://b.example/",   "https://a.example/%78", "https://a.example/./x" };
    struct resources asked = { .count = 0 };
    (void)state;
    assert_ok(resources_allow(&asked, allowed, COUNT(allowed), STR("")));
    assert_ok(resources_allow(&asked, NULL, 0, STR("")));
    asked = LIST("https://b.example", "https://a.example/x");
    assert_ok(resources_allow(&asked, allowed, COUNT(allowed), STR("")));
    assert_code(resources_allow(&asked, allowed, 1, STR("")), ERR_INVALID_TARGET, "one of them");
    assert_ok(resources_allow(&asked, allowed, 1, STR("api,https://b.example"))); /* what every token is for */
    assert_code(resources_allow(&asked, allowed, 1, STR("api,https://b.example/")), ERR_INVALID_TARGET, "another one");
    assert_code(resources_allow(&asked, NULL, 0, STR("")), ERR_INVALID_TARGET, "nothing is allowed");
    for (size_t i = 0; i < COUNT(bad); i++) {
        asked = LIST("https://b.example", bad[i]);
        assert_code(resources_allow(&asked, allowed, COUNT(allowed), STR("")), ERR_INVALID_TARGET, bad[i]);
    }
}

static void each_step_gets_what_it_asks_of_the_step_before_and_never_more(void **state)
{
    const struct resources none = { .count = 0 }, granted = LIST("https://a.example", "https://b.example");
    struct resources got = { .count = 7 };
    struct resources asked = none;
    (void)state;
    assert_ok(resources_narrow(&asked, &granted, &got)); /* none named: all */
    assert_int_equal(got.count, 2);
    asked = LIST("https://b.example");
    assert_ok(resources_narrow(&asked, &granted, &got));
    assert_int_equal(got.count, 1);
    assert_str(got.of[0], "https://b.example");
    asked = LIST("https://a.example");
    const struct resources narrower = got;
    assert_code(resources_narrow(&asked, &narrower, &got), ERR_INVALID_TARGET, "what the step before gave away");
    assert_str(got.of[0], "https://b.example"); /* untouched */
    asked = LIST("https://a.example", "https://c.example");
    assert_code(resources_narrow(&asked, &granted, &got), ERR_INVALID_TARGET, "one more");
    assert_code(resources_narrow(&asked, &none, &got), ERR_INVALID_TARGET, "nothing was granted by name");
    assert_ok(resources_narrow(&none, &none, &got));
    assert_int_equal(got.count, 0);
}

RUN(TEST(an_absolute_uri_is_divided_at_its_delimiters), TEST(what_no_uri_has_is_refused),
    TEST(a_resource_is_an_absolute_uri_of_bounded_length), TEST(a_resource_counts_once_and_there_are_at_most_8),
    TEST(only_what_a_client_may_ask_for_is_allowed_byte_by_byte),
    TEST(each_step_gets_what_it_asks_of_the_step_before_and_never_more))
