/* observe/log.c: one event, one line. The line is built on the caller's stack, so threads share nothing but a few
 * atomics (level, format, the rate limit's second) and the way to standard error. What does not fit is cut inside a
 * value, never inside a character or an escape, and the line is still closed properly. */
#include "observe/log.h"
#include "base/hex.h"
#include "base/json.h"
#include "observe/log_writer.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_ROOM = LOG_LINE_MAX,
    TAIL_ROOM = 32,   /* kept free for a closing quote, the mark of a cut line, brace and line break */
    NUMBER_ROOM = 24, /* the longest int64_t */
    ESCAPE_ROOM = 6,  /* \u001f; also the longest that one character becomes */
    LINES_A_SECOND = 1000,
    LINES_BITS = 24, /* of the rate limit's word: lines of this second; above them the second itself */
};

static const char *const level_names[] = { "error", "warn", "info", "debug" };

static atomic_int wanted_level = LOG_INFO;
static atomic_bool writes_json = true;
static _Atomic uint64_t window; /* second << LINES_BITS | lines in it */

void log_configure(enum log_level level, enum log_format format)
{
    bool json = format == LOG_JSON || (format == LOG_AUTO && !isatty(STDERR_FILENO));
    atomic_store_explicit(&wanted_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&writes_json, json, memory_order_relaxed);
}

bool log_wants(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&wanted_level, memory_order_relaxed);
}

static _Thread_local struct {
    const struct log_field *fields;
    size_t count;
} context;

void log_context(const struct log_field *fields, size_t count)
{
    context.fields = fields;
    context.count = count;
}

/* --- the line ---------------------------------------------------------------------------------------------------- */

struct line {
    char at[LINE_ROOM];
    size_t len;
    bool json, cut;
};

static bool log_has_room(const struct line *line, size_t size)
{
    return !line->cut && size <= (size_t)(LINE_ROOM - TAIL_ROOM) - line->len;
}

/* The caller has asked log_has_room(), or writes into the tail. */
static void log_put(struct line *line, struct str s)
{
    memcpy(line->at + line->len, s.at, s.len);
    line->len += s.len;
}

static void log_put_int(struct line *line, int64_t value)
{
    char text[NUMBER_ROOM];
    int len = snprintf(text, sizeof text, "%lld", (long long)value);
    log_put(line, (struct str){ text, len > 0 ? (size_t)len : 0 });
}

/* The character at the beginning of `s`: its length, 0 when it is no UTF-8 (RFC 3629), and its code point. */
static size_t log_read_char(struct str s, uint32_t *point)
{
    for (size_t len = 1; len <= 4 && len <= s.len; len++) {
        if (!utf8_valid((struct str){ s.at, len }))
            continue;
        unsigned char first = (unsigned char)s.at[0];
        *point = len == 1 ? first : first & (0x7fU >> len);
        for (size_t i = 1; i < len; i++)
            *point = *point << 6 | ((unsigned char)s.at[i] & 0x3fU);
        return len;
    }
    return 0;
}

/* What could end a line, steer a terminal (C0, DEL, C1) or reorder what is read (the bidirectional marks). */
static bool log_must_escape(uint32_t point)
{
    return point < 0x20 || (point >= 0x7f && point < 0xa0) || (point >= 0x2028 && point <= 0x202e) ||
           (point >= 0x2066 && point <= 0x2069);
}

/* One character as both formats have it inside quotes; `to` has ESCAPE_ROOM bytes. */
static struct str log_escape_char(struct str character, uint32_t point, char to[ESCAPE_ROOM])
{
    static const char digits[] = "0123456789abcdef";
    if (point == '"' || point == '\\') {
        to[0] = '\\';
        to[1] = (char)point;
        return (struct str){ to, 2 };
    }
    if (!log_must_escape(point))
        return character;
    to[0] = '\\';
    to[1] = 'u';
    for (unsigned i = 0; i < 4; i++)
        to[2 + i] = digits[point >> (12 - 4 * i) & 15];
    return (struct str){ to, ESCAPE_ROOM };
}

static void log_put_escaped(struct line *line, struct str s)
{
    while (s.len > 0) {
        char room[ESCAPE_ROOM];
        uint32_t point = 0;
        size_t len = log_read_char(s, &point);
        struct str one = STR("\xef\xbf\xbd"); /* U+FFFD */
        if (len > 0)
            one = log_escape_char((struct str){ s.at, len }, point, room);
        if (!log_has_room(line, one.len)) {
            line->cut = true;
            return;
        }
        log_put(line, one);
        len = len > 0 ? len : 1;
        s = (struct str){ s.at + len, s.len - len };
    }
}

/* Whether a value can stand in the text format without quotes. */
static bool log_is_plain(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] <= ' ' || s.at[i] > '~' || s.at[i] == '"' || s.at[i] == '=' || s.at[i] == '\\')
            return false;
    return s.len > 0;
}

static void log_put_text(struct line *line, struct str s)
{
    bool quoted = line->json || !log_is_plain(s);
    if (quoted)
        log_put(line, STR("\""));
    log_put_escaped(line, s);
    if (quoted)
        log_put(line, STR("\"")); /* from the tail, when the value was cut */
}

