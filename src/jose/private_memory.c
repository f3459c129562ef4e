/* jose/private_memory.c: where OpenSSL keeps private keys. */
#include "jose/private_memory.h"
#include "base/mem.h"
#include <malloc.h>
#include <openssl/crypto.h>
#include <stdlib.h>

enum {
    SECURE_BYTES = 4 * 1024 * 1024, /* below the usual RLIMIT_MEMLOCK; a thread's copy of an RSA key takes some 15 kB */
    SECURE_LEAST = 32,              /* a number of P-256 */
};

static _Thread_local unsigned depth;

static void *private_memory_allocate(size_t size, const char *file, int line)
{
    void *at = depth > 0 && CRYPTO_secure_malloc_initialized() ? CRYPTO_secure_malloc(size, file, line) : NULL;
    return at ? at : malloc(size); /* OpenSSL looks for NULL itself */
}

static void private_memory_release(void *at, const char *file, int line)
{
    if (at && CRYPTO_secure_allocated(at)) {
        CRYPTO_secure_free(at, file, line); /* wipes */
        return;
    }
    if (at && depth > 0)
        mem_wipe(at, malloc_usable_size(at));
    free(at);
}

static void *private_memory_reallocate(void *at, size_t size, const char *file, int line)
{
    bool is_secure = at && CRYPTO_secure_allocated(at);
    if (!is_secure && (!at || depth == 0))
        return at ? realloc(at, size) : private_memory_allocate(size, file, line);
    size_t old = is_secure ? CRYPTO_secure_actual_size(at) : malloc_usable_size(at);
    void *to = private_memory_allocate(size, file, line);
    if (!to)
        return NULL;
    memcpy(to, at, old < size ? old : size);
    private_memory_release(at, file, line);
    return to;
}

bool private_memory_open(void)
{
    bool ours = CRYPTO_set_mem_functions(private_memory_allocate, private_memory_reallocate, private_memory_release) ==
                1;
    return CRYPTO_secure_malloc_init(SECURE_BYTES, SECURE_LEAST) == 1 && ours; /* 2: it is not locked */
}

void private_memory_begin(void)
{
    depth++;
}

void private_memory_end(void)
{
    depth--;
}
