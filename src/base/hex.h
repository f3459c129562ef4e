/* base/hex.h: bytes as hexadecimal digits. */
#ifndef BASE_HEX_H
#define BASE_HEX_H

#include "base/mem.h"

/* The value of one hexadecimal digit, lower or upper case; -1 when it is not one. */
static inline int hex_digit(char c)
{
    if (char_is_digit(c))
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What the percent code at text.at[at], "%2F", stands for (RFC 3986 section 2.1); -1 when there is none. */
static inline int hex_percent(struct str text, size_t at)
{
    const bool has_room = at < text.len && text.len - at > 2 && text.at[at] == '%';
    const int high = has_room ? hex_digit(text.at[at + 1]) : -1;
    const int low = high >= 0 ? hex_digit(text.at[at + 2]) : -1;
    return low >= 0 ? high * 16 + low : -1;
}

/* Writes 2 * len digits and a NUL to `to`; returns them as a view. */
struct str hex_write(const unsigned char *bytes, size_t len, char *to);
/* Reads exactly `len` bytes from 2 * len lower-case digits; otherwise false, and `out` is undefined. */
bool hex_read(struct str text, unsigned char *out, size_t len);
/* A byte as URLs and forms have it, "%2F" (RFC 3986 section 2.1). */
void hex_add_percent(struct buf *out, unsigned char byte);
/* What needs no such code anywhere: letters, digits, `-`, `.`, `_`, `~` (section 2.3). */
bool hex_is_unreserved(char c);

#endif
