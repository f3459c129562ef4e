/* fuzz/kms_error.c: whatever a failing KMS answers, in its header (the first line) or its body, the caller gets a
 * sentence of ours and one of two codes, and only a 200 is a success. */
#include "fuzz.h"
#include "aws/kms_error.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = { 400, 403, 404, 429, 500, 503 };
    struct str body = input_of(data, size), type = { 0, 0 };
    (void)str_cut(&body, '\n', &type); /* a header's value has no line break */
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct arena arena;
        struct kms_error error;
        arena_init(&arena, NULL, 0);
        kms_error_read(&arena, statuses[i], type, body, &error);
        PROMISE(error.err.code == ERR_UNAVAILABLE || error.err.code == ERR_NOT_FOUND ||
                error.err.code == ERR_INSUFFICIENT_SCOPE);
        PROMISE(error.err.why && error.code.len > 0);
        PROMISE(statuses[i] != 503 || error.verdict != AWS_FINAL || error.code.at[0] != 'n' ||
                !str_eq(error.code, STR("none")));
        arena_release(&arena);
    }
    return 0;
}
