/* jose/ecdsa.h: an ECDSA signature on P-256 from the form of OpenSSL and KMS (DER, RFC 3279 section 2.2.3) to that of
 * JWS (r||s, RFC 7518 section 3.4). A pure function, fuzzed: tests/fuzz/ecdsa.c. */
#ifndef JOSE_ECDSA_H
#define JOSE_ECDSA_H

#include "base/mem.h"

enum { ECDSA_P256_RAW_LEN = 64 };

/* False, with `out` untouched, for anything but the one DER form of two numbers from 1 to n - 1. */
MUST_USE bool ecdsa_p256_raw(struct str der, char out[ECDSA_P256_RAW_LEN]);

#endif
