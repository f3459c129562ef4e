/* jose/private_memory.h: where OpenSSL keeps private keys. Without this they lie in the ordinary heap: read from a file
 * or from KMS, a key leaves a copy of its encoding behind, since OpenSSL frees that unwiped.
 *
 * What it does: the numbers of a private key lie in OpenSSL's secure heap (locked, left out of core dumps, between
 * guard pages, wiped when freed), and what OpenSSL frees while a key is read, copied or thrown away is wiped. What it
 * can't do: RSA keeps its primes a second time in Montgomery form in the ordinary heap, while the key is in use. Those
 * are wiped with the key, but only a process that may not be dumped, and whose memory is locked, keeps them in (app.c).
 */
#ifndef JOSE_PRIVATE_MEMORY_H
#define JOSE_PRIVATE_MEMORY_H

#include <stdbool.h>

/* Once, before anything else uses OpenSSL: false when that was too late, or the memory can't be had; keys work all the
 * same. */
bool private_memory_open(void);

/* Around what handles a private key on this thread; may be nested. */
void private_memory_begin(void);
void private_memory_end(void);

#endif
