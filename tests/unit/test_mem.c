/* test_mem.c: views, arena, bounded buffer, secrets. */
#include "unit.h"
#include <sys/mman.h>
#include <unistd.h>

/* --- views ------------------------------------------------------------------------------------------------------- */

static void equal_strings_have_equal_lengths_and_bytes(void **state)
{
    (void)state;
    assert_true(str_eq(STR("abc"), STR("abc")));
    assert_true(str_eq(STR(""), (struct str){ NULL, 0 }));
    assert_false(str_eq(STR("abc"), STR("ab")));
    assert_false(str_eq(STR("ab"), STR("abc")));
    assert_false(str_eq(STR("abc"), STR("abd")));
    assert_false(str_eq(STR("a\0b"), STR("a\0c"))); /* a NUL does not end a view */
    assert_false(str_eq(STR("a"), STR("a\0")));
}

static void comparison_without_case_knows_ascii_letters_alone(void **state)
{
    static const struct {
        struct str a, b;
        bool same;
    } rows[] = {
        { ROW("Bearer"), ROW("bEARER"), true },
        { ROW(""), ROW(""), true },
        { ROW("none"), ROW("NoNe"), true },
        { ROW("@"), ROW("`"), false }, /* 0x40 and 0x60: one bit apart like letters, but none */
        { ROW("["), ROW("{"), false },
        { ROW("\xc3\x84"), ROW("\xc3\xa4"), false }, /* letters outside of ASCII */
        { ROW("\xc0"), ROW("\xe0"), false },
        { ROW("K"), ROW("\xe2\x84\xaa"), false }, /* the Kelvin sign is no K */
        { ROW("a\0b"), ROW("A\0B"), true },
        { ROW("a\0b"), ROW("A\0C"), false },
        { ROW("abc"), ROW("abcd"), false },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_row(str_eq_nocase(rows[i].a, rows[i].b) == rows[i].same, rows[i].a.at);
}

static void secrets_are_equal_only_when_every_byte_is(void **state)
{
    char a[64], b[64];
    (void)state;
    memset(a, 0x5a, sizeof a);
    memcpy(b, a, sizeof b);
    const struct str left = { a, sizeof a }, right = { b, sizeof b };
    assert_true(str_eq_secret(left, right));
    assert_true(str_eq_secret((struct str){ NULL, 0 }, STR("")));
    assert_false(str_eq_secret(left, (struct str){ b, sizeof b - 1 }));
    for (size_t bit = 0; bit < 8 * sizeof b; bit++) {
        b[bit / 8] = (char)(b[bit / 8] ^ 1 << bit % 8);
        assert_false(str_eq_secret(left, right));
        b[bit / 8] = (char)(b[bit / 8] ^ 1 << bit % 8);
    }
    b[0] = (char)(b[0] ^ 0x80); /* two differences that a sum of bytes would lose, and an exclusive or */
    b[1] = (char)(b[1] ^ 0x80);
    assert_false(str_eq_secret(left, right));
}

static void cut_takes_what_stands_before_the_first_separator(void **state)
{
    struct str rest = STR("a.b.c"), before = STR("untouched");
    (void)state;
    assert_true(str_cut(&rest, '.', &before));
    assert_str(before, "a");
    assert_str(rest, "b.c");
    rest = STR(".x");
    assert_true(str_cut(&rest, '.', &before));
    assert_str(before, "");
    assert_str(rest, "x");
    rest = STR("x.");
    assert_true(str_cut(&rest, '.', &before));
    assert_str(before, "x");
    assert_int_equal(rest.len, 0);
    rest = STR("none");
    assert_false(str_cut(&rest, '.', &before));
    assert_str(rest, "none");
    assert_str(before, "x");
    rest = (struct str){ NULL, 0 };
    assert_false(str_cut(&rest, '.', &before));
    assert_null(rest.at);
}

static void trim_takes_spaces_and_tabs_alone(void **state)
{
    (void)state;
    assert_str(str_trim(STR(" \t a b\t ")), "a b");
    assert_str(str_trim(STR("\r\na\v\f")), "\r\na\v\f");
    assert_int_equal(str_trim(STR(" \t ")).len, 0);
    assert_int_equal(str_trim((struct str){ NULL, 0 }).len, 0);
}

static void lists_are_walked_item_by_item_and_word_by_word(void **state)
{
    struct str rest = STR("a,,b,"), item;
    (void)state;
    assert_true(str_next_item(&rest, ',', &item));
    assert_str(item, "a");
    assert_true(str_next_item(&rest, ',', &item));
    assert_str(item, "");
    assert_true(str_next_item(&rest, ',', &item));
    assert_str(item, "b");
    assert_false(str_next_item(&rest, ',', &item)); /* nothing behind the last separator */

    rest = STR("  a  bc ");
    assert_true(str_next_word(&rest, &item));
    assert_str(item, "a");
    assert_true(str_next_word(&rest, &item));
    assert_str(item, "bc");
    assert_false(str_next_word(&rest, &item));

    rest = (struct str){ NULL, 0 };
    assert_false(str_next_item(&rest, ',', &item));
    assert_false(str_next_word(&rest, &item));
}

static void a_word_is_in_a_list_only_whole(void **state)
{
    const struct str list = STR("token:issue  token:verify keys:rotate");
    (void)state;
    assert_true(str_has_word(list, STR("token:issue")));
    assert_true(str_has_word(list, STR("keys:rotate")));
    assert_false(str_has_word(list, STR("token")));
    assert_false(str_has_word(list, STR("token:issue:any")));
    assert_false(str_has_word(list, STR("issue")));
    assert_false(str_has_word(list, STR("")));
    assert_false(str_has_word(list, STR("token:issue  token:verify")));
    assert_false(str_has_word(list, STR("Token:issue")));
    assert_false(str_has_word(STR("token:issue\ttoken:verify"), STR("token:verify"))); /* RFC 6749: the space alone */
    assert_false(str_has_word((struct str){ NULL, 0 }, STR("x")));
}

/* All 256 bytes, each alone and behind a good one. */
static void a_text_has_only_letters_digits_and_what_is_named(void **state)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.";
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        const char text[] = { 'a', (char)byte };
        const bool is_good = byte > 0 && strchr(good, byte);
        assert_int_equal(str_has_only((struct str){ text, 2 }, STR("-.")), is_good);
        assert_int_equal(str_has_only((struct str){ text + 1, 1 }, STR("-.")), is_good);
        assert_int_equal(str_has_capital((struct str){ text, 2 }), byte >= 'A' && byte <= 'Z');
    }
    assert_true(str_has_only((struct str){ NULL, 0 }, STR("")));
    assert_true(str_has_only(STR("\0"), STR("\0")));
    assert_false(str_has_capital((struct str){ NULL, 0 }));
}

