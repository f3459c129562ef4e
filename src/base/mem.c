/* base/mem.c: views, arena, bounded buffer, secrets. */
#include "base/mem.h"
#include "base/proc.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#define HAS_MALLINFO2 __GLIBC_PREREQ(2, 33)
#else
#define HAS_MALLINFO2 0
#endif

/* --- the heap ---------------------------------------------------------------------------------------------------- */

void mem_few_arenas(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 2);
#endif
}

#if HAS_MALLINFO2
/* What is no file's. */
static size_t mem_resident(void)
{
    const long long resident = proc_number("/proc/self/statm", 1), shared = proc_number("/proc/self/statm", 2);
    return shared >= 0 && resident > shared ? (size_t)(resident - shared) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}
#endif

size_t mem_unused(void)
{
#if HAS_MALLINFO2
    const struct mallinfo2 heap = mallinfo2();
    const size_t resident = mem_resident(), used = heap.uordblks + heap.hblkhd;
    return resident > used ? resident - used : 0;
#else
    return 0;
#endif
}

void mem_give_back(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

/* --- views ------------------------------------------------------------------------------------------------------- */

static unsigned char mem_lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool str_number(struct str text, int64_t max, int64_t *out)
{
    int64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        const int64_t digit = text.at[i] - '0';
        if (digit < 0 || digit > 9 || value > max / 10 || value * 10 > max - digit)
            return false;
        value = value * 10 + digit;
    }
    if (text.len == 0)
        return false;
    *out = value;
    return true;
}

bool str_is_among(struct str s, const struct str *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(list[i], s))
            return true;
    return false;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (mem_lower(a.at[i]) != mem_lower(b.at[i]))
            return false;
    return true;
}

bool str_eq_secret(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    const volatile unsigned char *left = (const volatile unsigned char *)a.at;
    const volatile unsigned char *right = (const volatile unsigned char *)b.at;
    unsigned char different = 0;
    for (size_t i = 0; i < a.len; i++)
        different = (unsigned char)(different | (left[i] ^ right[i]));
    return different == 0;
}

bool str_has(struct str s, char c)
{
    return s.len > 0 && memchr(s.at, c, s.len) != NULL;
}

bool str_has_prefix(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.at, prefix.at, prefix.len) == 0);
}

bool str_has_only(struct str s, struct str others)
{
    for (size_t i = 0; i < s.len; i++)
        if (!char_is_letter(s.at[i]) && !char_is_digit(s.at[i]) && !str_has(others, s.at[i]))
            return false;
    return true;
}

bool str_has_capital(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] >= 'A' && s.at[i] <= 'Z')
            return true;
    return false;
}

bool str_cut(struct str *rest, char sep, struct str *before)
{
    const char *found = rest->len > 0 ? memchr(rest->at, sep, rest->len) : NULL;
    if (!found)
        return false;
    size_t len = (size_t)(found - rest->at);
    *before = (struct str){ rest->at, len };
    *rest = (struct str){ found + 1, rest->len - len - 1 };
    return true;
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
        s.at++;
        s.len--;
    }
    while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool str_next_item(struct str *rest, char sep, struct str *item)
{
    if (rest->len == 0)
        return false;
    if (!str_cut(rest, sep, item)) {
        *item = *rest;
        *rest = (struct str){ rest->at + rest->len, 0 };
    }
    return true;
}

bool str_next_word(struct str *rest, struct str *word)
{
    while (str_next_item(rest, ' ', word))
        if (word->len > 0)
            return true;
    return false;
}

bool str_has_item(struct str list, struct str item)
{
    struct str one;
    while (str_next_item(&list, ',', &one))
        if (str_eq(str_trim(one), item))
            return true;
    return false;
}

bool str_has_word(struct str list, struct str word)
{
    struct str one;
    while (str_next_word(&list, &one))
        if (str_eq(one, word))
            return true;
    return false;
}

void *mem_alloc(size_t size)
{
    void *at = malloc(size > 0 ? size : 1);
    if (!at)
        abort(); /* see mem.h: nothing that was acknowledged is lost by it */
    return at;
}

/* --- arena ------------------------------------------------------------------------------------------------------- */

enum { CHUNK_FIRST = 4 * 1024, CHUNK_LARGEST = 64 * 1024 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size;  /* of what follows */
    size_t usual; /* what the next chunk's size is reckoned from */
    _Alignas(max_align_t) char room[];
};

struct arena_held {
    struct arena_held *next;
    void (*let_go)(void *what);
    void *what;
};

static size_t mem_align_up(size_t size)
{
    const size_t unit = _Alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        abort();
    return (size + unit - 1) / unit * unit;
}

void arena_init(struct arena *arena, void *room, size_t size)
{
    char *at = room;
    size_t skip = (size_t)(-(uintptr_t)at) % _Alignof(max_align_t);
    bool fits = at && size > skip;
    *arena = (struct arena){ .at = fits ? at + skip : NULL, .end = fits ? at + size : NULL };
}

/* Before what lies in the arena, as the list itself does, is gone. */
static void mem_let_go(struct arena *arena)
{
    for (; arena->held; arena->held = arena->held->next)
        arena->held->let_go(arena->held->what);
}

