/* revocation/tally.c: an open-addressed table. A hash's bytes are as good as random and serve as they are. */
#include "revocation/tally.h"
#include <stdlib.h>

enum { PLACES_FIRST = 1024 };

static const uint32_t ticked = UINT32_MAX;

struct tally {
    size_t places, count; /* places: a power of two */
    uint64_t *parts;      /* of the hashes */
    uint32_t *expires;    /* s; 0: the place is free */
};

static void make_places(struct tally *tally, size_t places)
{
    tally->places = places;
    tally->parts = mem_alloc(places * sizeof *tally->parts);
    tally->expires = mem_alloc(places * sizeof *tally->expires);
    memset(tally->expires, 0, places * sizeof *tally->expires);
}

struct tally *tally_new(void)
{
    struct tally *tally = mem_alloc(sizeof *tally);
    tally->count = 0;
    make_places(tally, PLACES_FIRST);
    return tally;
}

void tally_free(struct tally *tally)
{
    if (!tally)
        return;
    free(tally->parts);
    free(tally->expires);
    free(tally);
}

static uint64_t part_of(const unsigned char hash[32])
{
    uint64_t part;
    memcpy(&part, hash + 24, sizeof part);
    return part;
}

/* The part's place, or the free one where it belongs. There is always a free one. */
static size_t place_of(const struct tally *tally, uint64_t part)
{
    size_t place = (size_t)part & (tally->places - 1);
    while (tally->expires[place] != 0 && tally->parts[place] != part)
        place = (place + 1) & (tally->places - 1);
    return place;
}

static void grow(struct tally *tally)
{
    const struct tally old = *tally;
    make_places(tally, 2 * old.places);
    for (size_t i = 0; i < old.places; i++) {
        if (old.expires[i] == 0)
            continue;
        size_t place = place_of(tally, old.parts[i]);
        tally->parts[place] = old.parts[i];
        tally->expires[place] = old.expires[i];
    }
    free(old.parts);
    free(old.expires);
}

static uint32_t seconds_of(int64_t time_s)
{
    return time_s < 1 ? 1 : time_s >= ticked ? ticked - 1 : (uint32_t)time_s;
}

void tally_add(struct tally *tally, const unsigned char hash[32], int64_t expires_at)
{
    if (tally->count >= tally->places / 4 * 3)
        grow(tally);
    size_t place = place_of(tally, part_of(hash));
    uint32_t expires = seconds_of(expires_at);
    tally->count += tally->expires[place] == 0;
    tally->parts[place] = part_of(hash);
    if (tally->expires[place] < expires)
        tally->expires[place] = expires;
}

bool tally_tick(struct tally *tally, const unsigned char hash[32])
{
    size_t place = place_of(tally, part_of(hash));
    if (tally->expires[place] == 0)
        return false;
    tally->expires[place] = ticked;
    return true;
}

bool tally_holds(const struct tally *tally, const unsigned char hash[32], int64_t expires_at)
{
    return tally->expires[place_of(tally, part_of(hash))] >= seconds_of(expires_at);
}

bool tally_is_ticked(const struct tally *tally, const unsigned char hash[32])
{
    return tally->expires[place_of(tally, part_of(hash))] == ticked;
}

bool tally_is_open(const struct tally *tally, int64_t now_s)
{
    for (size_t i = 0; i < tally->places; i++)
        if (tally->expires[i] != ticked && tally->expires[i] > now_s)
            return true;
    return false;
}
