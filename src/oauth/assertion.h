/* oauth/assertion.h: a client that proves who it is by a signature: `private_key_jwt` (RFC 7523 sections 2.2 and 3,
 * OpenID Connect Core section 9). Reading and judging are pure; only assertion_verify() may wait, for the client's
 * keys. Any failure is ERR_INVALID_CLIENT with a sentence of its own, but ERR_UNAVAILABLE where a retry may mend it. */
#ifndef OAUTH_ASSERTION_H
#define OAUTH_ASSERTION_H

#include "jose/jws.h"

struct client_keys;
struct client_keys_source;

enum {
    ASSERTION_MAX = 8 * 1024, /* bytes */
    ASSERTION_JTI_MAX = 256,
    ASSERTION_AHEAD_S = 3660, /* how far away exp may be (Authlib's is an hour): so long the jti is remembered */
    ASSERTION_SKEW_S = 60,    /* how far ahead iat and nbf may be: the client's clock */
    ASSERTION_AUD_MAX = 8,
};

/* Views into the text or the arena. Times in seconds since 1970. */
struct assertion {
    struct jws_parts parts;
    struct jws_header header;
    struct str client_id; /* iss and sub */
    struct str jti;
    struct str aud[ASSERTION_AUD_MAX];
    size_t aud_count;
    bool aud_is_list;
    int64_t exp, iat, nbf; /* iat, nbf: 0 when absent */
};

/* Reads an assertion, so that the caller can look up the client that it names. Nothing of it is proved. Its form is:
 * a compact JWS; a header without `crit`, with an alg that is known here (never `none` or HMAC) and a typ that is
 * absent, JWT or client-authentication+jwt; claims iss and sub, which are equal, aud (a string or a list of at most
 * ASSERTION_AUD_MAX strings), exp, and jti (1 to ASSERTION_JTI_MAX bytes). Fuzzed: tests/fuzz/assertion.c. */
MUST_USE struct err assertion_read(struct arena *arena, struct str text, struct assertion *out);

/* What this service and the client's registration ask. */
struct assertion_expect {
    struct str client_id;
    struct str issuer;         /* ours */
    struct str token_endpoint; /* its URL as an audience too, and a list; at == NULL: the issuer as a string alone */
    struct str signing_alg;    /* token_endpoint_auth_signing_alg; at == NULL or "": any */
    int64_t ahead_max_s;       /* ASSERTION_AHEAD_S, unless there is a reason for another */
};

/* Judges the claims at `now_s`: client, audience, times, and the alg that was registered. exp is exact. */
MUST_USE struct err assertion_check(const struct assertion *assertion, const struct assertion_expect *expect,
                                    int64_t now_s);

/* Whether one of the client's keys signed it. After assertion_check(), since this may fetch keys. `now_ms` by the
 * monotonic clock. */
MUST_USE struct err assertion_verify(const struct assertion *assertion, struct client_keys *keys, struct arena *arena,
                                     const struct client_keys_source *source, int64_t now_ms);

/* What makes it good only once, over all instances (RFC 7523 section 3, jti): an item of kind ONCE with this id must be
 * new. It is to be kept until `expires_at`, which is exp and what other instances' clocks may be behind. */
struct assertion_once {
    unsigned char id[32]; /* SHA-256 of "jti\n", the client, "\n" and the jti */
    int64_t expires_at;   /* s */
};
struct assertion_once assertion_once(const struct assertion *assertion);

#endif
