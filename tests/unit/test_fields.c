/* test_fields.c: what field values are made of, as wire/fields.c reads it. */
#include "unit.h"
#include "wire/fields.h"

static void a_list_is_divided_by_commas_that_stand_in_no_quotes(void **state)
{
    static const struct {
        const char *list, *elements; /* each with a '|' behind it */
    } rows[] = {
        { "", "" },
        { ",, ,\t,", "" },
        { "a", "a|" },
        { "a,b", "a|b|" },
        { " a ,\tb\t, ,c d", "a|b|c d|" },
        { "a=\"x,y\", b", "a=\"x,y\"|b|" },
        { "\"a\\\",b\",c", "\"a\\\",b\"|c|" },
        { "\"a,b", "\"a|b|" }, /* a quote without its end is a character like any other */
        { "a\"b,c\"d,e", "a\"b,c\"d|e|" },
        { "\\,\\", "\\|\\|" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *copy = exactly(str_of(rows[i].list));
        struct str rest = { copy, strlen(rows[i].list) }, element;
        struct buf seen;
        buf_init(&seen, &arena, 64, 256);
        while (field_next(&rest, &element)) {
            buf_add(&seen, element);
            buf_add_char(&seen, '|');
        }
        assert_str(buf_str(&seen), rows[i].elements);
        free(copy);
    }
    assert_true(field_has(STR("x, 100-Continue"), STR("100-continue")));
    assert_false(field_has(STR("100-continue;x"), STR("100-continue")));
    assert_false(field_has((struct str){ 0, 0 }, STR("x")));
}

static void parameters_of_a_media_type_have_their_form_and_say_nothing(void **state)
{
    static const char *const good[] = {
        "a/b",
        "A/B",
        "a/b;",
        "a/b ;",
        "a/b;;; ;",
        "a/b; charset=utf-8;",
        "a/b;charset=ISO-8859-1",
        "a/b ;\tx=y ; z=\"\"",
        "a/b;x=\"a;b\\\"c, =\"",
        "a/b;x=y;x=z",
    };
    static const char *const bad[] = { "",
                                       "/",
                                       "a",
                                       "a/",
                                       "/b",
                                       "a/bc",
                                       "aa/b",
                                       "a/b, a/b",
                                       "a/b a/b",
                                       "a/b;x",
                                       "a/b;x=",
                                       "a/b;=y",
                                       "a/b;x =y",
                                       "a/b;x= y",
                                       "a/b;x=\"y",
                                       "a/b;x=\"y\\\"",
                                       "a/b; x=y z",
                                       "a/b;x=y,",
                                       "a/b;x=\xc3\xa4",
                                       "a/b;\"x\"=y",
                                       "*/*",
                                       " a/b" };
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        char *copy = exactly(str_of(good[i]));
        assert_row(field_is_type((struct str){ copy, strlen(good[i]) }, STR("a/b")), good[i]);
        free(copy);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        char *copy = exactly(str_of(bad[i]));
        assert_row(!field_is_type((struct str){ copy, strlen(bad[i]) }, STR("a/b")), bad[i]);
        free(copy);
    }
    assert_false(field_is_type((struct str){ 0, 0 }, STR("a/b")));
}

