/* redis/slot.c: bit by bit, without a table: a key has some 70 bytes, and a trip to Redis costs far more. */
#include "redis/slot.h"

uint16_t redis_crc16(struct str bytes)
{
    unsigned crc = 0;
    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= (unsigned)(unsigned char)bytes.at[i] << 8;
        for (int bit = 0; bit < 8; bit++)
            crc = (crc << 1 ^ (crc & 0x8000 ? 0x1021U : 0)) & 0xffff;
    }
    return (uint16_t)crc;
}

unsigned redis_slot(struct str key)
{
    struct str rest = key, before, tag;
    if (str_cut(&rest, '{', &before) && str_cut(&rest, '}', &tag) && tag.len > 0)
        key = tag;
    return redis_crc16(key) % REDIS_SLOTS;
}
