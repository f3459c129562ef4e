/* test_redis_form.c: what is an answer to a command, and its neighbours, which are none. */
#include "redis/form.h"
#include "unit.h"

#define COMMAND(the_form, ...)                                                                                         \
    {                                                                                                                  \
        .words = { __VA_ARGS__ }, .count = sizeof((struct str[]){ __VA_ARGS__ }) / sizeof(struct str),                 \
        .key = ROW("log"), .form = (the_form)                                                                          \
    }

static const struct redis_command set = COMMAND(redis_form_ok, ROW("SET"));
static const struct redis_command set_nx = COMMAND(redis_form_set_nx, ROW("SET"));
static const struct redis_command get = COMMAND(redis_form_value, ROW("GET"), ROW("k"));
static const struct redis_command info = COMMAND(redis_form_text, ROW("INFO"));
static const struct redis_command echo = COMMAND(redis_form_echo, ROW("ECHO"), ROW("mark 1"));
static const struct redis_command pttl = COMMAND(redis_form_life, ROW("PTTL"));
static const struct redis_command xadd = COMMAND(redis_form_id, ROW("XADD"));
static const struct redis_command xrange = COMMAND(redis_form_range, ROW("XRANGE"), ROW("log"), ROW("5-1"), ROW("+"),
                                                   ROW("COUNT"), ROW("2"));
static const struct redis_command first = COMMAND(redis_form_range, ROW("XRANGE"), ROW("log"), ROW("-"), ROW("+"),
                                                  ROW("COUNT"), ROW("1"));
static const struct redis_command xread = COMMAND(redis_form_news, ROW("XREAD"), ROW("STREAMS"), ROW("log"),
                                                  ROW("5-1"));
static const struct redis_command scan = COMMAND(redis_form_page, ROW("SCAN"), ROW("7"));
static const struct redis_command role = COMMAND(redis_form_role, ROW("ROLE"));
static const struct redis_command slots = COMMAND(redis_form_slots, ROW("CLUSTER"), ROW("SLOTS"));
static const struct redis_command master = COMMAND(redis_form_master, ROW("SENTINEL"));

#define ITEM(id) "*2\r\n$3\r\n" id "\r\n*2\r\n$1\r\nv\r\n$1\r\nx\r\n"
#define STREAM(name, items) "*1\r\n*2\r\n$3\r\n" name "\r\n" items