/* `s`, but of a JWT in it only how each begins, and nothing after that. */
static struct str log_without_token(struct str s)
{
    static const struct str begin = STR_INIT("eyJ"); /* {" in base64url */
    const char *end = s.at + s.len, *token = memmem(s.at, s.len, begin.at, begin.len), *at = token;
    for (size_t dots = 0; at && dots < 2; dots++) {
        at = memchr(at, '.', (size_t)(end - at));
        at = at ? at + 1 : NULL;
    }
    return at ? (struct str){ s.at, (size_t)(token - s.at) + begin.len } : s;
}

/* A field begins only when its name and a number, or the beginning of a text, have room. */
static void log_put_field(struct line *line, struct log_field field)
{
    struct str name = str_of(field.name);
    if (!log_has_room(line, name.len + NUMBER_ROOM)) {
        line->cut = true;
        return;
    }
    log_put(line, line->json ? STR(",\"") : STR(" "));
    log_put(line, name);
    log_put(line, line->json ? STR("\":") : STR("="));
    if (field.text.at)
        log_put_text(line, log_without_token(field.text));
    else
        log_put_int(line, field.number);
}

static void log_put_time(struct line *line, struct timespec now)
{
    struct tm tm = { 0 };
    char text[64];
    gmtime_r(&now.tv_sec, &tm);
    size_t len = strftime(text, sizeof text, line->json ? "%Y-%m-%dT%H:%M:%S" : "%H:%M:%S", &tm);
    log_put(line, (struct str){ text, len });
    int more = snprintf(text, sizeof text, ".%03ld", now.tv_nsec / 1000000);
    log_put(line, (struct str){ text, more > 0 ? (size_t)more : 0 });
}

static void log_put_head(struct line *line, struct timespec now, enum log_level level, const char *event)
{
    if (line->json) {
        log_put(line, STR("{\"time\":\""));
        log_put_time(line, now);
        log_put(line, STR("Z\",\"level\":\""));
        log_put(line, str_of(level_names[level]));
        log_put(line, STR("\",\"event\":"));
        log_put_text(line, str_of(event));
    } else {
        char padded[8];
        log_put_time(line, now);
        int len = snprintf(padded, sizeof padded, " %-5s ", level_names[level]);
        log_put(line, (struct str){ padded, len > 0 ? (size_t)len : 0 });
        log_put_text(line, str_of(event));
        log_put(line, STR(" "));
    }
}

static void log_put_tail(struct line *line)
{
    if (line->cut)
        log_put(line, line->json ? STR(",\"cut\":true") : STR(" cut=true"));
    else if (!line->json && line->at[line->len - 1] == ' ')
        line->len--;
    log_put(line, line->json ? STR("}\n") : STR("\n"));
}

static void log_write_line(struct timespec now, enum log_level level, const char *event, const struct log_field *fields,
                           size_t count)
{
    struct line line; /* not cleared: 4 KiB */
    line.len = 0;
    line.cut = false;
    line.json = atomic_load_explicit(&writes_json, memory_order_relaxed);
    log_put_head(&line, now, level, event);
    for (size_t i = 0; i < count && !line.cut; i++)
        log_put_field(&line, fields[i]);
    for (size_t i = 0; i < context.count && !line.cut; i++)
        log_put_field(&line, context.fields[i]);
    log_put_tail(&line);
    log_writer_put((struct str){ line.at, line.len }, level <= LOG_WARN);
}

/* --- the rate limit ---------------------------------------------------------------------------------------------- */

/* Counts one line of `second` and says whether it is within the limit; *is_first: it opens a new second. */
static bool log_take_room(uint64_t second, bool limited, bool *is_first)
{
    uint64_t seen = atomic_load_explicit(&window, memory_order_relaxed), next;
    do {
        *is_first = seen >> LINES_BITS != second;
        uint64_t lines = *is_first ? 0 : seen & ((UINT64_C(1) << LINES_BITS) - 1);
        if (limited && lines >= LINES_A_SECOND)
            return false;
        next = second << LINES_BITS | (limited ? lines + 1 : lines);
    } while (!atomic_compare_exchange_weak_explicit(&window, &seen, next, memory_order_relaxed, memory_order_relaxed));
    return true;
}

void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
    struct timespec now;
    bool is_first;
    int kept_errno = errno;
    if (!log_wants(level))
        return;
    clock_gettime(CLOCK_REALTIME, &now);
    if (!log_take_room((uint64_t)now.tv_sec, level > LOG_WARN, &is_first)) {
        log_writer_lose(COUNT_LOG_LIMITED);
        return;
    }
    uint64_t dropped = is_first ? log_writer_take_lost() : 0;
    if (dropped > 0)
        log_write_line(now, LOG_WARN, "log_lines_dropped", &LOG_INT("lines", (int64_t)dropped), 1);
    log_write_line(now, level, event, fields, count);
    errno = kept_errno;
}

void log_sentence(const char *sentence)
{
    char line[LINE_ROOM];
    int len = snprintf(line, sizeof line - 1, "token-service: %s", sentence);
    size_t used = len < 0 ? 0 : (size_t)len < sizeof line - 1 ? (size_t)len : sizeof line - 2;
    line[used] = '\n';
    log_writer_put((struct str){ line, used + 1 }, true);
}

void log_token_id(const unsigned char sha256[32], char out[13])
{
    hex_write(sha256, 6, out);
}
