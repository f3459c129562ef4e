/* revocation/tally.h: hashes that are to be ticked off, for the time of one catching up (catchup.h). For one thread.
 * Keeps 8 bytes of a hash: two that agree in 64 bits would have to be sought for at a cost of 2^64 signed tokens. At
 * most 32 bytes an entry. */
#ifndef REVOCATION_TALLY_H
#define REVOCATION_TALLY_H

#include "base/mem.h"

struct tally;
struct tally *tally_new(void);
void tally_free(struct tally *tally); /* NULL allowed */

/* `expires_at`: in seconds since 1970, when it does not matter any more. Again: the later one stays. */
void tally_add(struct tally *tally, const unsigned char hash[32], int64_t expires_at);
/* Ticks it off; false when it was never added. */
bool tally_tick(struct tally *tally, const unsigned char hash[32]);
/* Whether it was added, and until then at least. */
bool tally_holds(const struct tally *tally, const unsigned char hash[32], int64_t expires_at);
bool tally_is_ticked(const struct tally *tally, const unsigned char hash[32]);
/* Whether any is left that matters at `now_s`. */
bool tally_is_open(const struct tally *tally, int64_t now_s);

#endif
