/* test_merge_patch.c: JSON Merge Patch: the examples of RFC 7396 appendix A, and what they leave out. */
#include "base/merge_patch.h"
#include "unit.h"

static struct str merged(struct str target, struct str patch)
{
    const struct json *of_target = NULL, *of_patch;
    struct buf out;
    if (target.len > 0)
        assert_ok(json_parse(&arena, target, &of_target));
    assert_ok(json_parse(&arena, patch, &of_patch));
    buf_init(&out, &arena, 16, 4096);
    merge_patch_write(&out, of_target, of_patch);
    return buf_str(&out);
}

static const struct {
    struct str target, patch;
    const char *result;
} rows[] = {
    /* appendix A */
    { ROW("{\"a\":\"b\"}"), ROW("{\"a\":\"c\"}"), "{\"a\":\"c\"}" },
    { ROW("{\"a\":\"b\"}"), ROW("{\"b\":\"c\"}"), "{\"a\":\"b\",\"b\":\"c\"}" },
    { ROW("{\"a\":\"b\"}"), ROW("{\"a\":null}"), "{}" },
    { ROW("{\"a\":\"b\",\"b\":\"c\"}"), ROW("{\"a\":null}"), "{\"b\":\"c\"}" },
    { ROW("{\"a\":[\"b\"]}"), ROW("{\"a\":\"c\"}"), "{\"a\":\"c\"}" },
    { ROW("{\"a\":\"c\"}"), ROW("{\"a\":[\"b\"]}"), "{\"a\":[\"b\"]}" },
    { ROW("{\"a\":{\"b\":\"c\"}}"), ROW("{\"a\":{\"b\":\"d\",\"c\":null}}"), "{\"a\":{\"b\":\"d\"}}" },
    { ROW("{\"a\":[{\"b\":\"c\"}]}"), ROW("{\"a\":[1]}"), "{\"a\":[1]}" },
    { ROW("[\"a\",\"b\"]"), ROW("[\"c\",\"d\"]"), "[\"c\",\"d\"]" },
    { ROW("{\"a\":\"b\"}"), ROW("[\"c\"]"), "[\"c\"]" },
    { ROW("{\"a\":\"foo\"}"), ROW("null"), "null" },
    { ROW("{\"a\":\"foo\"}"), ROW("\"bar\""), "\"bar\"" },
    { ROW("{\"e\":null}"), ROW("{\"a\":1}"), "{\"e\":null,\"a\":1}" },
    { ROW("[1,2]"), ROW("{\"a\":\"b\",\"c\":null}"), "{\"a\":\"b\"}" },
    { ROW("{}"), ROW("{\"a\":{\"bb\":{\"ccc\":null}}}"), "{\"a\":{\"bb\":{}}}" },
    /* further ones */
    { ROW(""), ROW("{\"a\":null,\"b\":{\"c\":null,\"d\":[null]}}"), "{\"b\":{\"d\":[null]}}" },
    { ROW("{\"a\\\"\\n\":1.50,\"b\":[]}"), ROW("{\"a\\\"\\n\":1e2}"), "{\"a\\\"\\n\":1e2,\"b\":[]}" },
    { ROW("{\"a\":{\"b\":1},\"c\":2}"), ROW("{}"), "{\"a\":{\"b\":1},\"c\":2}" },
    { ROW("{\"a\":1}"), ROW("{\"a\":{\"b\":null}}"), "{\"a\":{}}" },
};

static void a_patch_does_what_the_standard_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_str(merged(rows[i].target, rows[i].patch), rows[i].result);
}

static void a_patch_made_twice_is_one_made_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_str(merged(merged(rows[i].target, rows[i].patch), rows[i].patch), rows[i].result);
}

static void what_does_not_fit_overflows(void **state)
{
    const struct json *patch;
    struct buf out;
    (void)state;
    assert_ok(json_parse(&arena, STR("{\"a\":\"0123456789\"}"), &patch));
    buf_init(&out, &arena, 8, 16);
    merge_patch_write(&out, NULL, patch);
    assert_true(out.overflowed);
}

RUN(TEST(a_patch_does_what_the_standard_says), TEST(a_patch_made_twice_is_one_made_once),
    TEST(what_does_not_fit_overflows))
