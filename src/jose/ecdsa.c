/* jose/ecdsa.c: DER to r||s. Lengths here are below 128, so each is one byte. */
#include "jose/ecdsa.h"

enum { WIDTH = ECDSA_P256_RAW_LEN / 2 };

/* The order of P-256 (FIPS 186-4 appendix D.1.2.3). */
static const unsigned char order[WIDTH] = {
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
};

/* Takes tag, length and content from the front of *rest. */
static bool ecdsa_take(struct str *rest, char tag, struct str *content)
{
    if (rest->len < 2 || rest->at[0] != tag || (unsigned char)rest->at[1] > rest->len - 2 || rest->at[1] < 0)
        return false;
    *content = (struct str){ rest->at + 2, (size_t)rest->at[1] };
    *rest = (struct str){ content->at + content->len, rest->len - 2 - content->len };
    return true;
}

/* An INTEGER in its shortest form, from 1 to n - 1, right-aligned. */
static bool ecdsa_take_number(struct str *rest, unsigned char out[WIDTH])
{
    struct str number;
    if (!ecdsa_take(rest, 0x02, &number) || number.len == 0 || number.at[0] < 0) /* the top bit is the sign */
        return false;
    if (number.at[0] == 0 && (number.len == 1 || number.at[1] >= 0)) /* zero, or a zero byte too many */
        return false;
    if (number.at[0] == 0)
        number = (struct str){ number.at + 1, number.len - 1 };
    if (number.len > WIDTH)
        return false;
    memset(out, 0, WIDTH);
    memcpy(out + WIDTH - number.len, number.at, number.len);
    return memcmp(out, order, WIDTH) < 0;
}

bool ecdsa_p256_raw(struct str der, char out[ECDSA_P256_RAW_LEN])
{
    unsigned char raw[ECDSA_P256_RAW_LEN];
    struct str numbers;
    if (!ecdsa_take(&der, 0x30, &numbers) || der.len > 0 || !ecdsa_take_number(&numbers, raw) ||
        !ecdsa_take_number(&numbers, raw + WIDTH) || numbers.len > 0)
        return false;
    memcpy(out, raw, sizeof raw);
    return true;
}
