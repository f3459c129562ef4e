/* jose/fold.h: names as a careless reader compares them. Go's encoding/json matches a struct's members regardless of
 * case (U+017F counts as s, U+212A as k), and the last of several wins; databases and other languages normalise. So two
 * names count as different here only if no such reader confuses them: full Unicode case folding, NFKC, and invisible
 * characters removed. */
#ifndef JOSE_FOLD_H
#define JOSE_FOLD_H

#include "base/json.h"

/* `name`, valid UTF-8, folded into the arena. What NFKC and case folding turn into ASCII is ASCII in the result; of all
 * other characters only the case is folded. Fuzzed: tests/fuzz/claims.c. */
struct str name_fold(struct arena *arena, struct str name);

/* Whether two members of one object, at any depth, have names that fold to the same. */
bool names_clash(struct arena *arena, const struct json *value);

#endif
