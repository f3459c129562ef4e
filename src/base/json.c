/* base/json.c: a strict JSON reader and a writer.
 *
 * The reader makes one pass over the text, with a stack of open arrays and objects of JSON_DEPTH_MAX, so no input can
 * exhaust the machine's stack. Strings are first scanned eight bytes at a time for the end; only those with an escape
 * are rebuilt, the others are views into the text. */
#include "base/json.h"
#include "base/hex.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>

enum { NUMBER_MAX = 64 };

struct reader {
    struct arena *arena;
    const char *start, *at, *end;
    unsigned nodes;
};

static struct err json_wrong(const struct reader *reader, const char *what)
{
    return failed(ERR_INVALID_REQUEST, arena_printf(reader->arena, "the JSON is not valid at byte %zu: %s",
                                                    (size_t)(reader->at - reader->start), what)
                                           .at);
}

static void json_skip_space(struct reader *reader)
{
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
}

/* --- UTF-8 ------------------------------------------------------------------------------------------------------- */

/* Unicode table 3-7. */
size_t utf8_length(struct str s)
{
    const unsigned char *at = (const unsigned char *)s.at;
    if (s.len == 0)
        return 0;
    const unsigned char first = at[0];
    if (first < 0x80)
        return 1;
    size_t len = first >= 0xc2 && first <= 0xdf   ? 2
                 : (first & 0xf0) == 0xe0         ? 3
                 : first >= 0xf0 && first <= 0xf4 ? 4
                                                  : 0;
    if (len == 0 || len > s.len)
        return 0;
    unsigned char low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;  /* no overlong forms */
    unsigned char high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf; /* no surrogates, at most U+10FFFF */
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

/* Eight bytes at once: whether all are ASCII, none is a control character, quote or backslash. */
static bool json_plain8(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = UINT64_C(0x8080808080808080);
    uint64_t word;
    memcpy(&word, at, sizeof word);
    uint64_t quote = word ^ ones * '"', slash = word ^ ones * '\\';
    uint64_t found = (quote - ones) & ~quote; /* a zero byte, or a false alarm above one, which only costs time */
    found |= (slash - ones) & ~slash;
    found |= word - ones * 0x20; /* below 0x20 */
    return ((found | word) & high) == 0;
}

bool utf8_valid(struct str s)
{
    size_t at = 0;
    while (at < s.len) {
        size_t len = utf8_length((struct str){ s.at + at, s.len - at });
        if (len == 0)
            return false;
        at += len;
    }
    return true;
}

/* --- strings ----------------------------------------------------------------------------------------------------- */

static int json_hex4(const char *at)
{
    int value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        value = value * 16 + digit;
    }
    return value;
}

