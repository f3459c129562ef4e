/* keys/pair.h: a key of the store and its two halves: what is published of it, and whether what signs belongs to it.
 * The old service signed with one key and published another. */
#ifndef KEYS_PAIR_H
#define KEYS_PAIR_H

#include "jose/jws.h"
#include "store/store.h"

/* What the private_ref of a signer's keys begins with: "file:", "kms:", "envelope:"; and whether that signer made it.
 */
struct str pair_prefix(enum signer_kind kind);
bool pair_is_of(const struct key *row, enum signer_kind kind);

/* The published half of the store's row, under the row's kid. ERR_UNAVAILABLE, logged, when the JWK is unusable, or not
 * the key that the row names: its kid must be its thumbprint, or for an envelope key (signer_envelope.c says why) what
 * its own kid member says. */
MUST_USE struct err pair_read_public(struct arena *arena, const struct key *row, struct jwk **out);

/* Fills kid, alg and public_jwk of *out; the rest is the caller's. */
void pair_describe(struct arena *arena, const struct jwk *key, struct key *out);

/* A message to sign before a key may become active, and whether its signature is the published half's: ERR_UNAVAILABLE
 * if not. */
struct str pair_test_message(struct arena *arena, const struct jwk *public);
MUST_USE struct err pair_check(const struct jwk *public, struct str message, struct str signature);

/* All of it, for a private half that is in memory. */
MUST_USE struct err pair_test(struct arena *arena, const struct key *row, const struct jwk *private);

/* Logs that another signer's key is done with and not touched. OK, always: for `dispose`. */
MUST_USE struct err pair_leave(const struct key *key);

#endif
