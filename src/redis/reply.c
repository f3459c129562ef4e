/* redis/reply.c: each byte is looked at once, however few come at a time: how far a line was searched for its
 * end, and which lists are not whole yet, is kept from call to call. */
#include "redis/reply.h"
#include <stdlib.h>

enum { ROOM_FIRST = 16 * 1024, ROOM_KEPT = 64 * 1024 };

struct open_list {
    struct reply *list;
    size_t filled;
};

struct reply_reader {
    char *at; /* from `from` to `len`: what has come and is not read yet */
    size_t from, len, room;
    size_t searched; /* bytes behind `from` in which no line ends */
    bool awaits_text;
    size_t text_len;
    struct open_list open[REPLY_DEPTH_MAX]; /* not whole yet, the outermost first */
    size_t depth;
    size_t bytes, items; /* read of this reply so far; announced in all its lists */
};

struct reply_reader *reply_reader_new(void)
{
    struct reply_reader *reader = mem_alloc(sizeof *reader);
    *reader = (struct reply_reader){ .at = NULL };
    return reader;
}

void reply_reader_free(struct reply_reader *reader)
{
    if (!reader)
        return;
    free(reader->at);
    free(reader);
}

bool reply_reader_is_empty(const struct reply_reader *reader)
{
    return reader->from == reader->len && !reader->awaits_text && reader->depth == 0;
}

/* --- what has come ----------------------------------------------------------------------------------------------- */

static void reply_make_room(struct reply_reader *reader, size_t more)
{
    size_t held = reader->len - reader->from;
    if (held + more > reader->room) {
        size_t room = reader->room ? reader->room : ROOM_FIRST;
        while (room < held + more)
            room *= 2;
        char *at = mem_alloc(room);
        if (held > 0)
            memcpy(at, reader->at + reader->from, held);
        free(reader->at);
        reader->at = at;
        reader->room = room;
    } else if (held > 0) {
        memmove(reader->at, reader->at + reader->from, held);
    }
    reader->from = 0;
    reader->len = held;
}

struct err reply_feed(struct reply_reader *reader, struct str bytes)
{
    if (reader->bytes + (reader->len - reader->from) + bytes.len > REPLY_BYTES_MAX)
        return failed(ERR_UNAVAILABLE, "the reply is too large");
    if (bytes.len > reader->room - reader->len)
        reply_make_room(reader, bytes.len);
    if (bytes.len > 0)
        memcpy(reader->at + reader->len, bytes.at, bytes.len);
    reader->len += bytes.len;
    return OK;
}

static void reply_take(struct reply_reader *reader, size_t len)
{
    reader->from += len;
    reader->bytes += len;
    reader->searched = 0;
    if (reader->from < reader->len)
        return;
    reader->from = reader->len = 0;
    if (reader->room > ROOM_KEPT) {
        free(reader->at);
        reader->at = NULL;
        reader->room = 0;
    }
}

static struct err reply_no_reply(void)
{
    return failed(ERR_UNAVAILABLE, "the reply is not in Redis's protocol, or is too large");
}

/* The line at the front, without CR LF, which follow it; line->at is NULL while its end has not come. */
static struct err reply_find_line(struct reply_reader *reader, struct str *line)
{
    const char *at = reader->at + reader->from;
    size_t held = reader->len - reader->from;
    const char *end = held > reader->searched ? memchr(at + reader->searched, '\n', held - reader->searched) : NULL;
    *line = (struct str){ NULL, 0 };
    reader->searched = held;
    if ((end ? (size_t)(end - at) : held) > REPLY_LINE_MAX)
        return reply_no_reply();
    if (!end)
        return OK;
    if (end == at || memchr(at, '\r', (size_t)(end - at)) != end - 1)
        return reply_no_reply();
    *line = (struct str){ at, (size_t)(end - 1 - at) };
    return OK;
}

/* --- replies ----------------------------------------------------------------------------------------------------- */

static struct reply *reply_make(struct arena *arena, enum reply_kind kind, struct str text)
{
    struct reply *reply = arena_zalloc(arena, sizeof *reply);
    reply->kind = kind;
    reply->text = arena_copy(arena, text);
    return reply;
}

/* Digits with a minus before them or none, no leading zero: as Redis writes each integer that 64 bits hold. */
static bool reply_read_integer(struct str text, int64_t *out)
{
    const bool is_negative = str_has_prefix(text, STR("-"));
    const struct str digits = { text.at + is_negative, text.len - is_negative };
    int64_t value = 0;
    if (digits.len == 0 || (digits.at[0] == '0' && text.len > 1))
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        int digit = digits.at[i] - '0';
        if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, is_negative ? -digit : digit, &value))
            return false;
    }
    *out = value;
    return true;
}

