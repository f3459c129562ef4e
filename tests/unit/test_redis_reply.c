/* test_redis_reply.c: replies from bytes, however they are cut, and nothing that is not one. */
#include "redis/reply.h"
#include "unit.h"

/* Feeds `bytes` in steps; the first reply or NULL. */
static struct err read_in_steps(struct str bytes, size_t step, const struct reply **out)
{
    struct reply_reader *reader = reply_reader_new();
    struct err err = OK;
    *out = NULL;
    for (size_t at = 0; !err.code && !*out && at < bytes.len; at += step) {
        struct str part = { bytes.at + at, bytes.len - at < step ? bytes.len - at : step };
        char *copy = exactly(part);
        err = reply_feed(reader, (struct str){ copy, part.len });
        free(copy);
        if (!err.code)
            err = reply_next(reader, &arena, out);
    }
    reply_reader_free(reader);
    return err;
}

static void each_kind_reads_as_what_it_is_however_it_is_cut(void **state)
{
    const struct reply *reply;
    (void)state;
    for (size_t step = 1; step < 12; step++) {
        assert_ok(read_in_steps(STR("+OK\r\n"), step, &reply));
        assert_true(reply->kind == REPLY_STATUS);
        assert_str(reply->text, "OK");
        assert_ok(read_in_steps(STR("$5\r\nhe\r\no\r\n"), step, &reply));
        assert_str(reply->text, "he\r\no");
        assert_ok(read_in_steps(STR("$0\r\n\r\n"), step, &reply));
        assert_true(reply->kind == REPLY_TEXT && reply->text.len == 0);
        assert_ok(read_in_steps(STR("$-1\r\n"), step, &reply));
        assert_true(reply->kind == REPLY_NIL);
        assert_ok(read_in_steps(STR("*-1\r\n"), step, &reply));
        assert_true(reply->kind == REPLY_NIL);
        assert_ok(read_in_steps(STR(":-42\r\n"), step, &reply));
        assert_true(reply->kind == REPLY_NUMBER && reply->number == -42);
        assert_ok(read_in_steps(STR(":9223372036854775807\r\n"), step, &reply));
        assert_true(reply->kind == REPLY_NUMBER && reply->number == INT64_MAX);
        assert_ok(read_in_steps(STR(":-9223372036854775808\r\n"), step, &reply));
        assert_true(reply->kind == REPLY_NUMBER && reply->number == INT64_MIN);
        assert_ok(read_in_steps(STR(":0\r\n"), step, &reply));
        assert_true(reply->kind == REPLY_NUMBER && reply->number == 0);
        assert_ok(read_in_steps(STR("+\r\n"), step, &reply));
        assert_true(reply->kind == REPLY_STATUS && reply->text.len == 0);
        assert_ok(read_in_steps(STR("*0\r\n"), step, &reply));
        assert_true(reply->kind == REPLY_LIST && reply->count == 0);
        assert_ok(read_in_steps(STR("-NOAUTH a b\r\n"), step, &reply));
        assert_true(reply_is_error(reply, STR("NOAUTH")) && !reply_is_error(reply, STR("NOAUT")));
        assert_ok(read_in_steps(STR("*3\r\n$1\r\na\r\n*0\r\n*2\r\n:1\r\n$-1\r\n"), step, &reply));
        assert_true(reply->kind == REPLY_LIST && reply->count == 3);
        assert_str(reply_item(reply, 0, REPLY_TEXT)->text, "a");
        assert_int_equal(reply_item(reply, 1, REPLY_LIST)->count, 0);
        assert_int_equal(reply_item(reply_item(reply, 2, REPLY_LIST), 0, REPLY_NUMBER)->number, 1);
        assert_null(reply_item(reply, 3, REPLY_TEXT));
        assert_null(reply_item(reply, 0, REPLY_NUMBER));
        assert_null(reply_item(reply_item(reply, 0, REPLY_TEXT), 0, REPLY_TEXT));
    }
}

