/* base/random.h: random bytes from the kernel; never from a generator of the process, which a fork or a snapshot could
 * repeat. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills `at` with `len` bytes from getrandom(2); ends the process if the kernel has none. */
void random_bytes(void *at, size_t len);
/* 64 random bits. */
uint64_t random_number(void);

#endif
