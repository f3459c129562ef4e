/* service/reason.c: what may be a secret: the beginning of a signed token's header, or a word as no language has it. */
#include "service/reason.h"

enum { WORD_MAX = 40 }; /* a UUID has 36; refresh tokens, codes and secrets have 43 and more */

static bool reason_may_hold_secret(struct str text)
{
    size_t run = 0;
    for (size_t i = 0; i < text.len && run < WORD_MAX; i++)
        run = str_has_only((struct str){ text.at + i, 1 }, STR("-_+/")) ? run + 1 : 0;
    return run >= WORD_MAX || (text.len >= 3 && memmem(text.at, text.len, "eyJ", 3));
}

struct str reason_to_keep(struct str given)
{
    return given.len == 0 || reason_may_hold_secret(given) ? STR("revoked") : given;
}
