/* test_html.c: no text gets out of the place where it stands, between tags or in an attribute. */
#include "oauth/html.h"
#include "unit.h"

static struct str written(struct str text)
{
    struct buf out;
    char *copy = exactly(text);
    buf_init(&out, &arena, 16, 1 << 20);
    html_add(&out, (struct str){ copy, text.len });
    free(copy);
    assert_false(out.overflowed);
    return buf_str(&out);
}

#define NONE "\xef\xbf\xbd" /* U+FFFD */

static void a_text_shows_as_itself_and_nothing_else(void **state)
{
    static const struct {
        struct str text;
        const char *expected;
    } rows[] = {
        { ROW(""), "" },
        { ROW("Ada"), "Ada" },
        { ROW("<script>alert(1)</script>"), "&lt;script&gt;alert(1)&lt;/script&gt;" },
        { ROW("\"><img src=x onerror=alert(1)>"), "&quot;&gt;&lt;img src=x onerror=alert(1)&gt;" },
        { ROW("' onfocus='alert(1)"), "&#39; onfocus=&#39;alert(1)" },
        { ROW("` onfocus=`x"), "&#96; onfocus=&#96;x" },
        { ROW("a & b"), "a &amp; b" },
        { ROW("&lt;"), "&amp;lt;" }, /* not taken for a reference: once in, once out */
        { ROW("&#60;script&#62;"), "&amp;#60;script&amp;#62;" },
        { ROW("]]>--><!--"), "]]&gt;--&gt;&lt;!--" },
        { ROW("</style></script></title>"), "&lt;/style&gt;&lt;/script&gt;&lt;/title&gt;" },
        { ROW("{{7*7}}${7*7}"), "{{7*7}}${7*7}" },                       /* no template looks at it */
        { ROW("+ADw-script+AD4-alert(1)"), "+ADw-script+AD4-alert(1)" }, /* UTF-7: the page says that it is UTF-8 */
        { ROW("%3Cscript%3E"), "%3Cscript%3E" },
        { ROW("\tone\ntwo"), "\tone\ntwo" },
        { ROW("J\xc3\xb6rg \xe2\x82\xac \xf0\x9f\x98\x80"), "J\xc3\xb6rg \xe2\x82\xac \xf0\x9f\x98\x80" },
        { ROW("\xef\xbc\x9cscript\xef\xbc\x9e"), "\xef\xbc\x9cscript\xef\xbc\x9e" }, /* of full width */
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_str(written(rows[i].text), rows[i].expected);
}

static void what_is_no_character_is_replaced(void **state)
{
    static const struct {
        struct str text;
        const char *expected;
    } rows[] = {
        { ROW("a\0b"), "a" NONE "b" },
        { ROW("\0"), NONE },
        { ROW("<\0script>"), "&lt;" NONE "script&gt;" },
        { ROW("a\rb\x1b[31m\x7f"), "a" NONE "b" NONE "[31m" NONE },
        { ROW("\xc2\x80\xc2\x9f\xc2\xa0"), NONE NONE "\xc2\xa0" }, /* C1 */
        { ROW("\xff\xfe"), NONE NONE },
        { ROW("\x80"), NONE },
        { ROW("\xc3"), NONE },
        { ROW("\xc3<"), NONE "&lt;" }, /* a byte that waits for another doesn't eat it */
        { ROW("\xc3\""), NONE "&quot;" },
        { ROW("\xe2\x82\""), NONE NONE "&quot;" },
        { ROW("\xf0\x9f\x98>"), NONE NONE NONE "&gt;" },
        { ROW("\xc0\xbcscript\xc0\xbe"), NONE NONE "script" NONE NONE }, /* overlong < and > */
        { ROW("\xe0\x80\xbc"), NONE NONE NONE },
        { ROW("\xed\xa0\x80"), NONE NONE NONE }, /* half of a surrogate pair */
        { ROW("\xf4\x90\x80\x80"), NONE NONE NONE NONE },
        { ROW("\xef\xbf\xbe\xef\xbf\xbf"), NONE NONE }, /* U+FFFE, U+FFFF */
        { ROW("\xef\xb7\x90"), NONE },                  /* U+FDD0 */
        { ROW("\xf0\x9f\xbf\xbf"), NONE },              /* U+1FFFF */
        { ROW("\xef\xb7\x8f"), "\xef\xb7\x8f" },        /* U+FDCF, beside it */
        { ROW("\xef\xbf\xbd"), NONE },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_str(written(rows[i].text), rows[i].expected);
}

static void no_byte_and_no_two_bytes_leave_their_place(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 256; first++)
        for (unsigned second = 0; second < 256; second++) {
            const char text[2] = { (char)first, (char)second };
            const struct str got = written((struct str){ text, 2 });
            assert_false(str_has(got, '<') || str_has(got, '>') || str_has(got, '"') || str_has(got, '\'') ||
                         str_has(got, '`') || str_has(got, '\0'));
        }
}

static void a_link_goes_to_the_web_and_nowhere_else(void **state)
{
    static const struct {
        struct str url;
        bool fit;
    } rows[] = {
        { ROW("https://app.example/policy"), true },
        { ROW("http://127.0.0.1:3000/"), true },
        { ROW("https://app.example/?a=b&c=d#e"), true },
        { ROW(""), false },
        { ROW("https://"), false },
        { ROW("http://"), false },
        { ROW("javascript:alert(1)"), false },
        { ROW("JavaScript:alert(1)"), false },
        { ROW("java\nscript:alert(1)"), false },
        { ROW(" https://app.example/"), false },
        { ROW("https://app.example/ x"), false },
        { ROW("https://app.example/\n"), false },
        { ROW("https://app.example/\0"), false },
        { ROW("https://\xc3\xa4pp.example/"), false },
        { ROW("data:text/html,x"), false },
        { ROW("//app.example/"), false },
        { ROW("/policy"), false },
        { ROW("ftp://app.example/"), false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_row(html_url_is_fit(rows[i].url) == rows[i].fit, rows[i].url.at);
}

RUN(TEST(a_text_shows_as_itself_and_nothing_else), TEST(what_is_no_character_is_replaced),
    TEST(no_byte_and_no_two_bytes_leave_their_place), TEST(a_link_goes_to_the_web_and_nowhere_else))
