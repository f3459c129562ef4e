/* jose/b64.c: base64 in both alphabets, by tables. */
#include "jose/b64.h"
#include <limits.h>
#include <openssl/evp.h>

static const char url_digits[64] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Value plus one of each base64url digit; 0: not a digit. `+` and `/` are base64's own (64 and 65). */
static const unsigned char values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62, ['-'] = 63, ['_'] = 64,
};

void b64url_encode(struct str in, char *out)
{
    const unsigned char *at = (const unsigned char *)in.at;
    size_t i = 0;
    for (; in.len - i >= 3; i += 3) {
        uint32_t bits = (uint32_t)at[i] << 16 | (uint32_t)at[i + 1] << 8 | at[i + 2];
        *out++ = url_digits[bits >> 18];
        *out++ = url_digits[bits >> 12 & 63];
        *out++ = url_digits[bits >> 6 & 63];
        *out++ = url_digits[bits & 63];
    }
    if (i == in.len)
        return;
    bool two = in.len - i == 2;
    uint32_t bits = (uint32_t)at[i] << 16 | (two ? (uint32_t)at[i + 1] << 8 : 0);
    *out++ = url_digits[bits >> 18];
    *out++ = url_digits[bits >> 12 & 63];
    if (two)
        *out = url_digits[bits >> 6 & 63];
}

void b64url_add(struct buf *buf, struct str in)
{
    size_t len = b64url_encoded_len(in.len);
    char *to = len > 0 ? buf_reserve(buf, len) : NULL;
    if (!to)
        return;
    b64url_encode(in, to);
    buf->len += len;
}

void b64_add(struct buf *buf, struct str in)
{
    char *to = in.len < INT_MAX ? buf_reserve(buf, (in.len + 2) / 3 * 4 + 1) : NULL; /* it writes a NUL */
    if (to)
        buf->len += (size_t)EVP_EncodeBlock((unsigned char *)to, (const unsigned char *)in.at, (int)in.len);
    else
        buf->overflowed = true;
}

/* The value of a digit; 64 or above when it is not one. */
static uint32_t b64_url_value(char c)
{
    return (uint32_t)values[(unsigned char)c] - 1;
}

static uint32_t b64_plain_value(char c)
{
    return c == '+' ? 62 : c == '/' ? 63 : c == '-' || c == '_' ? UINT32_MAX : b64_url_value(c);
}

/* The last two or three digits; their spare bits must be zero, or one value would have several spellings. */
static bool b64_decode_tail(const uint32_t *digit, size_t count, char **out)
{
    uint32_t bits = digit[0] << 18 | digit[1] << 12 | (count == 3 ? digit[2] << 6 : 0);
    if (bits & (count == 3 ? 0xffU : 0xffffU))
        return false;
    *(*out)++ = (char)(bits >> 16);
    if (count == 3)
        *(*out)++ = (char)(bits >> 8);
    return true;
}

static inline bool b64_decode_by(struct str in, char *out, size_t *len, uint32_t (*value)(char))
{
    char *to = out;
    size_t i = 0;
    for (; in.len - i >= 4; i += 4) {
        uint32_t a = value(in.at[i]), b = value(in.at[i + 1]), c = value(in.at[i + 2]), d = value(in.at[i + 3]);
        if ((a | b | c | d) > 63)
            return false;
        uint32_t bits = a << 18 | b << 12 | c << 6 | d;
        *to++ = (char)(bits >> 16);
        *to++ = (char)(bits >> 8);
        *to++ = (char)bits;
    }
    if (in.len - i == 1)
        return false;
    if (in.len - i > 1) {
        const uint32_t digit[] = { value(in.at[i]), value(in.at[i + 1]), in.len - i == 3 ? value(in.at[i + 2]) : 0 };
        if ((digit[0] | digit[1] | digit[2]) > 63 || !b64_decode_tail(digit, in.len - i, &to))
            return false;
    }
    *len = (size_t)(to - out);
    return true;
}

bool b64url_decode(struct str in, char *out, size_t *len)
{
    return b64_decode_by(in, out, len, b64_url_value);
}

bool b64_decode(struct str in, char *out, size_t *len)
{
    if (in.len % 4 != 0)
        return false;
    for (int i = 0; i < 2 && in.len > 0 && in.at[in.len - 1] == '='; i++)
        in.len--;
    return b64_decode_by(in, out, len, b64_plain_value);
}
