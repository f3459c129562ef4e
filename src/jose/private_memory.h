/* jose/private_memory.h: where OpenSSL keeps private keys. Left to itself it spreads them over the ordinary heap: RSA's
 * primes a second time in Montgomery form, a P-256 number whenever a key is copied, and the encoding that a key was
 * read from, which it frees unwiped.
 *
 * Between _begin and _end everything that OpenSSL allocates on this thread lies in its secure heap: locked, left out of
 * core dumps, between guard pages, wiped when freed. When that is full, or can't be had, the ordinary heap serves, and
 * what is freed there meanwhile is wiped. What a single signature computes with is not covered, but wiped by OpenSSL.
 */
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