static struct err reply_read_number(struct arena *arena, struct str text, struct reply **out)
{
    *out = reply_make(arena, REPLY_NUMBER, (struct str){ 0, 0 });
    return reply_read_integer(text, &(*out)->number) ? OK : reply_no_reply();
}

/* *out stays NULL: the text itself follows the line. */
static struct err reply_read_text_length(struct reply_reader *reader, struct str digits)
{
    int64_t len;
    if (!reply_read_integer(digits, &len) || len < 0 || len > REPLY_BYTES_MAX)
        return reply_no_reply();
    reader->awaits_text = true;
    reader->text_len = (size_t)len;
    return OK;
}

static struct err reply_read_list(struct reply_reader *reader, struct arena *arena, struct str digits,
                                  struct reply **out)
{
    int64_t count;
    if (!reply_read_integer(digits, &count) || count < 0 || (size_t)count > REPLY_ITEMS_MAX - reader->items ||
        reader->depth == REPLY_DEPTH_MAX)
        return reply_no_reply();
    reader->items += (size_t)count;
    *out = reply_make(arena, REPLY_LIST, (struct str){ 0, 0 });
    (*out)->items = arena_zalloc(arena, ((size_t)count + 1) * sizeof(struct reply *));
    (*out)->count = (size_t)count;
    return OK;
}

/* What a line is. RESP3's types are refused: HELLO was never sent to ask for them. */
static struct err reply_read_line(struct reply_reader *reader, struct arena *arena, struct str line, struct reply **out)
{
    const struct str rest = { line.at + 1, line.len > 0 ? line.len - 1 : 0 };
    char type = line.len > 0 ? line.at[0] : '\0';
    if ((type == '$' || type == '*') && str_eq(rest, STR("-1"))) {
        *out = reply_make(arena, REPLY_NIL, (struct str){ 0, 0 });
        return OK;
    }
    switch (type) {
    case '+':
        *out = reply_make(arena, REPLY_STATUS, rest);
        return OK;
    case '-':
        *out = reply_make(arena, REPLY_ERROR, rest);
        return OK;
    case ':':
        return reply_read_number(arena, rest, out);
    case '$':
        return reply_read_text_length(reader, rest);
    case '*':
        return reply_read_list(reader, arena, rest, out);
    default:
        return reply_no_reply();
    }
}

static struct err reply_read_text(struct reply_reader *reader, struct arena *arena, struct reply **out)
{
    const char *at = reader->at + reader->from;
    if (reader->len - reader->from < reader->text_len + 2)
        return OK;
    if (memcmp(at + reader->text_len, "\r\n", 2) != 0)
        return reply_no_reply();
    *out = reply_make(arena, REPLY_TEXT, (struct str){ at, reader->text_len });
    reader->awaits_text = false;
    reply_take(reader, reader->text_len + 2);
    return OK;
}

/* One reply, or a list whose items are still to come; NULL: not all of it is there. */
static struct err reply_read_one(struct reply_reader *reader, struct arena *arena, struct reply **out)
{
    struct str line;
    *out = NULL;
    if (!reader->awaits_text) {
        TRY(reply_find_line(reader, &line));
        if (!line.at)
            return OK;
        TRY(reply_read_line(reader, arena, line, out));
        reply_take(reader, line.len + 2);
    }
    return reader->awaits_text ? reply_read_text(reader, arena, out) : OK;
}

/* Puts it into the list that it belongs to. What is whole with it, or NULL. */
static const struct reply *reply_place(struct reply_reader *reader, struct reply *reply)
{
    struct reply *whole = reply;
    if (reader->depth > 0) {
        struct open_list *in = &reader->open[reader->depth - 1];
        in->list->items[in->filled++] = reply;
    }
    if (reply->kind == REPLY_LIST && reply->count > 0) {
        reader->open[reader->depth++] = (struct open_list){ reply, 0 };
        return NULL;
    }
    while (reader->depth > 0 && reader->open[reader->depth - 1].filled == reader->open[reader->depth - 1].list->count)
        whole = reader->open[--reader->depth].list;
    return reader->depth > 0 ? NULL : whole;
}

struct err reply_next(struct reply_reader *reader, struct arena *arena, const struct reply **out)
{
    struct reply *one;
    *out = NULL;
    do {
        TRY(reply_read_one(reader, arena, &one));
        if (!one)
            return OK;
        *out = reply_place(reader, one);
    } while (!*out);
    reader->bytes = reader->items = 0;
    return OK;
}

const struct reply *reply_item(const struct reply *list, size_t at, enum reply_kind kind)
{
    if (list->kind != REPLY_LIST || at >= list->count || list->items[at]->kind != kind)
        return NULL;
    return list->items[at];
}

bool reply_is_error(const struct reply *reply, struct str word)
{
    return reply->kind == REPLY_ERROR && str_has_prefix(reply->text, word) &&
           (reply->text.len == word.len || reply->text.at[word.len] == ' ');
}
