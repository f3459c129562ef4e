/* base/random.c: the one source of randomness. */
#include "base/random.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/types.h>

void random_bytes(void *at, size_t len)
{
    unsigned char *to = at;
    while (len > 0) {
        ssize_t got = getrandom(to, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort(); /* without randomness no identifier or secret is safe to give out */
        to += got;
        len -= (size_t)got;
    }
}

uint64_t random_number(void)
{
    uint64_t number;
    random_bytes(&number, sizeof number);
    return number;
}
