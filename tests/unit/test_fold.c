/* test_fold.c: names that a reader which folds them takes for one another. */
#include "jose/fold.h"
#include "unit.h"

static struct str folded(struct str name)
{
    char *copy = exactly(name);
    struct str made = name_fold(&arena, (struct str){ copy, name.len });
    free(copy);
    assert_true(utf8_valid(made));
    assert_true(str_eq(name_fold(&arena, made), made));
    return made;
}

static void a_name_is_folded_by_case_compatibility_and_what_is_seen(void **state)
{
    static const struct {
        struct str name;
        const char *folded;
    } rows[] = {
        { ROW(""), "" },
        { ROW("exp"), "exp" },
        { ROW("EXP"), "exp" },
        { ROW("ExP_1:/x"), "exp_1:/x" },
        { ROW("\xc5\xbf"
              "ub"),
          "sub" }, /* U+017F long s */
        { ROW("\xe2\x84\xaa"
              "ey"),
          "key" },                                                                           /* U+212A Kelvin sign */
        { ROW("\xef\xbc\xa5\xef\xbd\x98\xef\xbd\x90"), "exp" },                              /* fullwidth */
        { ROW("pro\xef\xac\x81le"), "profile" },                                             /* U+FB01 ligature fi */
        { ROW("cla\xc3\x9f"), "class" },                                                     /* sharp s */
        { ROW("\xf0\x9d\x90\xab\xf0\x9d\x94\xac\xf0\x9d\x95\x9d\xf0\x9d\x96\xbe"), "role" }, /* mathematical letters */
        { ROW("\xe2\x93\xa1ole"), "role" },                                                  /* U+24E1 in a circle */
        { ROW("r\xc2\xado\xe2\x80\x8dl\xf3\xa0\x80\x81"
              "e\xef\xb8\x8f"),
          "role" },                   /* soft hyphen, joiner, tag, variation selector */
        { ROW("\xc4\xb0ss"), "iss" }, /* I with a dot above */
        { ROW("\xc4\xb1ss"), "iss" }, /* i without one */
        { ROW("client\xef\xbc\xbf\xe2\x85\xb0"
              "d"),
          "client_id" },                       /* fullwidth low line, small roman one */
        { ROW("\xc2\xb9\xe2\x82\x82"), "12" }, /* superscript, subscript */
        { ROW("r\xc3\xb4le"), "r\xc3\xb4le" }, /* an accent is a difference */
        { ROW("R\xc3\x94LE"), "r\xc3\xb4le" },
        { ROW("\xce\xa3\xcf\x82\xcf\x83"), "\xcf\x83\xcf\x83\xcf\x83" }, /* three sigmas */
        { ROW("\xd0\xb5"
              "xp"),
          "\xd0\xb5xp" }, /* Cyrillic ie looks like e, but is none to any reader */
        { ROW("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_row(str_eq(folded(rows[i].name), str_of(rows[i].folded)), rows[i].name.at);
}

/* Every character that there is: nothing grows beyond its room, and folding twice changes nothing. */
static void every_character_is_folded_once_and_for_all(void **state)
{
    (void)state;
    for (uint32_t code = 1; code <= 0x10ffff; code++) {
        char room[64];
        struct arena own;
        unsigned char text[4];
        if (code >= 0xd800 && code <= 0xdfff)
            continue;
        size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
        uint32_t rest = code;
        for (size_t i = len - 1; i > 0; i--, rest >>= 6)
            text[i] = (unsigned char)(0x80 | (rest & 0x3f));
        text[0] = (unsigned char)((len == 1 ? 0 : 0xf00 >> len & 0xff) | rest);
        arena_init(&own, room, sizeof room);
        struct str once = name_fold(&own, (struct str){ (const char *)text, len });
        assert_true(once.len <= 3 * len && utf8_valid(once) && str_eq(name_fold(&own, once), once));
        arena_release(&own);
    }
}

static void members_clash_at_any_depth(void **state)
{
    static const struct {
        const char *text;
        bool clash;
    } rows[] = {
        { "{}", false },
        { "[]", false },
        { "\"x\"", false },
        { "{\"a\":1,\"b\":2}", false },
        { "{\"a\":1,\"A\":2}", true },
        { "{\"email\":1,\"x\":{},\"Ema\xc4\xb1l\":2}", true },
        { "{\"x\":[1,{\"y\":{\"a\":1,\"b\":2,\"A\":3}}]}", true },
        { "{\"x\":{\"a\":1},\"y\":{\"A\":1}}", false }, /* of two objects */
        { "{\"x\":[{\"a\":1},{\"A\":1}]}", false },
        { "{\"\":1,\"\xc2\xad\":2}", true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct json *json;
        assert_ok(json_parse(&arena, str_of(rows[i].text), &json));
        assert_row(names_clash(&arena, json) == rows[i].clash, rows[i].text);
    }
}

RUN(TEST(a_name_is_folded_by_case_compatibility_and_what_is_seen), TEST(every_character_is_folded_once_and_for_all),
    TEST(members_clash_at_any_depth))
