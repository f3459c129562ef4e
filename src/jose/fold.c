/* jose/fold.c: one character after the other, by the tables of fold_table.h. */
#include "jose/fold.h"
#include "jose/fold_table.h"
#include <stddef.h>

enum { GROWTH = 3 }; /* no character becomes more than this many times its bytes */

/* The character at `at` of valid UTF-8; its bytes are counted in *len. */
static uint32_t fold_decode(const unsigned char *at, size_t *len)
{
    *len = at[0] < 0x80 ? 1 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    uint32_t code = *len == 1 ? at[0] : at[0] & (0x7fU >> *len);
    for (size_t i = 1; i < *len; i++)
        code = code << 6 | (at[i] & 0x3fU);
    return code;
}

static size_t fold_encode(uint32_t code, char *to)
{
    static const unsigned char marks[] = { 0, 0, 0xc0, 0xe0, 0xf0 };
    size_t len = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        to[i] = (char)(0x80 | (code & 0x3f));
    to[0] = (char)(marks[len == 1 ? 0 : len] | code);
    return len;
}

static bool fold_is_unseen(uint32_t code)
{
    for (size_t i = 0; i < sizeof gaps / sizeof *gaps; i++)
        if (code >= gaps[i].first && code <= gaps[i].last)
            return true;
    return false;
}

static const char *fold_text_of(uint32_t code)
{
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (code == texts[i].code)
            return texts[i].text;
    return NULL;
}

static uint32_t fold_single_of(uint32_t code)
{
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        if (code >= runs[i].first && code <= runs[i].last && (code - runs[i].first) % runs[i].step == 0)
            return runs[i].to + (code - runs[i].first);
    return code;
}

static size_t fold_one(uint32_t code, char *to)
{
    const char *text = fold_text_of(code);
    if (fold_is_unseen(code))
        return 0;
    if (!text)
        return fold_encode(fold_single_of(code), to);
    memcpy(to, text, strlen(text));
    return strlen(text);
}

struct str name_fold(struct arena *arena, struct str name)
{
    char *to = arena_alloc(arena, name.len * GROWTH + 1);
    struct str folded = { to, 0 };
    for (size_t i = 0, len = 1; i < name.len; i += len) {
        char c = name.at[i];
        len = 1;
        if (c >= 'A' && c <= 'Z')
            to[folded.len++] = (char)(c + ('a' - 'A'));
        else if ((unsigned char)c < 0x80)
            to[folded.len++] = c;
        else
            folded.len += fold_one(fold_decode((const unsigned char *)name.at + i, &len), to + folded.len);
    }
    return folded;
}

static bool fold_members_clash(struct arena *arena, const struct json *object)
{
    struct str *folded = arena_alloc(arena, (object->count + 1) * sizeof *folded);
    size_t count = 0;
    for (const struct json *member = object->child; member; member = member->next) {
        folded[count] = name_fold(arena, member->name);
        for (size_t i = 0; i < count; i++)
            if (str_eq(folded[i], folded[count]))
                return true;
        count++;
    }
    return false;
}

bool names_clash(struct arena *arena, const struct json *value)
{
    const struct json *way[JSON_DEPTH_MAX + 1] = { value }; /* down to where the walk is; the parser bounds it */
    size_t depth = 0;
    for (;;) {
        const struct json *here = way[depth];
        if (here->kind == JSON_OBJECT && fold_members_clash(arena, here))
            return true;
        if (here->child && depth < JSON_DEPTH_MAX) {
            way[++depth] = here->child;
            continue;
        }
        while (depth > 0 && !way[depth]->next)
            depth--;
        if (depth == 0)
            return false;
        way[depth] = way[depth]->next;
    }
}