static size_t json_write_utf8(char *to, uint32_t point)
{
    if (point < 0x80) {
        to[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        to[0] = (char)(0xc0 | point >> 6);
        to[1] = (char)(0x80 | (point & 0x3f));
        return 2;
    }
    if (point < 0x10000) {
        to[0] = (char)(0xe0 | point >> 12);
        to[1] = (char)(0x80 | (point >> 6 & 0x3f));
        to[2] = (char)(0x80 | (point & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | point >> 18);
    to[1] = (char)(0x80 | (point >> 12 & 0x3f));
    to[2] = (char)(0x80 | (point >> 6 & 0x3f));
    to[3] = (char)(0x80 | (point & 0x3f));
    return 4;
}

/* Reads \uXXXX, and the second half of a pair, behind the backslash and the u. */
static struct err json_read_escaped_point(struct reader *reader, uint32_t *out)
{
    int high = reader->end - reader->at >= 4 ? json_hex4(reader->at) : -1;
    if (high < 0)
        return json_wrong(reader, "\\u needs four hexadecimal digits");
    if (high == 0)
        return json_wrong(reader, "U+0000 is not allowed");
    reader->at += 4;
    *out = (uint32_t)high;
    if (high < 0xd800 || high > 0xdfff)
        return OK;
    int low = -1;
    if (high < 0xdc00 && reader->end - reader->at >= 6 && reader->at[0] == '\\' && reader->at[1] == 'u')
        low = json_hex4(reader->at + 2);
    if (low < 0xdc00 || low > 0xdfff)
        return json_wrong(reader, "half of a surrogate pair");
    reader->at += 6;
    *out = 0x10000 + (((uint32_t)high - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    return OK;
}

static struct err json_read_escape(struct reader *reader, char *to, size_t *len)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (reader->at == reader->end)
        return json_wrong(reader, "the string does not end");
    char c = *reader->at++;
    if (c == 'u') {
        uint32_t point = 0;
        TRY(json_read_escaped_point(reader, &point));
        *len += json_write_utf8(to + *len, point);
        return OK;
    }
    const char *found = memchr(names, c, sizeof names - 1);
    if (!found)
        return json_wrong(reader, "an unknown escape");
    to[(*len)++] = values[found - names];
    return OK;
}

/* From the first backslash on: copies, decoding. An escape is never shorter than what it stands for. */
static struct err json_read_string_escaped(struct reader *reader, const char *start, struct str *out)
{
    char *to = NULL;
    size_t len = (size_t)(reader->at - start);
    /* how long it can become: up to the closing quote, which is found here without decoding */
    const char *close = reader->at;
    while (close < reader->end && *close != '"')
        close += *close == '\\' && reader->end - close > 1 ? 2 : 1;
    to = arena_alloc(reader->arena, (size_t)(close - start) + 4);
    memcpy(to, start, len);
    while (reader->at < reader->end && *reader->at != '"') {
        if (*reader->at == '\\') {
            reader->at++;
            TRY(json_read_escape(reader, to, &len));
            continue;
        }
        size_t size = utf8_length((struct str){ reader->at, (size_t)(reader->end - reader->at) });
        if (size == 0 || (unsigned char)*reader->at < 0x20)
            return json_wrong(reader, size ? "a control character" : "not UTF-8");
        memcpy(to + len, reader->at, size);
        len += size;
        reader->at += size;
    }
    if (reader->at == reader->end)
        return json_wrong(reader, "the string does not end");
    reader->at++;
    *out = (struct str){ to, len };
    return OK;
}

/* Behind the opening quote. */
static struct err json_read_string(struct reader *reader, struct str *out)
{
    const char *start = reader->at;
    for (;;) {
        while (reader->end - reader->at >= 8 && json_plain8(reader->at))
            reader->at += 8;
        if (reader->at == reader->end)
            return json_wrong(reader, "the string does not end");
        unsigned char c = (unsigned char)*reader->at;
        if (c == '"') {
            *out = (struct str){ start, (size_t)(reader->at - start) };
            reader->at++;
            return OK;
        }
        if (c == '\\')
            return json_read_string_escaped(reader, start, out);
        if (c < 0x20)
            return json_wrong(reader, "a control character");
        size_t size = utf8_length((struct str){ reader->at, (size_t)(reader->end - reader->at) });
        if (size == 0)
            return json_wrong(reader, "not UTF-8");
        reader->at += size;
    }
}

/* --- numbers and words ------------------------------------------------------------------------------------------- */

static size_t json_read_digits(struct reader *reader)
{
    const char *start = reader->at;
    while (reader->at < reader->end && char_is_digit(*reader->at))
        reader->at++;
    return (size_t)(reader->at - start);
}

static bool json_take(struct reader *reader, char c)
{
    if (reader->at == reader->end || *reader->at != c)
        return false;
    reader->at++;
    return true;
}

static struct err json_read_number(struct reader *reader, struct str *out)
{
    const char *start = reader->at;
    bool is_real = false;
    (void)json_take(reader, '-');
    if (!json_take(reader, '0') && json_read_digits(reader) == 0)
        return json_wrong(reader, "not a value");
    if (json_take(reader, '.')) {
        is_real = true;
        if (json_read_digits(reader) == 0)
            return json_wrong(reader, "a number has no digits after its decimal point");
    }
    if (json_take(reader, 'e') || json_take(reader, 'E')) {
        is_real = true;
        if (!json_take(reader, '+'))
            (void)json_take(reader, '-');
        if (json_read_digits(reader) == 0)
            return json_wrong(reader, "a number has no digits in its exponent");
    }
    *out = (struct str){ start, (size_t)(reader->at - start) };
    if (out->len > NUMBER_MAX)
        return json_wrong(reader, "the number is too long");
    if (!is_real)
        return OK; /* at most 64 digits: within the range of a double */
    char text[NUMBER_MAX + 1];
    memcpy(text, start, out->len);
    text[out->len] = '\0';
    return isfinite(strtod(text, NULL)) ? OK : json_wrong(reader, "the number is out of range");
}

static struct err json_read_word(struct reader *reader, struct json *node)
{
    static const struct {
        struct str text;
        enum json_kind kind;
    } words[] = { { STR_INIT("true"), JSON_TRUE }, { STR_INIT("false"), JSON_FALSE }, { STR_INIT("null"), JSON_NULL } };
    struct str rest = { reader->at, (size_t)(reader->end - reader->at) };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (str_has_prefix(rest, words[i].text)) {
            node->kind = words[i].kind;
            node->text = (struct str){ reader->at, words[i].text.len };
            reader->at += words[i].text.len;
            return OK;
        }
    return json_wrong(reader, "not a value");
}

/* --- the tree ---------------------------------------------------------------------------------------------------- */

/* An open array or object: where its next child is to be linked. */
struct level {
    struct json *node;
    const struct json **tail;
};

/* A value, or the opening of one: then *opened says so. */
static struct err json_read_value(struct reader *reader, struct json *node, bool *opened)
{
    *opened = false;
    if (reader->at == reader->end)
        return json_wrong(reader, "a value is missing");
    switch (*reader->at) {
    case '{':
    case '[':
        node->kind = *reader->at == '{' ? JSON_OBJECT : JSON_ARRAY;
        node->text = (struct str){ reader->at, 0 };
        reader->at++;
        *opened = true;
        return OK;
    case '"':
        reader->at++;
        node->kind = JSON_STRING;
        return json_read_string(reader, &node->text);
    case 't':
    case 'f':
    case 'n':
        return json_read_word(reader, node);
    default:
        node->kind = JSON_NUMBER;
        return json_read_number(reader, &node->text);
    }
}

static struct err json_read_name(struct reader *reader, const struct json *object, struct json *node)
{
    json_skip_space(reader);
    if (!json_take(reader, '"'))
        return json_wrong(reader, "a member's name is missing");
    TRY(json_read_string(reader, &node->name));
    for (const struct json *member = object->child; member; member = member->next)
        if (str_eq(member->name, node->name))
            return json_wrong(reader, "a member occurs twice");
    json_skip_space(reader);
    return json_take(reader, ':') ? OK : json_wrong(reader, "a colon is missing");
}

static struct err json_new_node(struct reader *reader, const struct level *parent, struct json **out)
{
    if (reader->nodes == JSON_NODES_MAX)
        return json_wrong(reader, "too many values");
    if (parent && parent->node->count == JSON_MEMBERS_MAX && parent->node->kind == JSON_OBJECT)
        return json_wrong(reader, "too many members");
    reader->nodes++;
    *out = arena_zalloc(reader->arena, sizeof **out);
    return parent && parent->node->kind == JSON_OBJECT ? json_read_name(reader, parent->node, *out) : OK;
}

/* Closes what ends here. True when a further child must follow; the outermost has closed when *depth is 0. */
static struct err json_close_levels(struct reader *reader, struct level *levels, size_t *depth, bool *first)
{
    while (*depth > 0) {
        struct json *node = levels[*depth - 1].node;
        json_skip_space(reader);
        if (json_take(reader, node->kind == JSON_OBJECT ? '}' : ']')) {
            node->text.len = (size_t)(reader->at - node->text.at);
            --*depth;
            *first = false;
            continue;
        }
        if (!*first && !json_take(reader, ','))
            return json_wrong(reader, "a comma or a closing bracket is missing");
        *first = false;
        return OK;
    }
    return OK;
}

static struct err json_read_tree(struct reader *reader, const struct json **out)
{
    struct level levels[JSON_DEPTH_MAX];
    size_t depth = 0;
    bool first = false;
    do {
        struct level *parent = depth > 0 ? &levels[depth - 1] : NULL;
        struct json *node = NULL;
        bool opened;
        TRY(json_new_node(reader, parent, &node));
        json_skip_space(reader);
        TRY(json_read_value(reader, node, &opened));
        if (parent) {
            *parent->tail = node;
            parent->tail = &node->next;
            parent->node->count++;
        } else {
            *out = node;
        }
        if (opened) {
            if (depth == JSON_DEPTH_MAX)
                return json_wrong(reader, "it is nested too deeply");
            levels[depth++] = (struct level){ node, &node->child };
        }
        first = opened;
        TRY(json_close_levels(reader, levels, &depth, &first));
    } while (depth > 0);
    return OK;
}

struct err json_parse(struct arena *arena, struct str text, const struct json **out)
{
    struct reader reader = { .arena = arena, .start = text.at, .at = text.at, .end = text.at + text.len };
    const struct json *tree = NULL;
    if (text.len == 0)
        return failed(ERR_INVALID_REQUEST, "the JSON is empty");
    TRY(json_read_tree(&reader, &tree));
    json_skip_space(&reader);
    if (reader.at != reader.end)
        return json_wrong(&reader, "something follows the value");
    *out = tree;
    return OK;
}

const struct json *json_member(const struct json *object, struct str name)
{
    if (!object || object->kind != JSON_OBJECT)
        return NULL;
    for (const struct json *member = object->child; member; member = member->next)
        if (str_eq(member->name, name))
            return member;
    return NULL;
}

bool json_int(const struct json *value, int64_t min, int64_t max, int64_t *out)
{
    if (!value || value->kind != JSON_NUMBER || value->text.len > 20)
        return false;
    char text[24] = { 0 };
    char *end = NULL;
    memcpy(text, value->text.at, value->text.len);
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || *end != '\0' || number < min || number > max)
        return false;
    *out = number;
    return true;
}

bool json_read_text(const struct json *object, struct str name, size_t most, struct str *out)
{
    const struct json *value = json_member(object, name);
    if (!value)
        return true;
    if (value->kind != JSON_STRING || value->text.len > most)
        return false;
    *out = value->text;
    return true;
}

bool json_read_texts(const struct json *object, struct str name, struct json_texts bounds, struct str *out,
                     size_t *count)
{
    const struct json *list = json_member(object, name);
    if (!list)
        return true;
    if (list->kind != JSON_ARRAY || list->count > bounds.count)
        return false;
    for (const struct json *each = list->child; each; each = each->next) {
        if (each->kind != JSON_STRING || each->text.len < bounds.least || each->text.len > bounds.most)
            return false;
        out[(*count)++] = each->text;
    }
    return true;
}

/* --- writing ----------------------------------------------------------------------------------------------------- */

static void json_write_escaped(struct buf *buf, unsigned char c)
{
    static const char names[] = "btn_fr", digits[] = "0123456789abcdef";
    if (c == '"' || c == '\\') {
        const char text[] = { '\\', (char)c };
        buf_add(buf, (struct str){ text, sizeof text });
    } else if (c >= 8 && c <= 13 && c != 11) {
        const char text[] = { '\\', names[c - 8] };
        buf_add(buf, (struct str){ text, sizeof text });
    } else {
        const char text[] = { '\\', 'u', '0', '0', digits[c >> 4], digits[c & 15] };
        buf_add(buf, (struct str){ text, sizeof text });
    }
}

void json_write_str(struct buf *buf, struct str s)
{
    size_t done = 0;
    buf_add_char(buf, '"');
    for (size_t i = 0; i < s.len;) {
        if (s.len - i >= 8 && json_plain8(s.at + i)) {
            i += 8;
            continue;
        }
        unsigned char c = (unsigned char)s.at[i];
        if (c < 0x20 || c == '"' || c == '\\') {
            buf_add(buf, (struct str){ s.at + done, i - done });
            json_write_escaped(buf, c);
            done = i + 1;
        }
        i++;
    }
    if (s.len > done)
        buf_add(buf, (struct str){ s.at + done, s.len - done });
    buf_add_char(buf, '"');
}

void json_write_name(struct buf *buf, struct str name)
{
    char last = buf->len > 0 ? buf->at[buf->len - 1] : '{';
    if (last != '{' && last != '[' && last != ',' && last != ':')
        buf_add_char(buf, ',');
    buf_add_char(buf, '"');
    buf_add(buf, name);
    buf_add(buf, STR("\":"));
}

void json_write_text(struct buf *buf, struct str name, struct str text)
{
    json_write_name(buf, name);
    json_write_str(buf, text);
}

void json_write_optional(struct buf *buf, struct str name, struct str text)
{
    if (text.len > 0)
        json_write_text(buf, name, text);
}

void json_write_int(struct buf *buf, struct str name, int64_t number)
{
    json_write_name(buf, name);
    buf_add_int(buf, number);
}

void json_write_bool(struct buf *buf, struct str name, bool truth)
{
    json_write_name(buf, name);
    buf_add(buf, truth ? STR("true") : STR("false"));
}

void json_write_texts(struct buf *buf, struct str name, const struct str *texts, size_t count)
{
    json_write_name(buf, name);
    buf_add_char(buf, '[');
    for (size_t i = 0; i < count; i++) {
        buf_add(buf, i > 0 ? STR(",") : STR(""));
        json_write_str(buf, texts[i]);
    }
    buf_add_char(buf, ']');
}

void json_write_words(struct buf *buf, struct str name, struct str words)
{
    struct str word;
    json_write_name(buf, name);
    buf_add_char(buf, '[');
    for (bool is_first = true; str_next_word(&words, &word); is_first = false) {
        buf_add(buf, is_first ? STR("") : STR(","));
        json_write_str(buf, word);
    }
    buf_add_char(buf, ']');
}

static void json_write_leaf(struct buf *buf, const struct json *value)
{
    if (value->kind == JSON_STRING)
        json_write_str(buf, value->text);
    else
        buf_add(buf, value->text);
}

static bool json_is_branch(const struct json *value)
{
    return value->kind == JSON_ARRAY || value->kind == JSON_OBJECT;
}

void json_write(struct buf *buf, const struct json *value)
{
    const struct json *open[JSON_DEPTH_MAX + 1], *at = value;
    size_t depth = 0;
    while (at) {
        if (depth > 0 && at->name.at) {
            json_write_str(buf, at->name);
            buf_add_char(buf, ':');
        }
        if (json_is_branch(at) && at->child) {
            buf_add_char(buf, at->kind == JSON_OBJECT ? '{' : '[');
            open[depth++] = at;
            at = at->child;
            continue;
        }
        if (json_is_branch(at))
            buf_add(buf, at->kind == JSON_OBJECT ? STR("{}") : STR("[]"));
        else
            json_write_leaf(buf, at);
        while (depth > 0 && !at->next) { /* the last of its parent: the parent ends too */
            at = open[--depth];
            buf_add_char(buf, at->kind == JSON_OBJECT ? '}' : ']');
        }
        at = depth > 0 ? at->next : NULL;
        if (at)
            buf_add_char(buf, ',');
    }
}
