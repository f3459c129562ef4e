/* revocation/write_back.h: what is known here goes back into a store that has lost it; for catchup.c. */
#ifndef REVOCATION_WRITE_BACK_H
#define REVOCATION_WRITE_BACK_H

#include "base/mem.h"

struct hash_set;
struct revocations;

/* Records every revocation and rule in memory that has not ended by any clock (wall_clock.h) and that the store lacks,
 * or has until an earlier time. `tokens` and `rules` say what it has. *written says how many were recorded. May wait.
 */
MUST_USE struct err write_back(struct revocations *revocations, struct hash_set *tokens, struct hash_set *rules,
                               int64_t now_s, size_t *written);

#endif
