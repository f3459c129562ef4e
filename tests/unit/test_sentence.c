/* test_sentence.c: sentences that are made at run time and outlive whoever made them. */
#include "base/sentence.h"
#include "unit.h"

static void one_text_is_kept_once_and_told_to_callers_as_another(void **state)
{
    (void)state;
    const char *first = sentence_keep("KMS failed", "KMS at %s refuses connections", "10.0.0.1:443");
    const char *again = sentence_keep("KMS failed", "KMS at %s refuses connections", "10.0.0.1:443");
    assert_ptr_equal(first, again);
    assert_string_equal(first, "KMS at 10.0.0.1:443 refuses connections");
    assert_string_equal(sentence_for_callers(first), "KMS failed");
    assert_string_equal(sentence_for_callers("another"), "another");
}

static void a_long_one_is_cut(void **state)
{
    (void)state;
    assert_int_equal(strlen(sentence_keep("long", "%0999d", 1)), SENTENCE_ROOM - 1);
}

/* Last: it fills the table. */
static void their_number_is_bounded(void **state)
{
    (void)state;
    const char *kept = NULL;
    for (int i = 0; i < 2 * SENTENCES_MAX; i++)
        kept = sentence_keep("there are many", "sentence %d", i);
    assert_string_equal(kept, "there are many");
    assert_string_equal(sentence_keep("x", "sentence %d", 1), "sentence 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_text_is_kept_once_and_told_to_callers_as_another),
        cmocka_unit_test(a_long_one_is_cut),
        cmocka_unit_test(their_number_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
