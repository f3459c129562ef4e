/* jose/ed25519_point.h: what OpenSSL does not ask of an Ed25519 public key. */
#ifndef JOSE_ED25519_POINT_H
#define JOSE_ED25519_POINT_H

#include <stdbool.h>

/* Whether 32 bytes encode a point of the curve (RFC 8032 section 5.1.3, canonical) that is not of small order: under a
 * point of small order, one signature is good for many messages (RFC 8725 section 3.4). Takes about 0.1 ms. */
bool ed25519_point_is_sound(const unsigned char encoded[32]);

#endif