static const struct {
    const struct redis_command *command;
    const char *bytes;
    bool fits;
} rows[] = {
    { &set, "+OK\r\n", true },
    { &set, "+OK \r\n", false },
    { &set, "+ok\r\n", false },
    { &set, "+QUEUED\r\n", false },
    { &set, "$2\r\nOK\r\n", false },
    { &set, "$-1\r\n", false },
    { &set, ":1\r\n", false },
    { &set_nx, "+OK\r\n", true },
    { &set_nx, "$-1\r\n", true },
    { &set_nx, "$2\r\nOK\r\n", false },
    { &set_nx, "+\r\n", false },
    { &get, "$0\r\n\r\n", true },
    { &get, "$-1\r\n", true },
    { &get, "+OK\r\n", false },
    { &get, ":1\r\n", false },
    { &get, "*0\r\n", false },
    { &info, "$1\r\nx\r\n", true },
    { &info, "$-1\r\n", false },
    { &info, "+OK\r\n", false },
    { &echo, "$6\r\nmark 1\r\n", true },
    { &echo, "$6\r\nmark 2\r\n", false },
    { &echo, "$5\r\nmark \r\n", false },
    { &echo, "+mark 1\r\n", false },
    { &echo, "$-1\r\n", false },
    { &pttl, ":-2\r\n", true },
    { &pttl, ":9223372036854775807\r\n", true },
    { &pttl, ":-3\r\n", false },
    { &pttl, "$-1\r\n", false },
    { &xadd, "$3\r\n1-0\r\n", true },
    { &xadd, "$41\r\n18446744073709551615-18446744073709551615\r\n", true },
    { &xadd, "$22\r\n18446744073709551616-0\r\n", false },
    { &xadd, "$3\r\n1-x\r\n", false },
    { &xadd, "$4\r\n01-0\r\n", false },
    { &xadd, "$2\r\n1-\r\n", false },
    { &xadd, "$1\r\n1\r\n", false },
    { &xadd, "+1-0\r\n", false },
    { &xadd, "$-1\r\n", false },
    { &xrange, "*0\r\n", true },
    { &xrange, "*1\r\n" ITEM("5-1"), true },
    { &xrange, "*2\r\n" ITEM("5-1") ITEM("5-2"), true },
    { &xrange, "*2\r\n" ITEM("5-2") ITEM("6-0"), true },
    { &xrange, "*1\r\n" ITEM("5-0"), false },
    { &xrange, "*2\r\n" ITEM("5-2") ITEM("5-2"), false },
    { &xrange, "*2\r\n" ITEM("6-0") ITEM("5-2"), false },
    { &xrange, "*3\r\n" ITEM("5-1") ITEM("5-2") ITEM("5-3"), false },
    { &xrange, "*1\r\n*2\r\n$3\r\n5-1\r\n*1\r\n$1\r\nv\r\n", false },
    { &xrange, "*1\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nv\r\n:1\r\n", false },
    { &xrange, "*1\r\n*2\r\n$3\r\n5-1\r\n*2\r\n$1\r\nv\r\n-ERR\r\n", false },
    { &xrange, "*1\r\n*1\r\n$3\r\n5-1\r\n", false },
    { &xrange, "*1\r\n*2\r\n$3\r\n5-1\r\n$-1\r\n", false },
    { &xrange, "*-1\r\n", false },
    { &xrange, "+OK\r\n", false },
    { &first, "*1\r\n" ITEM("0-1"), true },
    { &first, "*2\r\n" ITEM("0-1") ITEM("0-2"), false },
    { &xread, "*-1\r\n", true },
    { &xread, STREAM("log", "*1\r\n" ITEM("5-2")), true },
    { &xread, STREAM("lox", "*1\r\n" ITEM("5-2")), false },
    { &xread, STREAM("log", "*0\r\n"), false },
    { &xread, STREAM("log", "*1\r\n" ITEM("4-2")), false },
    { &xread, "*0\r\n", false },
    { &scan, "*2\r\n$1\r\n0\r\n*0\r\n", true },
    { &scan, "*2\r\n$2\r\n12\r\n*1\r\n$1\r\nk\r\n", true },
    { &scan, "*2\r\n$1\r\n7\r\n*0\r\n", false },
    { &scan, "*2\r\n$20\r\n99999999999999999999\r\n*0\r\n", false },
    { &scan, "*2\r\n$1\r\nx\r\n*0\r\n", false },
    { &scan, "*2\r\n$0\r\n\r\n*0\r\n", false },
    { &scan, "*2\r\n:0\r\n*0\r\n", false },
    { &scan, "*2\r\n$1\r\n0\r\n*1\r\n:1\r\n", false },
    { &scan, "*3\r\n$1\r\n0\r\n*0\r\n*0\r\n", false },
    { &role, "*2\r\n$6\r\nmaster\r\n:0\r\n", true },
    { &role, "*0\r\n", false },
    { &role, "$6\r\nmaster\r\n", false },
    { &slots, "*0\r\n", true },
    { &slots, "*-1\r\n", false },
    { &master, "*-1\r\n", true },
    { &master, "*2\r\n$1\r\na\r\n$1\r\n1\r\n", true },
    { &master, "*1\r\n$1\r\na\r\n", false },
    { &master, "*2\r\n$1\r\na\r\n:1\r\n", false },
    { &master, "+OK\r\n", false },
};

static void each_answer_is_held_to_the_form_of_its_command(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct reply_reader *reader = reply_reader_new();
        const struct reply *reply;
        assert_ok(reply_feed(reader, str_of(rows[i].bytes)));
        assert_ok(reply_next(reader, &arena, &reply));
        assert_row(reply && reply_reader_is_empty(reader), rows[i].bytes);
        assert_row(rows[i].command->form(rows[i].command, reply) == rows[i].fits, rows[i].bytes);
        reply_reader_free(reader);
    }
}

static void an_error_is_of_no_form(void **state)
{
    const struct reply error = { .kind = REPLY_ERROR, .text = STR("ERR no") };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_row(!rows[i].command->form(rows[i].command, &error), rows[i].bytes);
}

RUN(TEST(each_answer_is_held_to_the_form_of_its_command), TEST(an_error_is_of_no_form))
