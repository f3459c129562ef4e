/* fuzz/ecdsa.c: what is taken is exactly what OpenSSL would write for the same two numbers, and whatever OpenSSL reads,
 * writes again in the same bytes, and finds in range, is taken. */
#include "fuzz.h"
#include "jose/ecdsa.h"
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/obj_mac.h>

static const BIGNUM *order(void)
{
    static EC_GROUP *group;
    if (!group)
        group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    return EC_GROUP_get0_order(group);
}

static bool is_in_range(const BIGNUM *number)
{
    return !BN_is_zero(number) && !BN_is_negative(number) && BN_cmp(number, order()) < 0;
}

/* As OpenSSL sees it; *raw filled in when it is good. */
static bool openssl_takes(struct str der, unsigned char raw[ECDSA_P256_RAW_LEN])
{
    const unsigned char *at = (const unsigned char *)der.at;
    unsigned char *again = NULL;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)der.len);
    if (!signature)
        return false;
    int len = i2d_ECDSA_SIG(signature, &again);
    const BIGNUM *r = ECDSA_SIG_get0_r(signature), *s = ECDSA_SIG_get0_s(signature);
    bool good = len > 0 && (size_t)len == der.len && memcmp(again, der.at, der.len) == 0 && is_in_range(r) &&
                is_in_range(s);
    if (good)
        good = BN_bn2binpad(r, raw, 32) == 32 && BN_bn2binpad(s, raw + 32, 32) == 32;
    OPENSSL_free(again);
    ECDSA_SIG_free(signature);
    return good;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char raw[ECDSA_P256_RAW_LEN];
    unsigned char expected[ECDSA_P256_RAW_LEN];
    bool taken = ecdsa_p256_raw(input_of(data, size), raw);
    PROMISE(taken == openssl_takes(input_of(data, size), expected));
    PROMISE(!taken || memcmp(raw, expected, sizeof raw) == 0);
    return 0;
}
