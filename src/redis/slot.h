/* redis/slot.h: which of a Redis Cluster's slots a key lies in. */
#ifndef REDIS_SLOT_H
#define REDIS_SLOT_H

#include "base/mem.h"

enum { REDIS_SLOTS = 16384 };

/* CRC-16/XMODEM: polynomial 0x1021, from 0, not reflected. */
uint16_t redis_crc16(struct str bytes);
/* Of what stands between the first { and the next }, when that is not empty; else of the whole key. */
unsigned redis_slot(struct str key);

#endif