static void what_is_no_reply_is_refused(void **state)
{
    static const char *const bad[] = {
        "x\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        ":12x\r\n",
        ":\r\n",
        "$x\r\n",
        "$-2\r\n",
        "*-2\r\n",
        "*x\r\n",
        "%1\r\n+a\r\n+b\r\n", /* RESP3, which nobody asked for */
        "~1\r\n+a\r\n",
        ">1\r\n+a\r\n",
        "(123\r\n",
        "=6\r\ntxt:ab\r\n",
        ",1.5\r\n",
        "#t\r\n",
        "_\r\n",
        "|1\r\n+a\r\n+b\r\n+c\r\n",
        "!5\r\nERR x\r\n",
        "$?\r\n;1\r\na\r\n;0\r\n",
        "*?\r\n:1\r\n.\r\n",
        "*1\r\n,1.5\r\n",
        "\r\n",
        "\n",
        "+OK\n",
        "+O\rK\r\n",
        "+OK\r\r\n",
        ":+1\r\n",
        ":--1\r\n",
        ":-\r\n",
        ":01\r\n",
        ": 1\r\n",
        ":9223372036854775808\r\n",
        ":-9223372036854775809\r\n",
        ":-0\r\n",
        ":1.5\r\n",
        "$1\r\nab\r\n",
        "$1\r\na\n\n",
        "$-0\r\n",
        "$-01\r\n",
        "$01\r\na\r\n",
        "$ 1\r\na\r\n",
        "$\r\n\r\n",
        "*\r\n",
        "$16777217\r\n",
        "$2147483648\r\n",
        "$18446744073709551615\r\n",
        "$999999999\r\n",
        "*9999999999\r\n",
        "*262145\r\n",
        "*2147483647\r\n",
        "$99999999999999999999\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
    };
    const struct reply *reply;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_code(read_in_steps(str_of(bad[i]), 1000, &reply), ERR_UNAVAILABLE, bad[i]);
        assert_row(!reply, bad[i]);
    }
}

/* Lists in lists: the bound is for all of them together. */
static void the_items_of_one_reply_are_bounded_together(void **state)
{
    const struct reply *reply;
    (void)state;
    assert_code(read_in_steps(STR("*2\r\n*200000\r\n"), 1000, &reply), ERR_OK, "waits for more");
    assert_null(reply);
    struct buf bytes;
    buf_init(&bytes, &arena, 1024, 8 * 1024 * 1024);
    buf_add(&bytes, STR("*2\r\n*200000\r\n"));
    for (size_t i = 0; i < 200000; i++)
        buf_add(&bytes, STR(":1\r\n"));
    buf_add(&bytes, STR("*100000\r\n"));
    assert_code(read_in_steps(buf_str(&bytes), 65536, &reply), ERR_UNAVAILABLE, "too many");
}

/* Texts that are small enough each, in a list that is not. */
static void the_bytes_of_one_reply_are_bounded(void **state)
{
    struct reply_reader *reader = reply_reader_new();
    const struct reply *reply;
    const size_t len = 1024 * 1024;
    char *part = malloc(len);
    struct err err = OK;
    size_t fed = 0;
    (void)state;
    assert_non_null(part);
    memset(part, 'x', len);
    memcpy(part, "$1048564\r\n", 10);
    memcpy(part + len - 2, "\r\n", 2);
    assert_ok(reply_feed(reader, STR("*1000\r\n")));
    while (!err.code && fed < 64) {
        err = reply_feed(reader, (struct str){ part, len });
        if (!err.code)
            err = reply_next(reader, &arena, &reply);
        fed++;
    }
    assert_code(err, ERR_UNAVAILABLE, "too large");
    assert_in_range(fed, 16, 17);
    free(part);
    reply_reader_free(reader);
}

static void a_text_as_large_as_a_reply_may_be_is_read(void **state)
{
    struct reply_reader *reader = reply_reader_new();
    const size_t len = REPLY_BYTES_MAX - 20;
    const struct reply *reply;
    char *text = calloc(1, len);
    (void)state;
    assert_non_null(text);
    assert_ok(reply_feed(reader, arena_printf(&arena, "$%zu\r\n", len)));
    assert_ok(reply_feed(reader, (struct str){ text, len }));
    assert_ok(reply_next(reader, &arena, &reply));
    assert_null(reply);
    assert_ok(reply_feed(reader, STR("\r\n")));
    assert_ok(reply_next(reader, &arena, &reply));
    assert_int_equal(reply->text.len, len);
    assert_true(reply_reader_is_empty(reader));
    free(text);
    reply_reader_free(reader);
}

