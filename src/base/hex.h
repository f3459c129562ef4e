/* base/hex.h: bytes as lower-case hexadecimal. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include "base/mem.h"

/* Writes 2 * len digits and a NUL to `to`; returns them as a view. */
struct str hex_write(const unsigned char *bytes, size_t len, char *to);
/* Reads exactly `len` bytes from 2 * len lower-case digits; false, with `out` in no certain state, otherwise. */
bool hex_read(struct str text, unsigned char *out, size_t len);

#endif
