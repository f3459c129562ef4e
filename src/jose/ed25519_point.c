/* jose/ed25519_point.c: decodes y and asks whether x exists: x^2 = (y^2 - 1) / (d y^2 + 1) over 2^255 - 19. The point
 * is public, so nothing here needs constant time. */
#include "jose/ed25519_point.h"
#include <openssl/bn.h>
#include <stddef.h>
#include <string.h>

enum { LEN = 32 };

/* y of the points whose order divides 8, little-endian: 0, 1, -1, and the two of order 8. */
static const unsigned char small_orders[][LEN] = {
    { 0 },
    { 1 },
    { 0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f },
    { 0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
      0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05 },
    { 0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
      0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a },
};

/* Euler's criterion: u v is a square exactly if u / v is, and that needs no inverse. */
static bool ed25519_point_has_x(BN_CTX *ctx, const BIGNUM *y)
{
    BIGNUM *p = NULL, *d = NULL, *u = BN_CTX_get(ctx), *v = BN_CTX_get(ctx), *half = BN_CTX_get(ctx);
    bool sound = half && BN_hex2bn(&p, "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed") &&
                 BN_hex2bn(&d, "52036cee2b6ffe738cc740797779e89800700a4d4141d8ab75eb4dca135978a3") &&
                 BN_cmp(y, p) < 0 && /* canonical */
                 BN_mod_sqr(u, y, p, ctx) && BN_mod_mul(v, d, u, p, ctx) && BN_add_word(v, 1) && BN_sub_word(u, 1) &&
                 BN_mod_mul(u, u, v, p, ctx) && BN_rshift1(half, p) && /* (p - 1) / 2 */
                 BN_mod_exp(u, u, half, p, ctx) && BN_is_one(u);
    BN_free(p);
    BN_free(d);
    return sound;
}

bool ed25519_point_is_sound(const unsigned char encoded[LEN])
{
    unsigned char bytes[LEN];
    memcpy(bytes, encoded, LEN);
    bytes[LEN - 1] &= 0x7f; /* the sign of x */
    for (size_t i = 0; i < sizeof small_orders / sizeof *small_orders; i++)
        if (memcmp(bytes, small_orders[i], LEN) == 0)
            return false;
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *y = ctx ? BN_lebin2bn(bytes, LEN, NULL) : NULL;
    BN_CTX_start(ctx);
    bool sound = y && ed25519_point_has_x(ctx, y);
    BN_CTX_end(ctx);
    BN_free(y);
    BN_CTX_free(ctx);
    return sound;
}
