/* jose/jwk_set.h: somebody else's JWK Set (RFC 7517 section 5), of which those keys are kept that can verify. */
#ifndef JOSE_JWK_SET_H
#define JOSE_JWK_SET_H

#include "jose/jwk.h"

enum { JWK_SET_MAX = 32 };

/* Owned by its maker; then immutable and safe to share between threads. */
struct jwk_set {
    size_t count;
    struct jwk_of_set {
        struct str kid; /* the JWK's own; at == NULL: it has none */
        struct jwk *key;
    } of[JWK_SET_MAX];
    struct arena arena; /* where the kids lie */
};

/* Parses a set of public keys. As the section asks, a key that is of no use here is left out: of another type, curve or
 * algorithm, too weak, malformed, or not for signatures (`use`, `key_ops`). So the set may be empty. Each key is pinned
 * to one algorithm: its `alg`, or without one the first that its type has (jose/jwk.h). ERR_INVALID_REQUEST when the
 * text is not a set, when more than JWK_SET_MAX keys would be kept, and when a key in it is private or symmetric: what
 * is published is no secret any more. `arena` is for the parsing alone. Fuzzed: tests/fuzz/jwk_set.c. */
MUST_USE struct err jwk_set_parse(struct arena *arena, struct str text, struct jwk_set **out);

void jwk_set_free(struct jwk_set *set); /* NULL allowed */
static inline void jwk_set_freep(struct jwk_set **set)
{
    jwk_set_free(*set);
}

#endif