void arena_wipe(struct arena *arena, void *room, size_t size)
{
    mem_let_go(arena);
    bool in_room = !arena->chunks && arena->at; /* then nothing behind `at` has been used */
    mem_wipe(room, in_room ? (size_t)(arena->at - (char *)room) : size);
    for (struct arena_chunk *chunk = arena->chunks; chunk; chunk = chunk->next)
        mem_wipe(chunk->room, chunk->size);
}

void arena_release(struct arena *arena)
{
    mem_let_go(arena);
    while (arena->chunks) {
        struct arena_chunk *chunk = arena->chunks;
        arena->chunks = chunk->next;
        free(chunk);
    }
    arena->at = arena->end = NULL;
    arena->heap = 0;
}

/* A chunk of its own for what is large, so that the room that is left in the current one is not lost. */
static void *mem_alloc_chunk(struct arena *arena, size_t size)
{
    size_t last = arena->chunks ? arena->chunks->usual : CHUNK_FIRST / 2;
    size_t usual = last * 2 < CHUNK_LARGEST ? last * 2 : CHUNK_LARGEST;
    bool is_large = size > usual / 2;
    size_t room = is_large ? size : usual;
    struct arena_chunk *chunk = mem_alloc(sizeof *chunk + room);
    chunk->next = arena->chunks;
    chunk->size = room;
    chunk->usual = is_large ? CHUNK_FIRST / 2 : room;
    arena->chunks = chunk;
    arena->heap += sizeof *chunk + room;
    if (!is_large) {
        arena->at = chunk->room + size;
        arena->end = chunk->room + room;
    }
    return chunk->room;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size = mem_align_up(size > 0 ? size : 1);
    if (arena->at && size <= (size_t)(arena->end - arena->at)) {
        void *at = arena->at;
        arena->at += size;
        return at;
    }
    return mem_alloc_chunk(arena, size);
}

void *arena_zalloc(struct arena *arena, size_t size)
{
    return memset(arena_alloc(arena, size), 0, size);
}

void arena_hold(struct arena *arena, void (*let_go)(void *what), void *what)
{
    struct arena_held *held = arena_alloc(arena, sizeof *held);
    *held = (struct arena_held){ arena->held, let_go, what };
    arena->held = held;
}

struct str arena_copy(struct arena *arena, struct str s)
{
    char *at = arena_alloc(arena, s.len + 1);
    if (s.len > 0)
        memcpy(at, s.at, s.len);
    at[s.len] = '\0';
    return (struct str){ at, s.len };
}

struct str arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    size_t room = len > 0 ? (size_t)len : 0;
    char *at = arena_alloc(arena, room + 1);
    at[0] = '\0';
    vsnprintf(at, room + 1, format, again);
    va_end(again);
    return (struct str){ at, room };
}

/* --- buf --------------------------------------------------------------------------------------------------------- */

void buf_init(struct buf *buf, struct arena *arena, size_t first, size_t max)
{
    *buf = (struct buf){ .arena = arena, .room = first < max ? first : max, .max = max };
    buf->at = arena_alloc(arena, buf->room);
}

char *buf_reserve(struct buf *buf, size_t size)
{
    if (size <= buf->room - buf->len)
        return buf->at + buf->len;
    if (buf->overflowed || size > buf->max - buf->len) {
        buf->overflowed = true;
        return NULL;
    }
    size_t room = buf->len + size;
    room = room < buf->max / 2 ? room * 2 : buf->max;
    char *larger = arena_alloc(buf->arena, room);
    memcpy(larger, buf->at, buf->len);
    buf->at = larger;
    buf->room = room;
    return buf->at + buf->len;
}

void buf_add(struct buf *buf, struct str s)
{
    char *to = s.len > 0 ? buf_reserve(buf, s.len) : NULL;
    if (!to)
        return;
    memcpy(to, s.at, s.len);
    buf->len += s.len;
}

void buf_add_char(struct buf *buf, char c)
{
    buf_add(buf, (struct str){ &c, 1 });
}

void buf_add_word(struct buf *buf, struct str word)
{
    if (buf->len > 0)
        buf_add_char(buf, ' ');
    buf_add(buf, word);
}

void buf_add_int(struct buf *buf, int64_t value)
{
    char text[24];
    size_t at = sizeof text;
    uint64_t rest = value < 0 ? UINT64_C(0) - (uint64_t)value : (uint64_t)value;
    do {
        text[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        text[--at] = '-';
    buf_add(buf, (struct str){ text + at, sizeof text - at });
}

/* --- secret ------------------------------------------------------------------------------------------------------ */

struct err secret_init(struct secret *out, size_t len, bool *locked)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t mapped = (len / page + 1) * page;
    void *at = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return failed(ERR_INTERNAL, "there is no memory for a secret");
    bool is_locked = mlock(at, mapped) == 0;
    (void)madvise(at, mapped, MADV_DONTDUMP);
    (void)madvise(at, mapped, MADV_DONTFORK);
    if (locked)
        *locked = is_locked;
    *out = (struct secret){ .at = at, .len = len, .mapped = mapped };
    return OK;
}

void secret_release(struct secret *secret)
{
    if (!secret->at)
        return;
    mem_wipe(secret->at, secret->mapped);
    munmap(secret->at, secret->mapped);
    *secret = (struct secret){ 0 };
}

void mem_wipe(void *at, size_t len)
{
    if (at && len > 0)
        explicit_bzero(at, len);
}