static void words_are_added_with_a_space_between_them(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, &arena, 1, 6);
    buf_add_word(&buf, STR("ab"));
    buf_add_word(&buf, STR("c"));
    buf_add_word(&buf, STR("d"));
    assert_str(buf_str(&buf), "ab c d");
    assert_false(buf.overflowed);
    buf_add_word(&buf, STR("e"));
    assert_true(buf.overflowed);
}

static void prefixes_are_compared_by_bytes(void **state)
{
    (void)state;
    assert_true(str_has_prefix(STR("W/\"x\""), STR("W/")));
    assert_true(str_has_prefix(STR("W/"), STR("W/")));
    assert_true(str_has_prefix(STR("x"), STR("")));
    assert_true(str_has_prefix((struct str){ NULL, 0 }, STR("")));
    assert_false(str_has_prefix(STR("W"), STR("W/")));
    assert_false(str_has_prefix(STR("w/"), STR("W/")));
    assert_true(str_has(STR("a\0b"), 'b'));
    assert_true(str_has(STR("a\0b"), '\0'));
    assert_false(str_has(STR("ab"), '\0'));
    assert_false(str_has((struct str){ NULL, 0 }, '\0'));
}

/* --- arena ------------------------------------------------------------------------------------------------------- */

static bool is_aligned(const void *at)
{
    return (uintptr_t)at % _Alignof(max_align_t) == 0;
}

static void an_arena_gives_aligned_room_that_never_overlaps(void **state)
{
    enum { BLOCKS = 500 };
    static const size_t sizes[] = { 0, 1, 7, 8, 15, 16, 17, 100, 1000, 4096, 5000, 70000 };
    unsigned char *blocks[BLOCKS];
    char odd_room[1001];
    struct arena own;
    (void)state;
    for (size_t offset = 0; offset < 2; offset++) {
        arena_init(&own, odd_room + offset, sizeof odd_room - offset);
        for (size_t i = 0; i < BLOCKS; i++) {
            size_t size = sizes[i % COUNT(sizes)];
            blocks[i] = arena_alloc(&own, size);
            assert_true(is_aligned(blocks[i]));
            memset(blocks[i], (int)(i % 251), size);
        }
        for (size_t i = 0; i < BLOCKS; i++)
            for (size_t j = 0; j < sizes[i % COUNT(sizes)]; j++)
                assert_int_equal(blocks[i][j], i % 251);
        arena_release(&own);
    }
}

