/* jose/private_memory.h: where OpenSSL keeps private keys. By default it spreads them over the ordinary heap: RSA's
 * primes again in Montgomery form, a P-256 number whenever a key is copied, and the encoding that a key was read from,
 * which it frees without wiping.
 *
 * Between _begin and _end everything that OpenSSL allocates on this thread lies in its secure heap: locked, left out of
 * core dumps, between guard pages, wiped when freed. When that heap is full or not available, the ordinary heap is
 * used, and what is freed between the two calls is wiped. The intermediate values of a signature are not covered;
 * OpenSSL wipes them. */
#ifndef JOSE_PRIVATE_MEMORY_H
#define JOSE_PRIVATE_MEMORY_H

#include <stdbool.h>

/* Once, before anything else uses OpenSSL: false when that was too late, or the memory can't be had or locked; keys
 * work all the same. */
bool private_memory_open(void);

/* Around what makes, reads, copies, sets up or frees a private key; may be nested. */
void private_memory_begin(void);
void private_memory_end(void);

#endif
