/* jose/fold.h: names as a careless reader takes them. Go's encoding/json finds a struct's member without case (and
 * takes U+017F for s, U+212A for k), and of several the last one wins; databases and other languages normalise. So two
 * names are told apart here only when no such reader takes one for the other: full Unicode case folding, NFKC, and
 * without the characters that nobody sees. */
#ifndef JOSE_FOLD_H
#define JOSE_FOLD_H

#include "base/json.h"

/* `name`, valid UTF-8, folded into the arena. Whatever NFKC and case folding make ASCII of is ASCII then; of other
 * characters the case alone is folded. Fuzzed: tests/fuzz/claims.c. */
struct str name_fold(struct arena *arena, struct str name);

/* Whether two members of one object, at any depth, have names that fold to the same. */
bool names_clash(struct arena *arena, const struct json *value);

#endif
