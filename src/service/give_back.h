/* service/give_back.h: when memory that the process holds and does not use is given back to the system: when for some
 * seconds it was much at every look. So a load that comes and goes takes no pages that it needs again at once. */
#ifndef SERVICE_GIVE_BACK_H
#define SERVICE_GIVE_BACK_H

#include <stdbool.h>
#include <stddef.h>

enum { GIVE_BACK_BYTES = 4 * 1024 * 1024, GIVE_BACK_LOOKS = 10 }; /* a look a second */

/* All zero at the start. */
struct give_back {
    size_t least; /* unused, at the looks of this time */
    int looks;
    size_t kept; /* unused after it was given back last: what lies between memory in use, stacks, static data */
};

/* A look: whether it is to be given back now. Then give_back_done() is to be called with what is unused after that. */
bool give_back_is_due(struct give_back *give_back, size_t unused);
void give_back_done(struct give_back *give_back, size_t unused);

#endif
