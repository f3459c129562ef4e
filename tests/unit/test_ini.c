/* test_ini.c: AWS's profile files. */
#include "aws/ini.h"
#include "unit.h"

static const char file[] = "outside = 0\n"
                           "# a comment\n"
                           "[default]\n"
                           "aws_access_key_id = AKIDDEFAULT\r\n"
                           "AWS_Secret_Access_Key=with=equals/and+more\n"
                           "; another\n"
                           "  nested = 1\n"
                           "\tnested = 2\n"
                           "\n"
                           "[ spaced ]\n"
                           "a = value # said\n"
                           "b = va#lue ;  x\n"
                           "c =\n"
                           "d\n"
                           "e = first\n"
                           "e = second\n"
                           "[profile one two]\n"
                           "a = of one two\n"
                           "[profile  wide\t]\n"
                           "a = of wide\n"
                           "[profileglued]\n"
                           "a = glued\n"
                           "[open\n"
                           "a = in none but glued\n"
                           "[default]\n"
                           "late = again\n"
                           "last = no end";

static void values_are_found_in_their_section(void **state)
{
    static const struct {
        const char *kind, *section, *name, *value; /* NULL: there is none */
    } rows[] = {
        { "", "default", "aws_access_key_id", "AKIDDEFAULT" },
        { "", "default", "aws_secret_access_key", "with=equals/and+more" },
        { "", "default", "AWS_SECRET_ACCESS_KEY", "with=equals/and+more" },
        { "", "default", "nested", NULL },
        { "", "default", "outside", NULL },
        { "", "default", "late", "again" },
        { "", "default", "last", "no end" },
        { "", "Default", "late", NULL },
        { "", "spaced", "a", "value" },
        { "", "spaced", "b", "va#lue" },
        { "", "spaced", "c", "" },
        { "", "spaced", "d", NULL },
        { "", "spaced", "e", "second" },
        { "", "spaced", "aws_access_key_id", NULL },
        { "", "one two", "a", NULL },
        { "profile", "one two", "a", "of one two" },
        { "profile", "wide", "a", "of wide" },
        { "profile", "glued", "a", NULL },
        { "profile", "", "a", NULL },
        { "profile", "default", "late", NULL },
        { "", "profileglued", "a", "in none but glued" },
        { "", "open", "a", NULL },
        { "", "", "outside", NULL },
        { "", "default", "", NULL },
    };
    char *text = exactly(str_of(file));
    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *row = arena_printf(&arena, "[%s %s] %s", rows[i].kind, rows[i].section, rows[i].name).at;
        struct str value = { 0, 0 };
        bool found = ini_find((struct str){ text, sizeof file - 1 }, str_of(rows[i].kind), str_of(rows[i].section),
                              str_of(rows[i].name), &value);
        assert_row(found == (rows[i].value != NULL), row);
        assert_row(!found || str_eq(value, str_of(rows[i].value)), row);
    }
    free(text);
    (void)state;
}

static void sections_are_known_also_without_values(void **state)
{
    assert_true(ini_has_section(STR("[a]"), STR(""), STR("a")));
    assert_true(ini_has_section(STR("x\n[profile a]\n"), STR("profile"), STR("a")));
    assert_false(ini_has_section(STR("[profile a]\n"), STR(""), STR("a")));
    assert_false(ini_has_section(STR("a]\n [a]\n[a\n"), STR(""), STR("a")));
    assert_false(ini_has_section(STR(""), STR(""), STR("a")));
    (void)state;
}

RUN(TEST(values_are_found_in_their_section), TEST(sections_are_known_also_without_values))
