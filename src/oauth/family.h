/* oauth/family.h: the refresh tokens of one grant: one row, one live token. docs/refresh-tokens.md has the rules as a
 * table; this is that table as pure functions of the row, the token that a client presents, and the time.
 *
 * A caller reads the row, asks family_decide(), and does what the verdict says: each change is made to the struct here,
 * written with family_write(), and stored only if the row still has the version that was read. When it hasn't, the
 * caller starts again with the row as it is now. So of two that use one token at once, one rotates, and the other finds
 * a token that was used a moment ago.
 *
 * The successor of a used token is kept in the row, sealed under a key that is derived from the used token itself. So
 * only the holder of that token can have it, and gets the same one each time. */
#ifndef OAUTH_FAMILY_H
#define OAUTH_FAMILY_H

#include "base/json.h"
#include "jose/seal.h"
#include "oauth/granted.h"
#include "oauth/refresh_token.h"

enum {
    FAMILY_SUCCESSORS_MAX = 16,
    FAMILY_BODY_MAX = 16 * 1024,
    FAMILY_REASON_MAX = 64, /* bytes */
    SUCCESSOR_SEALED_LEN = REFRESH_TOKEN_BYTES + SEAL_ADDS,
};

struct successor {
    unsigned char follows[32]; /* the hash of the token that was used */
    unsigned char sealed[SUCCESSOR_SEALED_LEN];
    int64_t used_at; /* s */
};

/* A row, and what lies beside it in the store. Strings and lists are views, into the arena that it was read with, or
 * its maker's. All times are in seconds since 1970. Holds secrets: family_wipe(). */
struct family {
    unsigned char grant_id[GRANT_ID_LEN];
    struct str client_id; /* whose it is */
    int64_t expires_at;   /* the absolute end: from then on the family gives nothing */
    unsigned char token_hash[32];
    unsigned char previous_token_hash[32]; /* zero before the first rotation */
    unsigned char reuse_key[REUSE_KEY_LEN];
    int64_t rotation_count; /* the live token's generation */
    int64_t issued_at, idle_expires_at;
    int64_t revoked_at; /* 0: it is not */
    struct str revocation_reason;
    struct granted granted;    /* what the tokens are for: set when the grant is made, and never changed */
    const struct json *others; /* the row as it was read: members that this version doesn't know are kept; or NULL */
    struct successor successors[FAMILY_SUCCESSORS_MAX]; /* in the order in which they were made */
    size_t successor_count;
};

/* What the rules depend on beside the row. */
struct family_terms {
    struct str client_id; /* the client that has authenticated */
    bool rotates;         /* whether its tokens are replaced when they are used */
    /* For how long a used token gives its successor again; 0: not at all. Where instances with clocks of their own
     * share a store, the caller adds by how much these may differ, unless it is 0. */
    int64_t grace_s;
    int64_t idle_s; /* how long a family may lie unused; 0: until its absolute end */
};

/* --- the row ----------------------------------------------------------------------------------------------------- */

/* What a store keeps beside the body. */
struct family_row {
    const unsigned char *grant_id; /* GRANT_ID_LEN bytes; NULL: not known, as in a list: then nothing can be opened */
    struct str client_id;
    int64_t expires_at;
    struct str body;
};

/* The id of the row: SHA-256 of the grant's id. */
void family_row_id(const unsigned char grant_id[GRANT_ID_LEN], unsigned char out[32]);

/* Reads a row. ERR_INTERNAL with a sentence when the body is not as family_write() writes it: nothing is guessed, since
 * what is missing could be a bound on the tokens. Views live as long as the body and the arena. Fuzzed:
 * tests/fuzz/family.c. */
MUST_USE struct err family_read(struct arena *arena, const struct family_row *row, struct family *out);

/* The body, a JSON object in the arena. ERR_TOO_LARGE above FAMILY_BODY_MAX. */
MUST_USE struct err family_write(const struct family *family, struct arena *arena, struct str *out);

void family_wipe(struct family *family);

/* --- the rules --------------------------------------------------------------------------------------------------- */

/* Begins a family, whose maker has set expires_at and what its tokens are for: a new grant id, and the first token. */
MUST_USE struct err family_begin(struct family *family, const struct family_terms *terms, int64_t now_s,
                                 struct refresh_token *out);

enum family_verdict {
    FAMILY_UNKNOWN = 1, /* no token of this family, or of another client, or never in force: refused, nothing changes */
    FAMILY_REVOKED,     /* refused, nothing changes */
    FAMILY_ENDED,       /* idle for too long, or at its absolute end: refused, nothing changes */
    FAMILY_ROTATE,      /* the live token: family_rotate() */
    FAMILY_KEEP,        /* the live token, which stays: family_keep() */
    FAMILY_AGAIN,       /* used within the grace period: family_open() */
    /* Used before that: family_revoke(). First the caller makes sure of the time, since what can't be taken back must
     * not hang on one machine's clock: it decides again by the store's clock, where there is one, and follows that
     * verdict; while its own clock is known to have stepped, it refuses and changes nothing. */
    FAMILY_REUSED,
};

/* The name of a verdict, for the log and metrics: "unknown", "again"; static. */
const char *family_verdict_name(enum family_verdict verdict);

enum family_verdict family_decide(const struct family *family, const struct refresh_token *token,
                                  const struct family_terms *terms, int64_t now_s);

/* After FAMILY_ROTATE: *out becomes the live token, and `token`'s successor. ERR_INTERNAL when OpenSSL fails; then the
 * family is not to be written. */
MUST_USE struct err family_rotate(struct family *family, const struct refresh_token *token,
                                  const struct family_terms *terms, int64_t now_s, struct refresh_token *out);

/* After FAMILY_KEEP: moves the idle end. False when it is not worth a write: it moves by steps of a part of the idle
 * time, so that many uses of a token that stays don't wait for each other. */
MUST_USE bool family_keep(struct family *family, const struct family_terms *terms, int64_t now_s);

/* After FAMILY_AGAIN: the successor that `token` was given. ERR_INTERNAL when the row's entry can't be opened. */
MUST_USE struct err family_open(const struct family *family, const struct refresh_token *token,
                                struct refresh_token *out);

/* For ever; the first reason stays. `reason`: at most FAMILY_REASON_MAX bytes, lives as long as the family. */
void family_revoke(struct family *family, struct str reason, int64_t now_s);

#endif
