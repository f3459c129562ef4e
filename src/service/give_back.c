/* service/give_back.c: the least of some looks. */
#include "service/give_back.h"

bool give_back_is_due(struct give_back *give_back, size_t unused)
{
    if (give_back->looks == 0 || unused < give_back->least)
        give_back->least = unused;
    if (give_back->least < give_back->kept)
        give_back->kept = give_back->least;
    if (++give_back->looks < GIVE_BACK_LOOKS)
        return false;
    give_back->looks = 0;
    return give_back->least - give_back->kept >= GIVE_BACK_BYTES;
}

void give_back_done(struct give_back *give_back, size_t unused)
{
    give_back->kept = unused;
    give_back->looks = 0;
}
