/* test_json.c: what the reader takes, what it must not, and that writing gives back what was read. */
#include "base/json.h"
#include "unit.h"

/* Twice: once with a text that ends where its memory does. */
static struct err parse(struct str text, const struct json **out)
{
    const struct json *seen;
    char *copy = exactly(text);
    struct err err = json_parse(&arena, (struct str){ copy, text.len }, &seen);
    free(copy);
    struct err again = json_parse(&arena, text,
                                  out); /* for use: strings are views into the text, which must outlive it */
    assert_int_equal(err.code, again.code);
    return again;
}

static struct str written(const struct json *value)
{
    struct buf buf;
    buf_init(&buf, &arena, 16, 1024 * 1024);
    json_write(&buf, value);
    assert_false(buf.overflowed);
    return buf_str(&buf);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static void whatever_rfc_8259_allows_is_read_and_written_again(void **state)
{
    static const struct {
        const char *text, *compact;
    } rows[] = {
        { "null", "null" },
        { "true", "true" },
        { "false", "false" },
        { " \t\r\n0 ", "0" },
        { "-0", "-0" },
        { "0.0", "0.0" },
        { "-12.5e+3", "-12.5e+3" },
        { "123456789012345678901234567890", "123456789012345678901234567890" }, /* no double could hold its digits */
        { "1e308", "1e308" },
        { "1e-9999", "1e-9999" }, /* rounds to 0, which is finite */
        { "\"\"", "\"\"" },
        { "\"a b\"", "\"a b\"" },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\\"\\\\/\\b\\f\\n\\r\\t\"" },
        { "\"\\u0041\\u00e4\\u20ac\\ud83d\\ude00\"", "\"A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"" },
        { "\"\\uD83D\\uDE00\"", "\"\xf0\x9f\x98\x80\"" },
        { "\"\\ud800\\udc00\\udbff\\udfff\"", "\"\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"" },
        { "\"\\u0001\\u001f\\u007f\"", "\"\\u0001\\u001f\x7f\"" },
        { "\"\\uFFFF\\uFFFE\"", "\"\xef\xbf\xbf\xef\xbf\xbe\"" },
        { "[]", "[]" },
        { "{}", "{}" },
        { "[ [ ] , { } ]", "[[],{}]" },
        { "[1,\"a\",null,true,{\"b\":[]}]", "[1,\"a\",null,true,{\"b\":[]}]" },
        { "{\"\":1}", "{\"\":1}" },
        { "{ \"a\" : 1 , \"A\" : 2, \"a \" : 3 }", "{\"a\":1,\"A\":2,\"a \":3}" }, /* three names */
        { "{\"a\":{\"a\":{\"a\":1}}}", "{\"a\":{\"a\":{\"a\":1}}}" },
        { "[{\"a\":1},{\"a\":1}]", "[{\"a\":1},{\"a\":1}]" },
        { "{\"\\u0061b\":1}", "{\"ab\":1}" },
        { "{\"a\":[1,2],\"b\":{\"c\":\"d\"},\"e\":-1}", "{\"a\":[1,2],\"b\":{\"c\":\"d\"},\"e\":-1}" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct json *value = NULL;
        assert_code(parse(str_of(rows[i].text), &value), ERR_OK, rows[i].text);
        assert_str(written(value), rows[i].compact);
    }
}

static void what_is_not_json_is_refused_with_a_sentence(void **state)
{
    static const struct str rows[] = {
        ROW(""),
        ROW(" "),
        ROW("\n\t"),
        ROW("\xef\xbb\xbf{}"), /* a byte order mark */
        ROW("\v1"),
        ROW("\xc2\xa0"
            "1"), /* a no-break space is no white space */
        ROW("1 2"),
        ROW("{}{}"),
        ROW("{} x"),
        ROW("{}\0"),
        ROW("\0{}"),
        ROW("nul"),
        ROW("nulll"),
        ROW("Null"),
        ROW("True"),
        ROW("TRUE"),
        ROW("undefined"),
        ROW("NaN"),
        ROW("-NaN"),
        ROW("Infinity"),
        ROW("-Infinity"),
        ROW("-"),
        ROW("+1"),
        ROW("01"),
        ROW("-01"),
        ROW("00"),
        ROW("1."),
        ROW(".5"),
        ROW("-.5"),
        ROW("1e"),
        ROW("1e+"),
        ROW("1E-"),
        ROW("1e+-2"),
        ROW("1e1.5"),
        ROW("0x10"),
        ROW("1_000"),
        ROW("1,000"),
        ROW("1e400"),
        ROW("-1e400"),
        ROW("1e999999999999999999999"),
        ROW("1.7976931348623159e308"), /* rounds to infinity */
        ROW("\xd9\xa1"),               /* a digit, of Arabic */
        ROW("\""),
        ROW("\"a"),
        ROW("\"a\\"),
        ROW("\"a\\\""),
        ROW("'a'"),
        ROW("\"a\nb\""),
        ROW("\"a\tb\""),
        ROW("\"a\0b\""),
        ROW("\"\x1f\""),
        ROW("\"\\u0000\""),
        ROW("\"a\\u0000b\""),
        ROW("\"\\a\""),
        ROW("\"\\'\""),
        ROW("\"\\x41\""),
        ROW("\"\\\0\""),
        ROW("\"\\u\""),
        ROW("\"\\u004\""),
        ROW("\"\\u004g\""),
        ROW("\"\\u 041\""),
        ROW("\"\\u-041\""),
        ROW("\"\\u+041\""),
        ROW("\"\\U0041\""),
        ROW("\"\\u004"),
        ROW("\"\\ud800\""), /* half a pair */
        ROW("\"\\udc00\""),
        ROW("\"\\udc00\\ud800\""), /* the wrong way round */
        ROW("\"\\ud800\\ud800\""),
        ROW("\"\\ud800\\u0041\""),
        ROW("\"\\ud800x\""),
        ROW("\"\\ud800\\n\""),
        ROW("\"\\ud800\\udc0\""),
        ROW("\"\\ud800\\"),
        ROW("\"\x80\""),
        ROW("\"\xc3\""),
        ROW("\"\xc3("),
        ROW("\"\xc0\xaf\""), /* overlong */
        ROW("\"\xc1\xbf\""),
        ROW("\"\xe0\x9f\xbf\""),
        ROW("\"\xf0\x8f\xbf\xbf\""),
        ROW("\"\xed\xa0\x80\""), /* a surrogate in UTF-8 */
        ROW("\"\xed\xbf\xbf\""),
        ROW("\"\xf4\x90\x80\x80\""), /* above U+10FFFF */
        ROW("\"\xf5\x80\x80\x80\""),
        ROW("\"\xfe\xff\""),
        ROW("\"\xe2\x82\""),
        ROW("\"\xf0\x9f\x98\""),
        ROW("\"\\n\x80\""), /* the same behind an escape, where the string is rebuilt */
        ROW("\"\\n\xc0\xaf\""),
        ROW("\"\\n\xed\xa0\x80\""),
        ROW("\"\\n\n\""),
        ROW("\"\\n\0\""),
        ROW("\"\\n"),
        ROW("\"\\n\xe2\x82"),
        ROW("["),
        ROW("]"),
        ROW("[1"),
        ROW("[1,"),
        ROW("[1,]"),
        ROW("[,1]"),
        ROW("[,]"),
        ROW("[1,,2]"),
        ROW("[1 2]"),
        ROW("[1:2]"),
        ROW("[1}"),
        ROW("[1]]"),
        ROW("[\"a\":1]"),
        ROW("{"),
        ROW("}"),
        ROW("{]"),
        ROW("{\"a\"}"),
        ROW("{\"a\":}"),
        ROW("{\"a\":1"),
        ROW("{\"a\":1,"),
        ROW("{\"a\":1,}"),
        ROW("{,}"),
        ROW("{,\"a\":1}"),
        ROW("{\"a\" 1}"),
        ROW("{\"a\",1}"),
        ROW("{\"a\"::1}"),
        ROW("{\"a\":1 \"b\":2}"),
        ROW("{\"a\":1;\"b\":2}"),
        ROW("{a:1}"),
        ROW("{'a':1}"),
        ROW("{1:1}"),
        ROW("{null:1}"),
        ROW("{[]:1}"),
        ROW("{\"a\":1]"),
        ROW("// c\n1"),
        ROW("/* c */1"),
        ROW("1 # c"),
        ROW("{\"a\":1,\"a\":1}"), /* the same name twice: one parser takes the first, another the last */
        ROW("{\"a\":1,\"b\":2,\"a\":3}"),
        ROW("{\"a\":1,\"\\u0061\":2}"),
        ROW("{\"\":1,\"\":2}"),
        ROW("{\"x\":{\"a\":1,\"a\":2}}"),
        ROW("[[{\"alg\":\"RS256\",\"alg\":\"none\"}]]"),
        ROW("{\"\xc3\xa4\":1,\"\\u00e4\":2}"),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct json untouched, *value = &untouched;
        struct err err = parse(rows[i], &value);
        assert_code(err, ERR_INVALID_REQUEST, rows[i].at);
        assert_ptr_equal(value, &untouched);
        assert_non_null(err.why);
        assert_true(strlen(err.why) > 10);
    }
}

static void nothing_at_all_is_refused(void **state)
{
    const struct json *value;
    (void)state;
    assert_code(json_parse(&arena, (struct str){ NULL, 0 }, &value), ERR_INVALID_REQUEST, "NULL");
}

/* Every place of a text at which a byte can end, and each byte that can stand there instead. */
static void every_cut_and_every_changed_byte_is_taken_or_refused_within_the_text(void **state)
{
    static const char text[] =
        "{\"a\\u00e4\\ud83d\\ude00\":[1.5e3,-0,true,null,{\"\":\"\xe2\x82\xac\\n\"}],\"bcdefghijkl\":{}}";
    const size_t len = sizeof text - 1;
    const struct json *value;
    (void)state;
    assert_ok(parse(str_of(text), &value));
    for (size_t cut = 0; cut < len; cut++)
        assert_code(parse((struct str){ text, cut }, &value), ERR_INVALID_REQUEST, "cut short");
    for (size_t at = 0; at < len; at++)
        for (int byte = 0; byte < 256; byte++) {
            char changed[sizeof text];
            memcpy(changed, text, sizeof text);
            changed[at] = (char)byte;
            if (parse((struct str){ changed, len }, &value).code == ERR_OK)
                assert_ok(parse(written(value), &value));
        }
    arena_release(&arena);
}

/* The scan looks at eight bytes at once: each place within a word must be looked at. */
static void a_quote_an_escape_or_a_control_character_is_seen_at_every_place(void **state)
{
    (void)state;
    for (size_t before = 0; before < 40; before++)
        for (int byte = 0; byte < 256; byte++) {
            char text[64] = { 0 };
            const struct json *value;
            text[0] = '"';
            memset(text + 1, 'x', before);
            text[before + 1] = (char)byte;
            memset(text + before + 2, 'y', 10);
            text[before + 12] = '"';
            struct err err = parse((struct str){ text, before + 13 }, &value);
            bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            assert_int_equal(err.code, plain ? ERR_OK : ERR_INVALID_REQUEST);
            if (!plain)
                continue;
            assert_int_equal(value->text.len, before + 11);
            assert_int_equal(value->text.at[before], byte);
        }
}

static void utf8_is_valid_exactly_as_rfc_3629_has_it(void **state)
{
    (void)state;
    for (uint32_t point = 0; point <= 0x110000; point += point < 0x1000 ? 1 : 0x3f) {
        unsigned char at[4];
        size_t len;
        if (point < 0x80) {
            at[0] = (unsigned char)point;
            len = 1;
        } else if (point < 0x800) {
            at[0] = (unsigned char)(0xc0 | point >> 6);
            len = 2;
        } else if (point < 0x10000) {
            at[0] = (unsigned char)(0xe0 | point >> 12);
            len = 3;
        } else {
            at[0] = (unsigned char)(0xf0 | point >> 18);
            len = 4;
        }
        for (size_t i = 1; i < len; i++)
            at[i] = (unsigned char)(0x80 | (point >> 6 * (len - 1 - i) & 0x3f));
        bool good = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
        assert_int_equal(utf8_valid((struct str){ (const char *)at, len }), good);
        for (size_t cut = 1; cut < len; cut++)
            assert_false(utf8_valid((struct str){ (const char *)at, cut }));
    }
    assert_true(utf8_valid((struct str){ NULL, 0 }));
    assert_true(utf8_valid(STR("a\0b")));
}

/* --- bounds ------------------------------------------------------------------------------------------------------ */

static struct str repeated(struct str head, struct str each, size_t times, struct str tail)
{
    struct buf buf;
    buf_init(&buf, &arena, 1024, 16 * 1024 * 1024);
    buf_add(&buf, head);
    for (size_t i = 0; i < times; i++)
        buf_add(&buf, each);
    buf_add(&buf, tail);
    assert_false(buf.overflowed);
    return buf_str(&buf);
}

static struct str nested(struct str open, struct str middle, struct str close, size_t depth)
{
    struct str head = repeated(STR(""), open, depth, middle);
    return repeated(head, close, depth, STR(""));
}

static void nesting_ends_at_its_bound(void **state)
{
    const struct json *value;
    (void)state;
    assert_ok(parse(nested(STR("["), STR(""), STR("]"), JSON_DEPTH_MAX), &value));
    assert_int_equal(written(value).len, 2 * JSON_DEPTH_MAX);
    assert_ok(parse(nested(STR("{\"a\":"), STR("1"), STR("}"), JSON_DEPTH_MAX), &value));
    assert_ok(parse(nested(STR("[{\"a\":"), STR("1"), STR("}]"), JSON_DEPTH_MAX / 2), &value));
    assert_code(parse(nested(STR("["), STR(""), STR("]"), JSON_DEPTH_MAX + 1), &value), ERR_INVALID_REQUEST, "[");
    assert_code(parse(nested(STR("{\"a\":"), STR("1"), STR("}"), JSON_DEPTH_MAX + 1), &value), ERR_INVALID_REQUEST,
                "{");
    assert_code(parse(nested(STR("["), STR(""), STR("]"), 1000000), &value), ERR_INVALID_REQUEST, "a million [");
    assert_code(parse(repeated(STR(""), STR("["), 1000000, STR("")), &value), ERR_INVALID_REQUEST, "open [");
    assert_code(parse(repeated(STR(""), STR("{\"a\":"), 1000000, STR("")), &value), ERR_INVALID_REQUEST, "open {");
}

static void the_number_of_values_ends_at_its_bound(void **state)
{
    const struct json *value;
    (void)state;
    /* the array itself is a value too */
    assert_ok(parse(repeated(STR("["), STR("1,"), JSON_NODES_MAX - 2, STR("1]")), &value));
    assert_int_equal(value->count, JSON_NODES_MAX - 1);
    assert_code(parse(repeated(STR("["), STR("1,"), JSON_NODES_MAX - 1, STR("1]")), &value), ERR_INVALID_REQUEST, "[");
    assert_code(parse(repeated(STR("["), STR("1,"), 1000000, STR("1]")), &value), ERR_INVALID_REQUEST, "a million");
}

static struct str object_of(size_t members)
{
    struct buf buf;
    buf_init(&buf, &arena, 1024, 16 * 1024 * 1024);
    buf_add_char(&buf, '{');
    for (size_t i = 0; i < members; i++) {
        json_write_name(&buf, arena_printf(&arena, "m%zu", i));
        buf_add_int(&buf, (int64_t)i);
    }
    buf_add_char(&buf, '}');
    return buf_str(&buf);
}

static void the_number_of_members_ends_at_its_bound(void **state)
{
    const struct json *value;
    int64_t number;
    (void)state;
    assert_ok(parse(object_of(JSON_MEMBERS_MAX), &value));
    assert_int_equal(value->count, JSON_MEMBERS_MAX);
    assert_true(json_int(json_member(value, STR("m255")), 0, 300, &number));
    assert_int_equal(number, 255);
    assert_code(parse(object_of(JSON_MEMBERS_MAX + 1), &value), ERR_INVALID_REQUEST, "one more");
}

static void a_long_string_is_read_whole(void **state)
{
    const struct json *value;
    (void)state;
    assert_ok(parse(repeated(STR("\""), STR("x"), 1000000, STR("\"")), &value));
    assert_int_equal(value->text.len, 1000000);
    assert_ok(parse(repeated(STR("\""), STR("\\u20ac"), 100000, STR("\"")), &value));
    assert_int_equal(value->text.len, 300000);
    assert_int_equal(memcmp(value->text.at + 299997, "\xe2\x82\xac", 3), 0);
    assert_code(parse(repeated(STR("\""), STR("\\\\"), 100000, STR("")), &value), ERR_INVALID_REQUEST, "no end");
}

/* --- looking into a value ---------------------------------------------------------------------------------------- */

static void members_are_found_by_their_whole_name(void **state)
{
    const struct json *value;
    (void)state;
    assert_ok(parse(STR("{\"a\":1,\"ab\":2,\"\":3,\"l\":[{\"a\":9}]}"), &value));
    assert_str(json_member(value, STR("a"))->text, "1");
    assert_str(json_member(value, STR("ab"))->text, "2");
    assert_str(json_member(value, STR(""))->text, "3");
    assert_null(json_member(value, STR("b")));
    assert_null(json_member(value, STR("A")));
    assert_null(json_member(value, STR("a\0")));
    assert_null(json_member(json_member(value, STR("l")), STR("a"))); /* an array has no members */
    assert_null(json_member(json_member(value, STR("a")), STR("a")));
    assert_null(json_member(NULL, STR("a")));
    assert_int_equal(json_member(value, STR("l"))->count, 1);
    assert_int_equal(value->count, 4);
}

static void the_text_of_a_branch_is_what_stood_there(void **state)
{
    const struct json *value;
    (void)state;
    assert_ok(parse(STR(" { \"a\" : [ 1 , 2 ] } "), &value));
    assert_str(value->text, "{ \"a\" : [ 1 , 2 ] }");
    assert_str(json_member(value, STR("a"))->text, "[ 1 , 2 ]");
}

static void integers_are_whole_and_within_their_range(void **state)
{
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } rows[] = {
        { "0", true, 0 },
        { "-0", true, 0 },
        { "1", true, 1 },
        { "-7", true, -7 },
        { "9223372036854775807", true, INT64_MAX },
        { "-9223372036854775808", true, INT64_MIN },
        { "9223372036854775808", false, 0 },
        { "-9223372036854775809", false, 0 },
        { "18446744073709551617", false, 0 },
        { "99999999999999999999999999", false, 0 },
        { "1.0", false, 0 },
        { "1e0", false, 0 },
        { "1E3", false, 0 },
        { "1.5", false, 0 },
        { "\"1\"", false, 0 },
        { "true", false, 0 },
        { "null", false, 0 },
        { "[1]", false, 0 },
        { "{}", false, 0 },
    };
    int64_t got;
    const struct json *value;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        got = 42;
        assert_ok(parse(str_of(rows[i].text), &value));
        assert_row(json_int(value, INT64_MIN, INT64_MAX, &got) == rows[i].good, rows[i].text);
        assert_row(got == (rows[i].good ? rows[i].value : 42), rows[i].text);
    }
    assert_ok(parse(STR("10"), &value));
    assert_true(json_int(value, 10, 10, &got));
    assert_false(json_int(value, 11, 20, &got));
    assert_false(json_int(value, 0, 9, &got));
    assert_false(json_int(NULL, 0, 9, &got));
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static void a_string_is_escaped_so_that_it_reads_back_the_same(void **state)
{
    (void)state;
    for (size_t before = 0; before < 17; before++)
        for (int byte = 1; byte < 128; byte++) {
            char text[32];
            const struct json *value;
            struct buf buf;
            memset(text, 'x', sizeof text);
            text[before] = (char)byte;
            const struct str s = { text, before + 9 };
            buf_init(&buf, &arena, 8, 256);
            json_write_str(&buf, s);
            assert_ok(parse(buf_str(&buf), &value));
            assert_true(str_eq(value->text, s));
            assert_null(memchr(buf.at, '\n', buf.len)); /* a log line stays one line */
        }
}

static void a_nul_within_a_string_is_escaped_too(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, &arena, 8, 256);
    json_write_str(&buf, STR("a\0b"));
    assert_str(buf_str(&buf), "\"a\\u0000b\"");
}

static void names_are_divided_by_commas_where_needed(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, &arena, 8, 256);
    buf_add_char(&buf, '{');
    json_write_name(&buf, STR("a"));
    buf_add_char(&buf, '{');
    json_write_name(&buf, STR("b"));
    buf_add_int(&buf, 1);
    json_write_name(&buf, STR("c"));
    json_write_str(&buf, STR("{")); /* a quoted brace is no brace */
    buf_add_char(&buf, '}');
    json_write_name(&buf, STR("d"));
    json_write_str(&buf, STR(","));
    json_write_name(&buf, STR("e"));
    buf_add(&buf, STR("null}"));
    assert_str(buf_str(&buf), "{\"a\":{\"b\":1,\"c\":\"{\"},\"d\":\",\",\"e\":null}");
}