static void an_arena_uses_the_first_room_before_the_heap(void **state)
{
    _Alignas(max_align_t) char room[256];
    struct arena own;
    (void)state;
    arena_init(&own, room, sizeof room);
    char *at = arena_alloc(&own, 200);
    assert_true(at >= room && at + 200 <= room + sizeof room);
    assert_null(own.chunks);
    at = arena_alloc(&own, 100); /* does not fit any more */
    assert_true(at + 100 <= room || at >= room + sizeof room);
    assert_non_null(own.chunks);
    arena_release(&own);
    assert_null(own.chunks);
}

static void an_arena_manages_on_room_too_small_to_align(void **state)
{
    char room[3];
    struct arena own;
    (void)state;
    for (size_t size = 0; size <= sizeof room; size++) {
        arena_init(&own, room, size);
        memset(arena_alloc(&own, 64), 1, 64);
        arena_release(&own);
    }
}

static void zeroed_room_is_zero_even_where_the_arena_was_used(void **state)
{
    (void)state;
    memset(arena_alloc(&arena, 64), 0xff, 64);
    unsigned char *at = arena_zalloc(&arena, 300);
    for (size_t i = 0; i < 300; i++)
        assert_int_equal(at[i], 0);
}

static void copies_end_in_a_nul_that_is_not_counted(void **state)
{
    (void)state;
    struct str copy = arena_copy(&arena, STR("a\0b"));
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.at, "a\0b", 4);
    copy = arena_copy(&arena, (struct str){ NULL, 0 });
    assert_int_equal(copy.len, 0);
    assert_int_equal(copy.at[0], '\0');
    copy = arena_printf(&arena, "%s-%d", "x", 42);
    assert_str(copy, "x-42");
    assert_int_equal(copy.at[copy.len], '\0');
    copy = arena_printf(&arena, "%*s", 10000, "");
    assert_int_equal(copy.len, 10000);
    assert_int_equal(copy.at[copy.len], '\0');
}

/* --- buf --------------------------------------------------------------------------------------------------------- */

static void a_buffer_takes_exactly_its_maximum_and_not_a_byte_more(void **state)
{
    static const size_t maxima[] = { 1, 2, 3, 99, 100, 101, 4096 };
    (void)state;
    for (size_t i = 0; i < COUNT(maxima); i++)
        for (size_t first = 0; first <= maxima[i] + 1; first += maxima[i] / 3 + 1) {
            struct buf buf;
            buf_init(&buf, &arena, first, maxima[i]);
            for (size_t n = 0; n < maxima[i]; n++)
                buf_add_char(&buf, (char)('a' + n % 26));
            assert_false(buf.overflowed);
            assert_int_equal(buf.len, maxima[i]);
            for (size_t n = 0; n < buf.len; n++)
                assert_int_equal(buf.at[n], 'a' + (int)(n % 26));
            buf_add(&buf, STR(""));
            assert_false(buf.overflowed);
            buf_add_char(&buf, 'X');
            assert_true(buf.overflowed);
            assert_int_equal(buf.len, maxima[i]);
        }
}

static void an_overflowed_buffer_says_so_for_ever(void **state)
{
    struct buf buf;
    (void)state;
    buf_init(&buf, &arena, 4, 8);
    buf_add(&buf, STR("12345"));
    buf_add(&buf, STR("6789")); /* one too many: nothing of it is taken */
    assert_true(buf.overflowed);
    buf_add(&buf, STR("x"));
    assert_true(buf.overflowed);
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_true(buf.len <= 8);
}

static void reserving_more_than_any_size_is_an_overflow(void **state)
{
    static const size_t sizes[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 4, SIZE_MAX / 2 + 1, 101 };
    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct buf buf;
        buf_init(&buf, &arena, 10, 100);
        buf_add(&buf, STR("abcd"));
        assert_null(buf_reserve(&buf, sizes[i]));
        assert_true(buf.overflowed);
    }
}