static void a_line_without_an_end_is_refused_however_it_drips(void **state)
{
    static const char starts[] = "+-:$*";
    (void)state;
    for (size_t i = 0; starts[i]; i++) {
        struct reply_reader *reader = reply_reader_new();
        const struct reply *reply;
        struct err err = reply_feed(reader, (struct str){ starts + i, 1 });
        size_t fed = 0;
        for (; !err.code && fed < REPLY_LINE_MAX * 2; fed++) {
            err = reply_feed(reader, STR("1"));
            if (!err.code)
                err = reply_next(reader, &arena, &reply);
        }
        assert_code(err, ERR_UNAVAILABLE, starts + i);
        assert_in_range(fed, REPLY_LINE_MAX - 1, REPLY_LINE_MAX + 1);
        reply_reader_free(reader);
    }
}

static void lists_in_lists_end_somewhere(void **state)
{
    const struct reply *reply;
    (void)state;
    assert_ok(read_in_steps(STR("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"), 3, &reply));
    for (size_t depth = 0; depth < REPLY_DEPTH_MAX; depth++)
        reply = reply_item(reply, 0, depth + 1 < REPLY_DEPTH_MAX ? REPLY_LIST : REPLY_NUMBER);
    assert_int_equal(reply->number, 1);
    assert_code(read_in_steps(STR("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*0\r\n"), 3, &reply), ERR_UNAVAILABLE,
                "one more");
}

static void what_is_left_over_is_seen(void **state)
{
    static const char *const left[] = { "+OK\r\n+", "+OK\r\n+OK\r\n", "+OK\r\n$1\r\n", "+OK\r\n*1\r\n" };
    const struct reply *reply;
    (void)state;
    for (size_t i = 0; i < COUNT(left); i++) {
        struct reply_reader *reader = reply_reader_new();
        assert_true(reply_reader_is_empty(reader));
        assert_ok(reply_feed(reader, STR("*1\r\n")));
        assert_ok(reply_next(reader, &arena, &reply));
        assert_true(!reply && !reply_reader_is_empty(reader));
        assert_ok(reply_feed(reader, STR(":1\r\n")));
        assert_ok(reply_next(reader, &arena, &reply));
        assert_true(reply && reply_reader_is_empty(reader));
        assert_ok(reply_feed(reader, str_of(left[i])));
        assert_ok(reply_next(reader, &arena, &reply));
        assert_row(reply && !reply_reader_is_empty(reader), left[i]);
        assert_ok(reply_next(reader, &arena, &reply)); /* a part that was taken in is left over too */
        assert_row(reply || !reply_reader_is_empty(reader), left[i]);
        reply_reader_free(reader);
    }
}

static void replies_that_come_together_are_read_one_by_one(void **state)
{
    struct reply_reader *reader = reply_reader_new();
    const struct reply *reply;
    (void)state;
    assert_ok(reply_feed(reader, STR("+a\r\n:1\r\n$1\r")));
    assert_ok(reply_next(reader, &arena, &reply));
    assert_str(reply->text, "a");
    assert_ok(reply_next(reader, &arena, &reply));
    assert_int_equal(reply->number, 1);
    assert_ok(reply_next(reader, &arena, &reply));
    assert_null(reply);
    assert_ok(reply_feed(reader, STR("\nb\r\n")));
    assert_ok(reply_next(reader, &arena, &reply));
    assert_str(reply->text, "b");
    reply_reader_free(reader);
    reply_reader_free(NULL);
}

RUN(TEST(each_kind_reads_as_what_it_is_however_it_is_cut), TEST(what_is_no_reply_is_refused),
    TEST(the_items_of_one_reply_are_bounded_together), TEST(the_bytes_of_one_reply_are_bounded),
    TEST(a_text_as_large_as_a_reply_may_be_is_read), TEST(a_line_without_an_end_is_refused_however_it_drips),
    TEST(lists_in_lists_end_somewhere), TEST(what_is_left_over_is_seen),
    TEST(replies_that_come_together_are_read_one_by_one))