static void a_member_is_written_without_its_name_or_its_neighbours(void **state)
{
    const struct json *value;
    (void)state;
    assert_ok(parse(STR("{\"a\":[1,{\"x\":2}],\"b\":\"c\",\"d\":[[]]}"), &value));
    assert_str(written(json_member(value, STR("a"))), "[1,{\"x\":2}]");
    assert_str(written(json_member(value, STR("b"))), "\"c\"");
    assert_str(written(json_member(value, STR("d"))), "[[]]");
}

static void members_are_written_and_read_again(void **state)
{
    static const struct str list[] = { STR_INIT("a"), STR_INIT("\""), STR_INIT("") };
    const struct json *value;
    struct str text = STR("as it was"), texts[4] = { STR("x") };
    size_t count = 1;
    struct buf buf;
    (void)state;
    buf_init(&buf, &arena, 8, 256);
    buf_add_char(&buf, '{');
    json_write_text(&buf, STR("t"), STR("a\"b"));
    json_write_text(&buf, STR("e"), STR(""));
    json_write_optional(&buf, STR("o"), STR(""));
    json_write_optional(&buf, STR("p"), STR("q"));
    json_write_int(&buf, STR("n"), -7);
    json_write_texts(&buf, STR("l"), list, COUNT(list));
    json_write_texts(&buf, STR("m"), list, 0);
    json_write_words(&buf, STR("w"), STR(" one  two "));
    json_write_words(&buf, STR("v"), STR(""));
    buf_add_char(&buf, '}');
    assert_str(buf_str(&buf), "{\"t\":\"a\\\"b\",\"e\":\"\",\"p\":\"q\",\"n\":-7,\"l\":[\"a\",\"\\\"\",\"\"],\"m\":[],"
                              "\"w\":[\"one\",\"two\"],\"v\":[]}");
    assert_ok(parse(buf_str(&buf), &value));
    assert_true(json_read_text(value, STR("absent"), 0, &text));
    assert_str(text, "as it was");
    assert_true(json_read_text(value, STR("t"), 3, &text));
    assert_str(text, "a\"b");
    assert_false(json_read_text(value, STR("t"), 2, &text));
    assert_false(json_read_text(value, STR("n"), 99, &text) || json_read_text(value, STR("l"), 99, &text));
    assert_true(json_read_texts(value, STR("absent"), (struct json_texts){ 0, 1, 1 }, texts, &count));
    assert_int_equal(count, 1);
    assert_true(json_read_texts(value, STR("l"), (struct json_texts){ 3, 0, 1 }, texts, &count));
    assert_int_equal(count, 4);
    assert_str(texts[2], "\"");
    count = 0;
    assert_false(json_read_texts(value, STR("l"), (struct json_texts){ 2, 0, 1 }, texts, &count));
    assert_false(json_read_texts(value, STR("l"), (struct json_texts){ 3, 1, 1 }, texts, &count));
    count = 0;
    assert_false(json_read_texts(value, STR("w"), (struct json_texts){ 3, 0, 2 }, texts, &count));
    assert_false(json_read_texts(value, STR("t"), (struct json_texts){ 3, 0, 9 }, texts, &count));
}

RUN(TEST(whatever_rfc_8259_allows_is_read_and_written_again), TEST(what_is_not_json_is_refused_with_a_sentence),
    TEST(nothing_at_all_is_refused), TEST(every_cut_and_every_changed_byte_is_taken_or_refused_within_the_text),
    TEST(a_quote_an_escape_or_a_control_character_is_seen_at_every_place),
    TEST(utf8_is_valid_exactly_as_rfc_3629_has_it), TEST(nesting_ends_at_its_bound),
    TEST(the_number_of_values_ends_at_its_bound), TEST(the_number_of_members_ends_at_its_bound),
    TEST(a_long_string_is_read_whole), TEST(members_are_found_by_their_whole_name),
    TEST(the_text_of_a_branch_is_what_stood_there), TEST(integers_are_whole_and_within_their_range),
    TEST(a_string_is_escaped_so_that_it_reads_back_the_same), TEST(a_nul_within_a_string_is_escaped_too),
    TEST(names_are_divided_by_commas_where_needed), TEST(a_member_is_written_without_its_name_or_its_neighbours),
    TEST(members_are_written_and_read_again))
