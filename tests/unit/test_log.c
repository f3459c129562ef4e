/* tests/unit/test_log.c: what stands on standard error, whatever the values are. */
#include "base/json.h"
#include "observe/log.h"
#include "observe/log_writer.h"
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

enum { LINE_LIMIT = 4096 };

/* --- standard error into a file and back; nothing may be asserted in between, for cmocka writes there too -------- */

static int kept_stderr = -1;
static FILE *captured;

static void begin_capture(void)
{
    captured = tmpfile();
    if (!captured)
        abort();
    kept_stderr = dup(STDERR_FILENO);
    (void)dup2(fileno(captured), STDERR_FILENO);
}

static struct str end_capture(void)
{
    (void)dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
    off_t size = lseek(fileno(captured), 0, SEEK_END);
    char *at = arena_alloc(&arena, (size_t)size + 1);
    if (pread(fileno(captured), at, (size_t)size, 0) != size)
        abort();
    at[size] = '\0';
    fclose(captured);
    return (struct str){ at, (size_t)size };
}

static struct str logged(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
    begin_capture();
    log_event(level, event, fields, count);
    return end_capture();
}

/* One line and nothing else, parsed. */
static const struct json *parsed(struct str text, const char *row)
{
    const struct json *line = NULL;
    assert_row(text.len > 1 && text.len <= LINE_LIMIT, row);
    assert_row(memchr(text.at, '\n', text.len) == text.at + text.len - 1, row);
    assert_code(json_parse(&arena, (struct str){ text.at, text.len - 1 }, &line), ERR_OK, row);
    assert_row(line->kind == JSON_OBJECT, row);
    return line;
}

/* --- JSON -------------------------------------------------------------------------------------------------------- */

static void a_line_is_one_json_object_with_time_level_event_and_fields(void **state)
{
    const struct log_field fields[] = { LOG_TEXT_("path", "/token"), LOG_INT("status", -7), LOG_STR("empty", STR("")) };
    log_configure(LOG_DEBUG, LOG_JSON);
    const struct json *line = parsed(logged(LOG_WARN, "request", fields, 3), "line");
    struct str time_text = json_member(line, STR("time"))->text;
    int64_t status = 0;
    assert_int_equal(line->count, 6);
    assert_str(line->child->name, "time");
    assert_int_equal(time_text.len, strlen("2026-01-02T03:04:05.678Z"));
    assert_memory_equal(time_text.at, "20", 2);
    assert_int_equal(time_text.at[10], 'T');
    assert_int_equal(time_text.at[19], '.');
    assert_int_equal(time_text.at[23], 'Z');
    assert_str(json_member(line, STR("level"))->text, "warn");
    assert_str(json_member(line, STR("event"))->text, "request");
    assert_str(json_member(line, STR("path"))->text, "/token");
    assert_str(json_member(line, STR("empty"))->text, "");
    assert_true(json_int(json_member(line, STR("status")), -100, 100, &status));
    assert_int_equal(status, -7);
    (void)state;
}

