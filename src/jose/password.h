/* jose/password.h: hashes of passwords that people choose, which somebody who has the hash would guess: each guess must
 * cost time and memory. In the PHC string format, as other programs write it, so that hashes can be brought along:
 *
 *     $argon2id$v=19$m=19456,t=2,p=1$SALT$HASH     RFC 9106
 *     $scrypt$ln=15,r=8,p=3$SALT$HASH              RFC 7914; ln is the logarithm of N
 *
 * OpenSSL has Argon2id from 3.2 on; whether it has is asked at run time, so that one build does for all. It can't do it
 * in a process that keeps private keys in OpenSSL's secure heap, as the service does (password.c says why): so there
 * new hashes are scrypt's, and Argon2id's can't be checked. */
#ifndef JOSE_PASSWORD_H
#define JOSE_PASSWORD_H

#include "base/mem.h"

enum { PASSWORD_MAX = 1024, PASSWORD_HASH_MAX = 256 }; /* bytes */

/* A hash that no password has, at the cost of a new scrypt hash. */
extern const struct str password_hash_of_nobody;

/* A new hash with a random salt, in the arena: Argon2id, or scrypt where OpenSSL lacks that; 19 or 32 MiB and some
 * 0.1 s. ERR_INTERNAL when OpenSSL fails; ERR_INVALID_REQUEST for an empty password, one above PASSWORD_MAX, or one
 * with a NUL. */
MUST_USE struct err password_hash(struct arena *arena, struct str password, struct str *out);

/* Whether a hash has one of the two forms, with parameters that cost at most 128 MiB. */
MUST_USE bool password_hash_is_fit(struct str hash);

/* Whether `password` is the one that was hashed: *right. The comparison doesn't leave early; a password that could not
 * have been hashed is wrong. ERR_UNAVAILABLE when the hash's algorithm is not to be had; ERR_INTERNAL when it fails,
 * or the hash is not fit. Takes as long as the hash's parameters want: for a worker, and not for many at once. */
MUST_USE struct err password_check(struct str hash, struct str password, bool *right);

#endif
