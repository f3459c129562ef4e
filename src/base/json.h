/* base/json.h: strict JSON (RFC 8259) into an arena, and an escaping writer. Written here because this service needs
 * three things at once that no library of Debian's has: duplicate members refused, every bound explicit (depth, nodes,
 * number range), and a cost far below that of a signature check. Numbers keep their text, so what is passed on is
 * passed on exactly. Compared with jansson on every run of its fuzz target. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/mem.h"

enum { JSON_DEPTH_MAX = 32, JSON_NODES_MAX = 4096, JSON_MEMBERS_MAX = 256 };

enum json_kind { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    unsigned count;           /* members of an object, elements of an array */
    struct str text;          /* a string's content, decoded; a number's text as it stood; for the rest, as it stood */
    struct str name;          /* its decoded name, when it is a member */
    const struct json *child; /* first member or element */
    const struct json *next;  /* next member or element of the same parent */
};

/* Parses exactly one value with nothing but white space around it. Refuses with ERR_INVALID_REQUEST and a sentence:
 * what RFC 8259 refuses, duplicate names, \u0000 and lone surrogates, invalid UTF-8 (also overlong), a byte order mark,
 * more than the maxima above, and numbers outside the finite range of a double. No recursion. The result lives in the
 * arena; strings without escapes are views into `text`, which must live as long. Fuzzed: tests/fuzz/json.c. */
MUST_USE struct err json_parse(struct arena *arena, struct str text, const struct json **out);

/* The member of that name, or NULL; also NULL when `object` is NULL or not an object. */
const struct json *json_member(const struct json *object, struct str name);

/* An integer without fraction or exponent within [min, max]; false otherwise (also for NULL and other kinds). */
bool json_int(const struct json *value, int64_t min, int64_t max, int64_t *out);

/* A member that may be absent, and then *out is left as it is: a string of at most `most` bytes; or a list of strings,
 * which are added to `out` at *count. False: it is there, and is something else. */
bool json_read_text(const struct json *object, struct str name, size_t most, struct str *out);
struct json_texts {
    size_t count;       /* at most so many */
    size_t least, most; /* bytes of each */
};
bool json_read_texts(const struct json *object, struct str name, struct json_texts bounds, struct str *out,
                     size_t *count);

/* --- writing: appends to a buf; the caller places commas and braces ---------------------------------------------- */

/* A quoted string; escapes quote, backslash and control characters, but not U+2028 and U+2029. `s` must be valid UTF-8.
 */
void json_write_str(struct buf *buf, struct str s);
/* "name": with the colon; `name` needs no escaping. Puts a comma first unless the last byte is one of `{[,:`. */
void json_write_name(struct buf *buf, struct str name);
/* A member of an object, name and value: a string, the same unless it is empty, a whole number, a truth value, a list
 * of strings, a list of the words of a space-separated text. */
void json_write_text(struct buf *buf, struct str name, struct str text);
void json_write_optional(struct buf *buf, struct str name, struct str text);
void json_write_int(struct buf *buf, struct str name, int64_t number);
void json_write_bool(struct buf *buf, struct str name, bool truth);
void json_write_texts(struct buf *buf, struct str name, const struct str *texts, size_t count);
void json_write_words(struct buf *buf, struct str name, struct str words);
/* A parsed value again, compact: same members in the same order, numbers as they stood. */
void json_write(struct buf *buf, const struct json *value);

/* Whether `s` is valid UTF-8 (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF). */
bool utf8_valid(struct str s);
/* How many bytes the character has that a text begins with; 0: it begins with none, or is empty. */
size_t utf8_length(struct str s);

#endif
