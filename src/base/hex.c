/* base/hex.c */
#include "base/hex.h"

struct str hex_write(const unsigned char *bytes, size_t len, char *to)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        to[2 * i] = digits[bytes[i] >> 4];
        to[2 * i + 1] = digits[bytes[i] & 15];
    }
    to[2 * len] = '\0';
    return (struct str){ to, 2 * len };
}

/* A digit's value and one more; 0: no digit. A table, since a start reads a million hashes. */
static const unsigned char digits_read[256] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

bool hex_read(struct str text, unsigned char *out, size_t len)
{
    if (text.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        unsigned high = digits_read[(unsigned char)text.at[2 * i]],
                 low = digits_read[(unsigned char)text.at[2 * i + 1]];
        if (high == 0 || low == 0)
            return false;
        out[i] = (unsigned char)((high - 1) * 16 + low - 1);
    }
    return true;
}

bool hex_is_unreserved(char c)
{
    return char_is_letter(c) || char_is_digit(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

void hex_add_percent(struct buf *out, unsigned char byte)
{
    static const char digits[] = "0123456789ABCDEF";
    const char coded[] = { '%', digits[byte >> 4], digits[byte & 15] };
    buf_add(out, (struct str){ coded, sizeof coded });
}
