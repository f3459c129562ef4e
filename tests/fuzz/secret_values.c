/* fuzz/secret_values.c: an ARN (the first line) is a reference or is refused, and what it is made of lies in it;
 * whatever a service answers (the rest) is a value or has none. */
#include "fuzz.h"
#include "aws/secret_values.h"

static void check_reference(struct str arn, const struct secret_reference *found)
{
    PROMISE(found->id.at == arn.at && found->id.len <= arn.len);
    PROMISE(found->region.at > arn.at && found->region.at + found->region.len < arn.at + arn.len);
    for (size_t i = 0; i < found->region.len; i++)
        PROMISE(!strchr("./:@?#", found->region.at[i]));
    PROMISE(found->member.len == 0 || found->place == SECRET_OF_MANAGER);
    PROMISE(found->id.len + (found->member.len > 0 ? found->member.len + 3 : 0) == arn.len);
    PROMISE(secret_reference_is(arn));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = input_of(data, size), arn;
    struct secret_reference found = { .region = { 0, 0 } };
    struct str value = { 0, 0 };
    struct arena arena;
    if (!str_cut(&rest, '\n', &arn))
        arn = rest;
    if (secret_reference_read(arn, &found)) {
        PROMISE(!found.region.at);
        return 0;
    }
    check_reference(arn, &found);
    arena_init(&arena, NULL, 0);
    if (secret_values_read(&arena, rest, &found, &value))
        PROMISE(!value.at);
    else
        PROMISE(value.at && value.len <= rest.len && value.at[value.len] == '\0');
    arena_wipe(&arena, NULL, 0);
    arena_release(&arena);
    return 0;
}
