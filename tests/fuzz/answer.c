/* fuzz/answer.c: answers of other services from bytes. However the bytes are cut on their way, the same answer comes of
 * them, or the same refusal; and it is within its limits. */
#include "fuzz.h"
#include "net/answer.h"

enum { BODY_MAX = 3000 };

struct outcome {
    enum err_code code;
    bool is_whole;
    size_t taken; /* bytes of the input that were given by then */
};

static struct outcome read_in_steps(struct answer *answer, struct arena *arena, struct str input, size_t step)
{
    struct outcome outcome = { 0 };
    struct err err = OK;
    memset(answer, 0, sizeof *answer);
    answer_begin(answer, arena, BODY_MAX);
    while (!err.code && answer->state != ANSWER_WHOLE && outcome.taken < input.len) {
        size_t room = 0, more = input.len - outcome.taken;
        char *to = answer_room(answer, &room);
        PROMISE(room > 0);
        more = more < step ? more : step;
        more = more < room ? more : room;
        memcpy(to, input.at + outcome.taken, more);
        outcome.taken += more;
        err = answer_received(answer, more);
        PROMISE(answer->received <= ANSWER_ROOM && answer->body.len <= BODY_MAX);
    }
    outcome.taken -= answer->received; /* what lies behind the answer */
    if (!err.code && answer->state != ANSWER_WHOLE)
        err = answer_ended(answer);
    outcome.code = err.code;
    outcome.is_whole = !err.code && answer->state == ANSWER_WHOLE;
    PROMISE(err.code || outcome.is_whole);
    PROMISE(!outcome.is_whole || (answer->status >= 200 && answer->status < 600));
    return outcome;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct answer whole, cut;
    struct arena arena;
    if (size < 1)
        return 0;
    const struct str input = input_of(data + 1, size - 1);
    arena_init(&arena, NULL, 0);
    const struct outcome at_once = read_in_steps(&whole, &arena, input, SIZE_MAX);
    const struct outcome in_steps = read_in_steps(&cut, &arena, input, (size_t)data[0] + 1);
    PROMISE((at_once.code == ERR_OK) == (in_steps.code == ERR_OK));
    if (at_once.is_whole) {
        PROMISE(whole.status == cut.status && at_once.taken == in_steps.taken);
        PROMISE(str_eq(buf_str(&whole.body), buf_str(&cut.body)) && whole.retry_after_s == cut.retry_after_s);
        PROMISE(str_eq(whole.date, cut.date) && str_eq(whole.request_id, cut.request_id) &&
                str_eq(whole.error_type, cut.error_type));
    }
    arena_release(&arena);
    return 0;
}