static void no_value_can_forge_a_line_or_steer_a_terminal(void **state)
{
    static const struct {
        struct str value;
        const char *json; /* as it stands in the line */
    } rows[] = {
        { ROW("plain /token?x=1"), "\"plain /token?x=1\"" },
        { ROW("\"},{\"level\":\"error"), "\"\\\"},{\\\"level\\\":\\\"error\"" },
        { ROW("a\nb\r\n"), "\"a\\u000ab\\u000d\\u000a\"" },
        { ROW("back\\slash"), "\"back\\\\slash\"" },
        { ROW("\x1b[31mred"), "\"\\u001b[31mred\"" },
        { ROW("nul\0byte"), "\"nul\\u0000byte\"" },
        { ROW("a eyJhbGciOiJub25lIn0.e30.c2ln z"), "\"a eyJ\"" }, /* a token */
        { ROW("eyJ.eyJ"), "\"eyJ.eyJ\"" },
        { { NULL, 0 }, "\"\"" }, /* a text that is not there is none, and no number */
        { ROW("del\x7f"), "\"del\\u007f\"" },
        { ROW("\xc2\x9b"
              "31m"),
          "\"\\u009b31m\"" },                   /* C1: CSI */
        { ROW("\xc2\xa0"), "\"\xc2\xa0\"" },    /* the first behind C1 */
        { ROW("\xe2\x80\xa8"), "\"\\u2028\"" }, /* a line separator */
        { ROW("\xe2\x80\xae"
              "txt.exe"),
          "\"\\u202etxt.exe\"" },                    /* right-to-left override */
        { ROW("\xe2\x80\xaf"), "\"\xe2\x80\xaf\"" }, /* the first behind the overrides */
        { ROW("gr\xc3\xbc\xc3\x9f \xf0\x9f\x94\x91"), "\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x94\x91\"" },
        { ROW("\xff"), "\"\xef\xbf\xbd\"" },
        { ROW("\xc3"), "\"\xef\xbf\xbd\"" }, /* cut short */
        { ROW("\xc3("), "\"\xef\xbf\xbd(\"" },
        { ROW("\xc0\xaf"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" },                 /* overlong */
        { ROW("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* a surrogate */
        { ROW("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
    };
    log_configure(LOG_INFO, LOG_JSON);
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *value = rows[i].value.at ? exactly(rows[i].value) : NULL;
        const struct log_field field = LOG_STR("v", ((struct str){ value, rows[i].value.len }));
        struct str line = logged(LOG_WARN, "e", &field, 1);
        struct str tail = arena_printf(&arena, ",\"event\":\"e\",\"v\":%s}\n", rows[i].json);
        free(value);
        assert_row(line.len > tail.len && str_eq((struct str){ line.at + line.len - tail.len, tail.len }, tail),
                   rows[i].json);
        assert_row(utf8_valid(line), rows[i].json);
    }
    (void)state;
}

static void a_line_too_long_is_cut_and_still_one_json_object(void **state)
{
    static const struct str units[] = { ROW("a"),   ROW("\""), ROW("\n"), ROW("\xc3\xbc"), ROW("\xf0\x9f\x94\x91"),
                                        ROW("\xff") };
    log_configure(LOG_INFO, LOG_JSON);
    for (size_t unit = 0; unit < COUNT(units); unit++)
        for (size_t times = 650; times < 5200; times += 7) {
            struct buf value;
            buf_init(&value, &arena, 1024, 64 * 1024);
            for (size_t i = 0; i < times; i++)
                buf_add(&value, units[unit]);
            const struct log_field fields[] = { LOG_STR("v", buf_str(&value)), LOG_INT("after", INT64_MIN) };
            struct str text = logged(LOG_WARN, "long", fields, 2);
            const struct json *line = parsed(text, units[unit].at);
            bool is_whole = json_member(line, STR("after")) != NULL;
            assert_row(is_whole != (json_member(line, STR("cut")) != NULL), units[unit].at);
            assert_row(is_whole || text.len > LINE_LIMIT - 128, units[unit].at); /* and not cut without need */
            arena_release(&arena);
            arena_init(&arena, NULL, 0);
        }
    (void)state;
}

static void fields_that_have_no_room_are_left_out_whole(void **state)
{
    struct log_field fields[600];
    log_configure(LOG_INFO, LOG_JSON);
    for (size_t i = 0; i < COUNT(fields); i++)
        fields[i] = LOG_INT(arena_printf(&arena, "field_%zu", i).at, INT64_MAX);
    const struct json *line = parsed(logged(LOG_WARN, "many", fields, COUNT(fields)), "600 fields");
    assert_non_null(json_member(line, STR("field_0")));
    assert_null(json_member(line, STR("field_599")));
    assert_int_equal(json_member(line, STR("cut"))->kind, JSON_TRUE);
    (void)state;
}

/* --- text -------------------------------------------------------------------------------------------------------- */

static void text_is_for_people_and_quotes_what_is_odd(void **state)
{
    static const struct {
        const char *value, *shown;
    } rows[] = {
        { "/token/verify", "/token/verify" },
        { "127.0.0.1:80", "127.0.0.1:80" },
        { "", "\"\"" },
        { "two words", "\"two words\"" },
        { "a=b", "\"a=b\"" },
        { "a\"b", "\"a\\\"b\"" },
        { "a\nb", "\"a\\u000ab\"" },
        { "\xff", "\"\xef\xbf\xbd\"" },
        { "\xc3\xbc", "\"\xc3\xbc\"" },
    };
    log_configure(LOG_INFO, LOG_TEXT);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct log_field fields[] = { LOG_TEXT_("v", rows[i].value), LOG_INT("n", 5) };
        struct str line = logged(LOG_WARN, "happened", fields, 2);
        struct str tail = arena_printf(&arena, " warn  happened  v=%s n=5\n", rows[i].shown);
        assert_row(line.len == strlen("12:34:56.789") + tail.len, rows[i].shown);
        assert_row(line.at[2] == ':' && line.at[5] == ':' && line.at[8] == '.', rows[i].shown);
        assert_row(str_eq((struct str){ line.at + 12, tail.len }, tail), rows[i].shown);
    }
    struct str bare = logged(LOG_ERROR, "happened", NULL, 0);
    assert_str(((struct str){ bare.at + 12, bare.len - 12 }), " error happened\n");
    (void)state;
}

static void text_too_long_is_cut_as_well(void **state)
{
    struct buf value;
    log_configure(LOG_INFO, LOG_TEXT);
    buf_init(&value, &arena, 1024, 64 * 1024);
    for (size_t i = 0; i < 9000; i++)
        buf_add_char(&value, '\x01');
    const struct log_field field = LOG_STR("v", buf_str(&value));
    struct str line = logged(LOG_WARN, "long", &field, 1);
    assert_true(line.len <= LINE_LIMIT && line.len > LINE_LIMIT - 128);
    const struct str tail = STR("\\u0001\" cut=true\n");
    assert_memory_equal(line.at + line.len - tail.len, tail.at, tail.len);
    (void)state;
}

/* --- levels, limit, failures ------------------------------------------------------------------------------------- */

static void a_context_stands_at_the_end_of_every_line_of_its_thread(void **state)
{
    const struct log_field context[] = { LOG_TEXT_("call", "c1"), LOG_INT("deadline_ms", 7) };
    (void)state;
    log_configure(LOG_INFO, LOG_JSON);
    log_context(context, 2);
    const struct json *line = parsed(logged(LOG_WARN, "event", &LOG_INT("own", 1), 1), "with a context");
    log_context(NULL, 0);
    assert_str(json_member(line, STR("own"))->text, "1");
    assert_str(json_member(line, STR("call"))->text, "c1");
    assert_str(json_member(line, STR("deadline_ms"))->text, "7");
    assert_null(json_member(parsed(logged(LOG_WARN, "event", NULL, 0), "without"), STR("call")));
}

static void a_level_that_is_not_wanted_costs_nothing_and_writes_nothing(void **state)
{
    int evaluated = 0;
    log_configure(LOG_WARN, LOG_JSON);
    assert_true(log_wants(LOG_ERROR));
    assert_true(log_wants(LOG_WARN));
    assert_false(log_wants(LOG_INFO));
    begin_capture();
    LOG(LOG_INFO, "quiet", LOG_INT("n", ++evaluated));
    log_event(LOG_DEBUG, "quiet", NULL, 0);
    struct str quiet = end_capture();
    begin_capture();
    LOG(LOG_WARN, "loud", LOG_INT("n", ++evaluated));
    struct str loud = end_capture();
    assert_int_equal(quiet.len, 0);
    assert_int_equal(evaluated, 1);
    assert_str(json_member(parsed(loud, "loud"), STR("event"))->text, "loud");
    (void)state;
}

static void sleep_into_the_next_second(void)
{
    struct timespec now, rest;
    clock_gettime(CLOCK_REALTIME, &now);
    rest = (struct timespec){ 0, 1000000000 - now.tv_nsec - 1 };
    nanosleep(&rest, NULL);
    nanosleep(&(struct timespec){ 0, 10000000 }, NULL);
}

static size_t count_of(struct str text, const char *part)
{
    size_t count = 0;
    for (const char *at = text.at; (at = strstr(at, part)); at++)
        count++;
    return count;
}

/* How many lines the lines that tell of dropped ones speak of. */
static size_t dropped_in(struct str text)
{
    static const char mark[] = "\"event\":\"log_lines_dropped\",\"lines\":";
    size_t dropped = 0;
    for (const char *at = text.at; (at = strstr(at, mark)); at++)
        dropped += strtoul(at + strlen(mark), NULL, 10);
    return dropped;
}

static void a_flood_is_limited_and_what_was_dropped_is_counted(void **state)
{
    enum { FLOOD = 20000 };
    log_configure(LOG_INFO, LOG_JSON);
    sleep_into_the_next_second();
    time_t before = time(NULL);
    begin_capture();
    for (int i = 0; i < FLOOD; i++)
        log_event(LOG_INFO, "flood", NULL, 0);
    log_event(LOG_WARN, "important", NULL, 0);
    time_t seconds = time(NULL) - before + 1;
    sleep_into_the_next_second();
    log_event(LOG_INFO, "after", NULL, 0);
    struct str text = end_capture();
    size_t written = count_of(text, "\"event\":\"flood\"");
    assert_true(written >= 1000 && written <= 1000 * (size_t)seconds);
    assert_true(written < FLOOD);
    assert_int_equal(written + dropped_in(text), FLOOD);
    assert_int_equal(count_of(text, "\"event\":\"important\""), 1);
    assert_int_equal(count_of(text, "\"event\":\"after\""), 1);
    (void)state;
}

static void a_line_that_the_kernel_refuses_is_counted_and_errno_kept(void **state)
{
    log_configure(LOG_INFO, LOG_JSON);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    if (full < 0)
        skip();
    sleep_into_the_next_second();
    int kept = dup(STDERR_FILENO);
    (void)dup2(full, STDERR_FILENO);
    errno = EDOM;
    log_event(LOG_INFO, "lost", NULL, 0);
    int after = errno;
    (void)dup2(kept, STDERR_FILENO);
    close(kept);
    close(full);
    sleep_into_the_next_second();
    struct str text = logged(LOG_INFO, "found", NULL, 0);
    assert_int_equal(after, EDOM);
    assert_int_equal(dropped_in(text), 1);
    (void)state;
}

enum { THREADS = 4, LINES = 500 };

static void *log_many(void *arg)
{
    for (int i = 0; i < LINES; i++)
        LOG(LOG_WARN, "threads", LOG_INT("thread", *(int *)arg), LOG_INT("line", i));
    return NULL;
}

static void lines_of_threads_never_mix(void **state)
{
    pthread_t threads[THREADS];
    int numbers[THREADS], next[THREADS] = { 0 };
    log_configure(LOG_INFO, LOG_JSON);
    begin_capture();
    for (int i = 0; i < THREADS; i++) {
        numbers[i] = i;
        if (pthread_create(&threads[i], NULL, log_many, &numbers[i]) != 0)
            abort();
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct str rest = end_capture(), line;
    size_t lines = 0;
    for (; str_cut(&rest, '\n', &line); lines++) {
        const struct json *object = NULL;
        int64_t thread = 0, number = 0;
        assert_ok(json_parse(&arena, line, &object));
        assert_true(json_int(json_member(object, STR("thread")), 0, THREADS - 1, &thread));
        assert_true(json_int(json_member(object, STR("line")), 0, LINES - 1, &number));
        assert_int_equal(number, next[thread]++);
    }
    assert_int_equal(lines, THREADS * LINES);
    (void)state;
}

static void a_token_is_named_by_twelve_digits_of_its_hash(void **state)
{
    unsigned char hash[32];
    char id[13];
    for (size_t i = 0; i < sizeof hash; i++)
        hash[i] = (unsigned char)(0x09 + 0x31 * i);
    log_token_id(hash, id);
    assert_string_equal(id, "093a6b9ccdfe");
    (void)state;
}

/* --- a server's way: the queue and its writer -------------------------------------------------------------------- */

enum { TALKERS = 4, LINES_EACH = 3000 };

static int reader_fd, before_fd; /* the other end of standard error; what standard error was before */
static atomic_bool reads;
static size_t next_of[TALKERS], lines_read, lines_bad;

static void *talk(void *arg)
{
    const struct log_field fields[] = { LOG_INT("talker", (int64_t)(intptr_t)arg), LOG_INT("line", 0),
                                        LOG_TEXT_("padding", "0123456789") };
    struct log_field now[3];
    memcpy(now, fields, sizeof now);
    for (int64_t i = 0; i < LINES_EACH; i++) {
        now[1].number = i;
        now[2].text.len = (size_t)(i % 11);
        log_event(LOG_WARN, "talk", now, 3);
    }
    return NULL;
}

/* Each thread's lines come in their order, some left out, and none in pieces. */
static void judge(char *line)
{
    const char *at = strstr(line, "\"talker\":"), *after = at ? strstr(at, ",\"line\":") : NULL;
    lines_read++;
    if (strstr(line, "log_lines_dropped"))
        return;
    size_t talker = at ? (size_t)strtol(at + strlen("\"talker\":"), NULL, 10) : TALKERS;
    size_t number = after ? (size_t)strtol(after + strlen(",\"line\":"), NULL, 10) : 0;
    if (line[0] != '{' || line[strlen(line) - 1] != '}' || !after || talker >= TALKERS || number < next_of[talker]) {
        lines_bad++;
        return;
    }
    next_of[talker] = number + 1;
}

static void *read_slowly(void *arg)
{
    char line[LINE_LIMIT + 2];
    const struct timespec pause = { .tv_nsec = 1000000 };
    FILE *in = fdopen(reader_fd, "r");
    (void)arg;
    while (!atomic_load(&reads))
        nanosleep(&pause, NULL);
    while (in && fgets(line, sizeof line, in)) {
        line[strcspn(line, "\n")] = '\0';
        judge(line);
    }
    if (in)
        fclose(in);
    return NULL;
}

static void redirect(void)
{
    int ends[2];
    if (pipe(ends) != 0)
        abort();
    before_fd = dup(STDERR_FILENO);
    (void)dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    reader_fd = ends[0];
}

static void undo_redirection(void)
{
    (void)dup2(before_fd, STDERR_FILENO);
    close(before_fd);
}

static void many_talk_while_nobody_reads_and_nobody_waits(void **state)
{
    pthread_t talkers[TALKERS], reader;
    log_configure(LOG_INFO, LOG_JSON);
    (void)log_writer_take_lost();
    redirect();
    struct err err = log_writer_start();
    pthread_create(&reader, NULL, read_slowly, NULL);
    for (intptr_t i = 0; i < TALKERS; i++)
        pthread_create(&talkers[i], NULL, talk, (void *)i);
    for (size_t i = 0; i < TALKERS; i++)
        pthread_join(talkers[i], NULL); /* they end, though nothing has been read */
    atomic_store(&reads, true);
    log_writer_stop();
    undo_redirection(); /* the pipe's last writer is gone: the reader ends */
    pthread_join(reader, NULL);
    assert_code(err, ERR_OK, "start");
    assert_int_equal(lines_bad, 0);
    assert_true(lines_read > 500); /* what the pipe and the queue hold */
    assert_true(log_writer_take_lost() > 0);
    (void)state;
}

static void whoever_stops_waits_for_no_reader(void **state)
{
    const struct log_field field = LOG_INT("n", 1);
    redirect();
    struct err err = log_writer_start();
    for (size_t i = 0; i < 4000; i++)
        log_event(LOG_WARN, "unread", &field, 1);
    log_writer_stop();
    log_event(LOG_WARN, "after the end", &field, 1);
    undo_redirection();
    close(reader_fd);
    assert_code(err, ERR_OK, "start");
    (void)state;
}

RUN(TEST(a_line_is_one_json_object_with_time_level_event_and_fields),
    TEST(no_value_can_forge_a_line_or_steer_a_terminal), TEST(a_line_too_long_is_cut_and_still_one_json_object),
    TEST(fields_that_have_no_room_are_left_out_whole), TEST(text_is_for_people_and_quotes_what_is_odd),
    TEST(text_too_long_is_cut_as_well), TEST(a_context_stands_at_the_end_of_every_line_of_its_thread),
    TEST(a_level_that_is_not_wanted_costs_nothing_and_writes_nothing),
    TEST(a_flood_is_limited_and_what_was_dropped_is_counted),
    TEST(a_line_that_the_kernel_refuses_is_counted_and_errno_kept), TEST(lines_of_threads_never_mix),
    TEST(a_token_is_named_by_twelve_digits_of_its_hash), TEST(many_talk_while_nobody_reads_and_nobody_waits),
    TEST(whoever_stops_waits_for_no_reader))
