/* jose/private_memory.c: where OpenSSL keeps private keys. */
#include "jose/private_memory.h"
#include "base/mem.h"
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>

enum {
    SECURE_BYTES = 4 * 1024 * 1024, /* 256 threads' copies of RSA keys of 4096 bits, twice; touched pages alone count */
    SECURE_LEAST = 32,              /* a number of P-256 */
};

static _Thread_local unsigned depth;

static void *allocate(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return malloc(size); /* OpenSSL looks for NULL itself */
}

static void let_go(void *at, const char *file, int line)
{
    (void)file;
    (void)line;
    if (at && depth > 0)
        mem_wipe(at, malloc_usable_size(at));
    free(at);
}

static void *reallocate(void *at, size_t size, const char *file, int line)
{
    if (!at || depth == 0)
        return realloc(at, size);
    size_t old = malloc_usable_size(at);
    void *to = malloc(size);
    if (!to)
        return NULL;
    memcpy(to, at, old < size ? old : size);
    let_go(at, file, line);
    return to;
}

bool private_memory_open(void)
{
    bool wipes = CRYPTO_set_mem_functions(allocate, reallocate, let_go) == 1;
    return CRYPTO_secure_malloc_init(SECURE_BYTES, SECURE_LEAST) > 0 && wipes; /* 2: not locked (RLIMIT_MEMLOCK) */
}

void private_memory_begin(void)
{
    depth++;
}

void private_memory_end(void)
{
    depth--;
}
