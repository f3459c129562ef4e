/* hashes.h: numbers as hashes, for tests of what is looked up by a SHA-256. */
#ifndef TESTS_UNIT_HASHES_H
#define TESTS_UNIT_HASHES_H

#include <stdint.h>
#include <string.h>

/* A hash as evenly spread as SHA-256 is (splitmix64). */
static inline void hash_of(uint64_t number, unsigned char hash[32])
{
    uint64_t state = number * UINT64_C(0x9e3779b97f4a7c15) + 1;
    for (size_t i = 0; i < 4; i++) {
        state += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = (state ^ state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
        z ^= z >> 31;
        memcpy(hash + 8 * i, &z, sizeof z);
    }
}

#endif