static void numbers_are_written_over_their_whole_range(void **state)
{
    static const struct {
        int64_t value;
        const char *text;
    } rows[] = {
        { 0, "0" },
        { 7, "7" },
        { -1, "-1" },
        { 10, "10" },
        { -10, "-10" },
        { INT64_MAX, "9223372036854775807" },
        { INT64_MIN, "-9223372036854775808" },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf buf;
        buf_init(&buf, &arena, 0, 64);
        buf_add_int(&buf, rows[i].value);
        assert_str(buf_str(&buf), rows[i].text);
    }
}

/* --- the heap ---------------------------------------------------------------------------------------------------- */

/* A sanitizer has a heap of its own. */
#if !defined(__GLIBC__) || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_OTHER_HEAP
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_OTHER_HEAP
#endif
#endif
#ifdef HAS_OTHER_HEAP
enum { HAS_HEAP_OF_GLIBC = false };
#else
enum { HAS_HEAP_OF_GLIBC = true };
#endif

static void what_was_freed_is_unused_until_it_is_given_back(void **state)
{
    enum { BLOCKS = 2000, BLOCK = 16 * 1024, ALL = BLOCKS * BLOCK };
    static char *blocks[BLOCKS + 1];
    (void)state;
    for (size_t i = 0; i <= BLOCKS; i++) { /* the last one keeps the heap from being cut by itself */
        blocks[i] = mem_alloc(BLOCK);
        memset(blocks[i], 'x', BLOCK);
    }
    const size_t in_use = mem_unused();
    for (size_t i = 0; i < BLOCKS; i++)
        free(blocks[i]);
    const size_t freed = mem_unused();
    mem_give_back();
    const size_t given = mem_unused();
    free(blocks[BLOCKS]);
    assert_true(!HAS_HEAP_OF_GLIBC || freed >= in_use + ALL / 10 * 9);
    assert_true(!HAS_HEAP_OF_GLIBC || given <= in_use + ALL / 10);
}

/* --- secrets ----------------------------------------------------------------------------------------------------- */

static void a_secret_is_zeroed_room_of_its_size_until_it_is_released(void **state)
{
    static const size_t sizes[] = { 0, 1, 32, 4095, 4096, 4097, 20000 };
    (void)state;
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct secret secret;
        bool locked = false;
        assert_ok(secret_init(&secret, sizes[i], &locked));
        assert_int_equal(secret.len, sizes[i]);
        assert_true(secret.mapped >= sizes[i]);
        for (size_t n = 0; n < sizes[i]; n++)
            assert_int_equal(secret.at[n], 0);
        memset(secret.at, 'k', sizes[i]);
        secret_release(&secret);
        assert_null(secret.at);
        secret_release(&secret); /* a second time does nothing */
    }
    struct secret none = { 0 };
    secret_release(&none);
}

/* /proc/self/smaps tells what the kernel was asked for: "dd" is MADV_DONTDUMP, "dc" MADV_DONTFORK. */
static void a_secret_stays_out_of_core_dumps_and_forks(void **state)
{
    struct secret secret;
    char line[512], wanted[32];
    bool inside = false, dumped = true, forked = true;
    (void)state;
    assert_ok(secret_init(&secret, 100, NULL));
    snprintf(wanted, sizeof wanted, "%llx-", (unsigned long long)(uintptr_t)secret.at);
    FILE *file = fopen("/proc/self/smaps", "re");
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (strncmp(line, wanted, strlen(wanted)) == 0)
            inside = true;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0) {
            dumped = strstr(line, " dd") == NULL;
            forked = strstr(line, " dc") == NULL;
            break;
        }
    }
    fclose(file);
    assert_true(inside);
    assert_false(dumped);
    assert_false(forked);
    secret_release(&secret);
}

static void wiping_takes_nothing_and_null(void **state)
{
    char text[] = "secret";
    (void)state;
    mem_wipe(NULL, 0);
    mem_wipe(text, 0);
    assert_string_equal(text, "secret");
    mem_wipe(text, sizeof text);
    for (size_t i = 0; i < sizeof text; i++)
        assert_int_equal(text[i], 0);
}

