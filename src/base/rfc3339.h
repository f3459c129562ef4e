/* base/rfc3339.h: a point in time as RFC 3339 section 5.6 writes it. Pure. Fuzzed: tests/fuzz/rfc3339.c. */
#ifndef BASE_RFC3339_H
#define BASE_RFC3339_H

#include "base/mem.h"

/* "2026-11-25T02:28:30Z", with a fraction of a second or an offset ("+05:30") or both; *out: Unix time, without the
 * fraction. From 1970 to 9999; the date must exist, and a leap second counts as the one after it. 't' and 'z' and a
 * space for the 'T' are taken, as that section allows. */
MUST_USE bool rfc3339_read(struct str text, int64_t *out);
/* "2026-11-25T02:32:42Z", in the arena. */
struct str rfc3339_write(struct arena *arena, int64_t at_s);

#endif