static void accept_says_of_a_type_what_its_most_specific_range_does(void **state)
{
    static const struct {
        const char *accept;
        int quality, specificity;
    } rows[] = {
        { "", 0, 0 },
        { "a/b", 1000, 3 },
        { "A/B", 1000, 3 },
        { "a/b;q=0", 0, 3 },
        { "a/b;q=0.5", 500, 3 },
        { "a/b;Q=0.123", 123, 3 },
        { "a/b;q=1.000", 1000, 3 },
        { "a/b; x=y; q=0.1", 100, 3 },
        { "a/c", 0, 0 },
        { "a/*", 1000, 2 },
        { "*/*;q=0.8", 800, 1 },
        { "*/*, a/b;q=0.2", 200, 3 },
        { "a/b;q=0.2, */*", 200, 3 },
        { "a/*;q=0.3, */*, a/c", 300, 2 },
        { "a/b;q=0.3, a/b;q=0.4", 400, 3 },
        { "*/b", 0, 0 },
        { "*", 0, 0 }, /* no range */
        { "a/b;q=1.1", 0, 0 },
        { "a/b;q=2", 0, 0 },
        { "a/b;q=0.1234", 0, 0 },
        { "a/b;q=", 0, 0 },
        { "a/b;q=.5", 0, 0 },
        { "a/b;q=-1", 0, 0 },
        { "a/b;q=\"1\"", 0, 0 },
        { "nonsense, a/b;q=x, a/*;q=0.7", 700, 2 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct preference got = field_preference(str_of(rows[i].accept), STR("a/b"));
        assert_row(got.quality == rows[i].quality && got.specificity == rows[i].specificity, rows[i].accept);
    }
}

static void max_age_is_a_number_of_seconds_and_the_smallest_counts(void **state)
{
    static const struct {
        const char *value;
        bool has;
        int64_t seconds;
    } rows[] = {
        { "max-age=600", true, 600 },
        { "Max-Age=0", true, 0 },
        { "public, max-age=\"600\", immutable", true, 600 },
        { "max-age=9, max-age=7, max-age=8", true, 7 },
        { "max-age=9,max-age=x", true, 0 },
        { "max-age=-1", true, 0 },
        { "max-age=1.5", true, 0 },
        { "max-age=1e3", true, 0 },
        { "max-age=\"\"", true, 0 },
        { "max-age=99999999999999999999", true, 0 },
        { "", false, 0 },
        { "max-age", false, 0 },
        { "max-age=", false, 0 },
        { "max-age =5", false, 0 },
        { "max-age= 5", false, 0 },
        { "max-age=5 6", false, 0 },
        { "s-maxage=5", false, 0 },
        { "max-age:5", false, 0 },
        { "\"max-age=5\"", false, 0 },
        { "no-cache=\"a, max-age=5\"", false, 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t seconds = 0;
        char *copy = exactly(str_of(rows[i].value));
        const bool has = field_max_age((struct str){ copy, strlen(rows[i].value) }, &seconds);
        assert_row(has == rows[i].has && (!has || seconds == rows[i].seconds), rows[i].value);
        free(copy);
    }
}

static void an_entity_tag_is_found_in_a_list_of_them(void **state)
{
    static const char *const has[] = {
        "\"x\"",           "W/\"x\"",  " \"x\" ", "\"a\", \"x\"", "\"x\",\"a\"",
        "\"a\" , W/\"x\"", ",,\"x\",", "*",       "\"a,\",\"x\"",
    };
    static const char *const has_not[] = {
        "",        "x",          "\"X\"",       "\"x",       "x\"",           "\"a\", *",   "*, \"x\"",
        "**",      "\"a\"\"x\"", "\"a\" \"x\"", "w/\"x\"",   "W/ \"x\"",      "\"a, \"x\"", "\"a,\"x\",\"",
        "\"x\" y", "\"x y\"",    "\"x\"; q=1",  "\"\"x\"\"", "\"\\\"x\\\"\"", "\"x\x7f\"",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(has); i++)
        assert_row(field_has_etag(str_of(has[i]), STR("\"x\"")), has[i]);
    for (size_t i = 0; i < COUNT(has_not); i++) {
        char *copy = exactly(str_of(has_not[i]));
        assert_row(!field_has_etag((struct str){ copy, strlen(has_not[i]) }, STR("\"x\"")), has_not[i]);
        free(copy);
    }
}

RUN(TEST(a_list_is_divided_by_commas_that_stand_in_no_quotes),
    TEST(parameters_of_a_media_type_have_their_form_and_say_nothing),
    TEST(accept_says_of_a_type_what_its_most_specific_range_does),
    TEST(max_age_is_a_number_of_seconds_and_the_smallest_counts), TEST(an_entity_tag_is_found_in_a_list_of_them))