static void a_wiped_arena_holds_nothing_of_what_was_made_in_it(void **state)
{
    char room[256];
    struct arena wiped;
    (void)state;
    memset(room, 'x', sizeof room);
    arena_init(&wiped, room, sizeof room);
    const struct str small = arena_copy(&wiped, STR("a secret in the room"));
    arena_wipe(&wiped, room, sizeof room);
    for (size_t i = 0; i < small.len; i++)
        assert_int_equal(small.at[i], 0);
    assert_int_equal(room[sizeof room - 1], 'x'); /* what was never used costs nothing */
    arena_init(&wiped, room, sizeof room);
    const struct str inside = arena_copy(&wiped, STR("another"));
    char *large = arena_alloc(&wiped, 100000);
    const struct str later = arena_copy(&wiped, STR("and one more"));
    memset(large, 's', 100000);
    arena_wipe(&wiped, room, sizeof room);
    for (size_t i = 0; i < 100000; i++)
        assert_int_equal(large[i], 0);
    assert_int_equal(inside.at[0], 0);
    assert_int_equal(later.at[0], 0);
    arena_release(&wiped);
}

static void note_end(void *what)
{
    (*(int *)what)++;
}

static void what_an_arena_holds_is_let_go_once_with_it(void **state)
{
    char room[256];
    int ends[3] = { 0 };
    (void)state;
    for (int wipes = 0; wipes < 2; wipes++) {
        struct arena own;
        arena_init(&own, room, sizeof room);
        for (size_t i = 0; i < COUNT(ends); i++) {
            arena_hold(&own, note_end, &ends[i]);
            (void)arena_alloc(&own, 100 * i); /* the last ones lie on the heap */
        }
        for (size_t i = 0; i < COUNT(ends); i++)
            assert_int_equal(ends[i], wipes);
        if (wipes)
            arena_wipe(&own, room, sizeof room);
        arena_release(&own);
        for (size_t i = 0; i < COUNT(ends); i++)
            assert_int_equal(ends[i], wipes + 1);
    }
}

static void a_number_is_digits_and_nothing_else_up_to_its_maximum(void **state)
{
    static const struct {
        struct str text;
        int64_t max, value; /* -1: none */
    } rows[] = {
        { ROW("0"), 0, 0 },
        { ROW("1"), 0, -1 },
        { ROW("7"), 5, -1 },
        { ROW("5"), 5, 5 },
        { ROW("007"), 10, 7 },
        { ROW("255"), 255, 255 },
        { ROW("256"), 255, -1 },
        { ROW("9223372036854775807"), INT64_MAX, INT64_MAX },
        { ROW("9223372036854775808"), INT64_MAX, -1 },
        { ROW("99999999999999999999999999"), INT64_MAX, -1 },
        { ROW(""), 9, -1 },
        { ROW("-1"), 9, -1 },
        { ROW("+1"), 9, -1 },
        { ROW(" 1"), 9, -1 },
        { ROW("1 "), 9, -1 },
        { ROW("1\0"), 9, -1 },
        { ROW("/"), 99, -1 },
        { ROW(":"), 99, -1 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t value = -1;
        assert_int_equal(str_number(rows[i].text, rows[i].max, &value), rows[i].value >= 0);
        assert_int_equal(value, rows[i].value);
    }
}

RUN(TEST(equal_strings_have_equal_lengths_and_bytes), TEST(comparison_without_case_knows_ascii_letters_alone),
    TEST(secrets_are_equal_only_when_every_byte_is), TEST(cut_takes_what_stands_before_the_first_separator),
    TEST(trim_takes_spaces_and_tabs_alone), TEST(lists_are_walked_item_by_item_and_word_by_word),
    TEST(a_word_is_in_a_list_only_whole), TEST(a_text_has_only_letters_digits_and_what_is_named),
    TEST(words_are_added_with_a_space_between_them), TEST(prefixes_are_compared_by_bytes),
    TEST(a_number_is_digits_and_nothing_else_up_to_its_maximum), TEST(an_arena_gives_aligned_room_that_never_overlaps),
    TEST(an_arena_uses_the_first_room_before_the_heap), TEST(an_arena_manages_on_room_too_small_to_align),
    TEST(zeroed_room_is_zero_even_where_the_arena_was_used), TEST(copies_end_in_a_nul_that_is_not_counted),
    TEST(a_buffer_takes_exactly_its_maximum_and_not_a_byte_more), TEST(an_overflowed_buffer_says_so_for_ever),
    TEST(reserving_more_than_any_size_is_an_overflow), TEST(numbers_are_written_over_their_whole_range),
    TEST(what_was_freed_is_unused_until_it_is_given_back),
    TEST(a_secret_is_zeroed_room_of_its_size_until_it_is_released), TEST(a_secret_stays_out_of_core_dumps_and_forks),
    TEST(wiping_takes_nothing_and_null), TEST(a_wiped_arena_holds_nothing_of_what_was_made_in_it),
    TEST(what_an_arena_holds_is_let_go_once_with_it))
