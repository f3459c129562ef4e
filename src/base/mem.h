/* base/mem.h: views, arena, bounded buffer, secrets. Running out of memory ends the process (mem_alloc): all that was
 * acknowledged is in the store, and every input is bounded long before. So nothing here returns NULL. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Called at the start: one glibc arena per thread would cost megabytes, and the hot path hardly allocates. With another
 * malloc than glibc's, this and the next two functions do nothing: musl's gives memory back by itself. */
void mem_few_arenas(void);
/* Bytes of memory that the process holds and has no use for; of what it can't do without (stacks, static data), some
 * are among them. */
size_t mem_unused(void);
/* Gives free memory back to the system. Takes a while. */
void mem_give_back(void);

/* A view of `len` bytes that somebody else owns. May hold NUL bytes; is not terminated. at may be NULL when len is 0.
 */
struct str {
    const char *at;
    size_t len;
};

/* Of a literal: STR_INIT where a static object begins, for which C17 takes no compound literal. */
#define STR_INIT(literal)                                                                                              \
    {                                                                                                                  \
        "" literal, sizeof(literal) - 1                                                                                \
    }
#define STR(literal) ((struct str)STR_INIT(literal))

static inline struct str str_of(const char *text)
{
    return (struct str){ text, text ? strlen(text) : 0 };
}

/* A whole number in decimal digits and nothing else, at most `max`; else false, and nothing written. */
bool str_number(struct str text, int64_t max, int64_t *out);

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* Whether it is one of these; STR_IS_AMONG: of all of a table. */
bool str_is_among(struct str s, const struct str *list, size_t count);
#define STR_IS_AMONG(s, table) str_is_among((s), (table), sizeof(table) / sizeof *(table))

/* ASCII letters compared without case. */
bool str_eq_nocase(struct str a, struct str b);

/* Equal lengths and bytes, in a time that depends only on the lengths. */
bool str_eq_secret(struct str a, struct str b);

/* ASCII letters and digits. */
static inline bool char_is_digit(char c)
{
    return c >= '0' && c <= '9';
}
static inline bool char_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
/* Whether all of it is letters, digits and `others`, as it is when it is empty. */
bool str_has_only(struct str s, struct str others);
/* Whether there is a capital letter in it. */
bool str_has_capital(struct str s);

bool str_has(struct str s, char c);
bool str_has_prefix(struct str s, struct str prefix);

/* Cuts *rest at the first `sep`: *before gets what stands before it, *rest what follows. False, with both untouched,
 * when there is no `sep`. */
bool str_cut(struct str *rest, char sep, struct str *before);

/* Without leading and trailing spaces and tabs. */
struct str str_trim(struct str s);

/* The next item of a list separated by `sep`, unchanged (it may be empty); false at the end. */
bool str_next_item(struct str *rest, char sep, struct str *item);

/* The next word of a space-separated list (RFC 6749 section 3.3 scope); false at the end. */
bool str_next_word(struct str *rest, struct str *word);

/* Whether `item` is one of the comma-separated items of `list`, without the spaces around them. */
bool str_has_item(struct str list, struct str item);

/* Whether `word` is one of the space-separated words of `list`. */
bool str_has_word(struct str list, struct str word);

/* malloc that never returns NULL. The caller frees. */
void *mem_alloc(size_t size) __attribute__((returns_nonnull, malloc, alloc_size(1)));

/* --- arena: what a request makes lies here and is freed at once ------------------------------------------------- */

struct arena_chunk;
struct arena_held;
struct arena {
    char *at, *end;             /* free room in the current chunk */
    struct arena_chunk *chunks; /* heap chunks, newest first; none while the first room suffices */
    struct arena_held *held;    /* what goes with it */
    size_t heap;                /* bytes of all heap chunks */
};

/* Starts on `room` of `size` bytes that the caller owns and keeps alive. One that is all zero starts on the heap. */
void arena_init(struct arena *arena, void *room, size_t size);
/* Overwrites what has been made in it, in `room` (as given to arena_init) and on the heap; release it after that. What
 * it holds is let go. */
void arena_wipe(struct arena *arena, void *room, size_t size);
/* Frees all heap chunks, and lets go what it holds; every view into the arena dies. */
void arena_release(struct arena *arena);
/* `size` bytes, aligned for any type, not cleared. */
void *arena_alloc(struct arena *arena, size_t size) __attribute__((returns_nonnull, alloc_size(2)));
void *arena_zalloc(struct arena *arena, size_t size) __attribute__((returns_nonnull, alloc_size(2)));
/* Has let_go(what) called when the arena is wiped or released: what is shared and counted, and seen from views here,
 * lives until then. */
void arena_hold(struct arena *arena, void (*let_go)(void *what), void *what);
/* A copy in the arena, with a NUL after it that len does not count. */
struct str arena_copy(struct arena *arena, struct str s);
/* printf into the arena; NUL after it. */
struct str arena_printf(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* --- buf: a growing text with a hard upper size ------------------------------------------------------------------ */

struct buf {
    struct arena *arena; /* where it grows */
    char *at;
    size_t len, room, max;
    bool overflowed; /* sticky: something did not fit below max; the content is cut short and must not be used */
};

/* Empty; grows in `arena` up to `max` bytes, beginning with room for `first`. */
void buf_init(struct buf *buf, struct arena *arena, size_t first, size_t max);
void buf_add(struct buf *buf, struct str s);
void buf_add_char(struct buf *buf, char c);
void buf_add_int(struct buf *buf, int64_t value);
/* After a space, unless it is the first. */
void buf_add_word(struct buf *buf, struct str word);
/* Room for `size` more bytes that the caller will write, or NULL on overflow; then say how many with buf->len += n. */
char *buf_reserve(struct buf *buf, size_t size);
static inline struct str buf_str(const struct buf *buf)
{
    return (struct str){ buf->at, buf->len };
}

/* --- secret: locked in memory, kept out of core dumps, wiped ----------------------------------------------------- */

struct secret {
    char *at;
    size_t len, mapped;
};

/* `len` zero bytes in pages of their own (mlock, MADV_DONTDUMP, MADV_DONTFORK). mlock may fail under a small
 * RLIMIT_MEMLOCK: the secret is usable all the same and *locked says so (NULL allowed). */
struct err secret_init(struct secret *out, size_t len, bool *locked) MUST_USE;
/* Wipes and unmaps; safe on a zeroed struct. */
void secret_release(struct secret *secret);
/* Overwrites in a way the compiler may not drop. */
void mem_wipe(void *at, size_t len);

#endif
