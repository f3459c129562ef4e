/* fuzz/json.c: our reader beside jansson's. What ours takes, jansson takes, and reads as the same value; what jansson
 * takes and ours refuses lies outside of our own bounds (json.h). And a value that was written reads back as it was. */
#include "fuzz.h"
#include <ctype.h>
/* jansson calls its kinds of values as we do ours: under its header they get names of their own */
#define JSON_OBJECT THEIR_OBJECT
#define JSON_ARRAY THEIR_ARRAY
#define JSON_STRING THEIR_STRING
#define JSON_TRUE THEIR_TRUE
#define JSON_FALSE THEIR_FALSE
#define JSON_NULL THEIR_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL
#include "base/json.h"

enum { NUMBER_MAX = 64 };

static void same(const struct json *ours, const json_t *theirs);

static void same_object(const struct json *ours, json_t *theirs)
{
    const struct json *member = ours->child;
    PROMISE(json_typeof(theirs) == THEIR_OBJECT && json_object_size(theirs) == ours->count);
    for (void *at = json_object_iter(theirs); at; at = json_object_iter_next(theirs, at), member = member->next) {
        const struct str name = { json_object_iter_key(at), json_object_iter_key_len(at) };
        PROMISE(member && str_eq(member->name, name));
        PROMISE(json_member(ours, name) == member);
        same(member, json_object_iter_value(at));
    }
    PROMISE(!member);
}

static void same_array(const struct json *ours, const json_t *theirs)
{
    const struct json *each = ours->child;
    PROMISE(json_typeof(theirs) == THEIR_ARRAY && json_array_size(theirs) == ours->count);
    for (size_t i = 0; i < ours->count; i++, each = each->next)
        same(each, json_array_get(theirs, i));
    PROMISE(!each);
}

static void same_number(const struct json *ours, const json_t *theirs)
{
    char text[NUMBER_MAX + 1];
    int64_t whole = 0;
    PROMISE(ours->text.len <= NUMBER_MAX && json_typeof(theirs) == JSON_REAL);
    memcpy(text, ours->text.at, ours->text.len);
    text[ours->text.len] = '\0';
    PROMISE(!(strtod(text, NULL) < json_real_value(theirs)) && !(strtod(text, NULL) > json_real_value(theirs)));
    if (json_int(ours, INT64_MIN, INT64_MAX, &whole))
        PROMISE(whole == strtoll(text, NULL, 10) && !strpbrk(text, ".eE"));
}

/* Recursive: what ours has taken is at most JSON_DEPTH_MAX deep. */
static void same(const struct json *ours, const json_t *theirs)
{
    switch (ours->kind) {
    case JSON_NULL:
        PROMISE(json_typeof(theirs) == THEIR_NULL);
        break;
    case JSON_FALSE:
        PROMISE(json_typeof(theirs) == THEIR_FALSE);
        break;
    case JSON_TRUE:
        PROMISE(json_typeof(theirs) == THEIR_TRUE);
        break;
    case JSON_NUMBER:
        same_number(ours, theirs);
        break;
    case JSON_STRING:
        PROMISE(json_typeof(theirs) == THEIR_STRING);
        PROMISE(str_eq(ours->text, (struct str){ json_string_value(theirs), json_string_length(theirs) }));
        PROMISE(utf8_valid(ours->text));
        break;
    case JSON_ARRAY:
        same_array(ours, theirs);
        break;
    case JSON_OBJECT:
        same_object(ours, (json_t *)(uintptr_t)theirs);
        break;
    }
}

/* How large a value is by our measures. */
struct measure {
    size_t depth, nodes, members;
};

static void measure(json_t *value, size_t depth, struct measure *out)
{
    out->nodes++;
    if (json_typeof(value) != THEIR_ARRAY && json_typeof(value) != THEIR_OBJECT)
        return;
    out->depth = depth + 1 > out->depth ? depth + 1 : out->depth;
    for (size_t i = 0; i < json_array_size(value); i++)
        measure(json_array_get(value, i), depth + 1, out);
    if (json_typeof(value) != THEIR_OBJECT)
        return;
    out->members = json_object_size(value) > out->members ? json_object_size(value) : out->members;
    for (void *at = json_object_iter(value); at; at = json_object_iter_next(value, at))
        measure(json_object_iter_value(at), depth + 1, out);
}

static bool has_long_number(struct str text)
{
    size_t run = 0;
    for (size_t i = 0; i < text.len; i++) {
        run = isdigit((unsigned char)text.at[i]) || strchr("+-.eE", text.at[i] ? text.at[i] : 'x') ? run + 1 : 0;
        if (run > NUMBER_MAX)
            return true;
    }
    return false;
}

/* jansson 2.14 passes over a NUL byte that it met behind a number; RFC 8259 knows no such white space. */
static void check_bounds(struct str text, json_t *theirs)
{
    struct measure size = { 0, 0, 0 };
    if (str_has(text, '\0'))
        return;
    measure(theirs, 0, &size);
    PROMISE(size.depth > JSON_DEPTH_MAX || size.nodes > JSON_NODES_MAX || size.members > JSON_MEMBERS_MAX ||
            has_long_number(text));
}

static void check_writing(struct arena *arena, const struct json *value)
{
    struct buf once, twice;
    const struct json *again;
    buf_init(&once, arena, 256, 1 << 24);
    buf_init(&twice, arena, 256, 1 << 24);
    json_write(&once, value);
    PROMISE(!once.overflowed && !json_parse(arena, buf_str(&once), &again).code);
    json_write(&twice, again);
    PROMISE(str_eq(buf_str(&once), buf_str(&twice)));
    PROMISE(again->kind == value->kind && again->count == value->count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = input_of(data, size);
    const struct json *ours = NULL;
    struct arena arena;
    json_error_t why;
    arena_init(&arena, NULL, 0);
    struct err err = json_parse(&arena, text, &ours);
    json_t *theirs = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL,
                                &why);
    if (err.code) {
        PROMISE(err.code == ERR_INVALID_REQUEST && err.why && !ours);
        if (theirs)
            check_bounds(text, theirs);
    } else {
        PROMISE(theirs);
        PROMISE(utf8_valid(text));
        same(ours, theirs);
        check_writing(&arena, ours);
    }
    json_decref(theirs);
    arena_release(&arena);
    return 0;
}
