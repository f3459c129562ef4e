/* tests/fuzz/fuzz.h: what the fuzz targets share. A target looks for crashes (the sanitizers see them) and for broken
 * promises: PROMISE() says what must hold of every input. */
#ifndef FUZZ_H
#define FUZZ_H

#include "base/mem.h"
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define PROMISE(holds)                                                                                                 \
    do {                                                                                                               \
        if (!(holds)) {                                                                                                \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #holds);                                \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static inline struct str input_of(const uint8_t *data, size_t size)
{
    return (struct str){ (const char *)data, size };
}

/* Percent-encodes every byte (RFC 3986 section 2.1), so that nothing is left to luck. */
static inline struct str percent_encoded(struct arena *arena, struct str in)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    char *to = arena_alloc(arena, 3 * in.len + 1);
    for (size_t i = 0; i < in.len; i++) {
        unsigned char c = (unsigned char)in.at[i];
        to[3 * i] = '%';
        to[3 * i + 1] = digits[(c >> 4) + (c >> 4 > 9 && i % 2 ? 6 : 0)]; /* both cases are good */
        to[3 * i + 2] = digits[c & 15];
    }
    return (struct str){ to, 3 * in.len };
}

#endif
