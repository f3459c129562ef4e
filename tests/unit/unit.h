/* tests/unit/unit.h: what the unit tests share: cmocka, an arena for each test, and checks that say which row of a
 * table failed. A file tests the source file of its name; each table of what is accepted has the neighbours that must
 * not be. */
#ifndef UNIT_H
#define UNIT_H

#include "base/mem.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* STR() for the rows of a static table. */
#define ROW STR_INIT
#define COUNT(table) (sizeof(table) / sizeof *(table))

/* A test with a fresh `arena`. */
#define TEST(function) cmocka_unit_test_setup_teardown(function, arena_begin, arena_finish)
#define RUN(...) RUN_WITH(NULL, NULL, __VA_ARGS__)
/* The same, with what is to be done before the first and after the last. An argument (`split*`) picks tests by name. */
#define RUN_WITH(setup, teardown, ...)                                                                                 \
    int main(int argc, char **argv)                                                                                    \
    {                                                                                                                  \
        const struct CMUnitTest tests[] = { __VA_ARGS__ };                                                             \
        if (argc > 1)                                                                                                  \
            cmocka_set_test_filter(argv[1]);                                                                           \
        return cmocka_run_group_tests(tests, setup, teardown);                                                         \
    }

static struct arena arena;

static inline int arena_begin(void **state)
{
    (void)state;
    arena_init(&arena, NULL, 0);
    return 0;
}

static inline int arena_finish(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

/* Fails with the row's text and both codes, and with what the code under test said. */
#define assert_code(err, expected, row) assert_code_at((err), (expected), (row), __FILE__, __LINE__)
static inline void assert_code_at(struct err err, enum err_code expected, const char *row, const char *file, int line)
{
    if (err.code == expected)
        return;
    print_error("%s: got \"%s\" (%s), expected \"%s\"\n", row, err_label(err.code), err.why ? err.why : "-",
                err_label(expected));
    _fail(file, line);
}

#define assert_ok(err) assert_code_at((err), ERR_OK, #err, __FILE__, __LINE__)

/* Fails with the row's text unless `truth` holds. */
#define assert_row(truth, row) assert_row_at((truth), (row), #truth, __FILE__, __LINE__)
static inline void assert_row_at(bool truth, const char *row, const char *text, const char *file, int line)
{
    if (truth)
        return;
    print_error("%s: does not hold: %s\n", row, text);
    _fail(file, line);
}

#define assert_str(got, expected) assert_str_at((got), (expected), __FILE__, __LINE__)
static inline void assert_str_at(struct str got, const char *expected, const char *file, int line)
{
    if (str_eq(got, str_of(expected)))
        return;
    print_error("got \"%.*s\" (%zu bytes), expected \"%s\"\n", (int)got.len, got.len ? got.at : "", got.len, expected);
    _fail(file, line);
}

/* `in` in heap memory of exactly its size, so that a sanitizer sees the first byte read behind it. The caller frees. */
static inline char *exactly(struct str in)
{
    char *at = malloc(in.len ? in.len : 1);
    if (!at)
        abort();
    if (in.len)
        memcpy(at, in.at, in.len);
    return at;
}

#endif
