/* fuzz/put_events.c: whatever EventBridge answers to ten entries, each was taken or not, or the answer is not
 * understood; and no entry counts as taken in an answer that names an error for it. A check has a sentence or is good.
 */
#include "fuzz.h"
#include "aws/put_events.h"

enum { COUNT = 10 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str body = input_of(data, size);
    for (size_t count = 1; count <= COUNT; count += COUNT - 1) {
        enum put_outcome outcomes[COUNT];
        struct arena arena;
        size_t taken = 0;
        arena_init(&arena, NULL, 0);
        memset(outcomes, 0x5a, sizeof outcomes);
        if (put_events_read(&arena, body, count, outcomes))
            for (size_t i = 0; i < count; i++) {
                PROMISE(outcomes[i] <= PUT_REFUSED);
                taken += outcomes[i] == PUT_TAKEN;
            }
        PROMISE(taken == 0 || memmem(body.at, body.len, "Id\"", 3) || memchr(body.at, '\\', body.len));
        arena_release(&arena);
    }
    struct arena arena;
    arena_init(&arena, NULL, 0);
    const struct err err = put_events_read_check(&arena, body);
    PROMISE(!err.code == !err.why);
    arena_release(&arena);
    return 0;
}
