/* jose/claims.h: JWT claims (RFC 7519, RFC 9068, OpenID Connect Core section 2): read, check, build. */
#ifndef JOSE_CLAIMS_H
#define JOSE_CLAIMS_H

#include "base/json.h"

enum { CLAIMS_AUD_MAX = 16 };
#define CLAIMS_TIME_MAX INT64_C(253402300799) /* 9999-12-31T23:59:59Z: later is no date that anyone means */

enum token_kind { TOKEN_ACCESS = 1, TOKEN_REFRESH, TOKEN_ID };

/* The header's typ of a kind (RFC 8725 section 3.11): "at+jwt", "rt+jwt", "JWT"; static. */
struct str token_kind_typ(enum token_kind kind);
/* The API's name of a kind: "access", "refresh", "id"; static. */
struct str token_kind_name(enum token_kind kind);
/* The kind with that API name. */
MUST_USE bool token_kind_find(struct str name, enum token_kind *out);
/* By a header's typ: without case, and with or without "application/" (RFC 7515 section 4.1.9). */
MUST_USE bool token_kind_of_typ(struct str typ, enum token_kind *out);

/* A token's registered claims. Absent strings have at == NULL. Views into the payload or the arena. */
struct claims {
    struct str iss, sub, jti, client_id, azp, scope, token_type, nonce;
    struct str sid; /* the session: OpenID Connect Front-Channel Logout 1.0, section 3 */
    /* Of a token that was issued with a token, which is its client's own: SHA-256 of that one, in base64url; its
     * client; and its iat. All of them or none. */
    struct str parent_hash, parent_client_id;
    int64_t parent_iat;
    struct str sealed_rules; /* of an id token that doesn't name its user: service/sealed_rules.h */
    struct str aud[CLAIMS_AUD_MAX];
    size_t aud_count;
    int64_t exp, iat, nbf; /* seconds since 1970 */
    int64_t auth_time;     /* -1: absent */
    int64_t issued_after;  /* a number among the expiries of revocation rules (revocation/rule.h); 0: absent */
    const struct json *all;
    struct str text; /* the payload itself: one JSON object */
};

/* Reads a payload. ERR_TOKEN_MALFORMED unless it is one JSON object without duplicates; ERR_TOKEN_CLAIM unless iss,
 * sub, aud, exp, iat, nbf, jti are there and every registered claim has its type: times are integers in [0,
 * CLAIMS_TIME_MAX], aud a string or a list of 1 to CLAIMS_AUD_MAX strings. Views live as long as `payload` and the
 * arena. Fuzzed: tests/fuzz/claims.c. */
MUST_USE struct err claims_read(struct arena *arena, struct str payload, struct claims *out);

/* The client that a token belongs to: an id token names it in azp, the others in client_id. at == NULL: none. */
struct str claims_owner(const struct claims *claims);

/* What a caller asks of a token. A zeroed string or an age of -1 is not checked. */
struct claims_expect {
    struct str issuer, subject, nonce;
    struct str audience[CLAIMS_AUD_MAX]; /* any one of them must be in aud (RFC 7519 section 4.1.3) */
    size_t audience_count;
    int64_t tolerance_s; /* allowed after exp, before nbf and before iat */
    int64_t skew_s;      /* further allowance for nbf and iat only: other machines' clocks */
    int64_t max_age_s;   /* of auth_time, else of iat; -1: any (OpenID Connect Core section 3.1.3.7 rule 13) */
};

/* ERR_TOKEN_EXPIRED (now >= exp + tolerance), ERR_TOKEN_NOT_YET, ERR_TOKEN_CLAIM with a sentence that names the claim.
 */
MUST_USE struct err claims_check(const struct claims *claims, const struct claims_expect *expect, int64_t now_s);

/* Whether a custom claim of this name would replace one that the service or a standard of OAuth gives a meaning to, or
 * could be mistaken for such a claim by a reader that folds names (jose/fold.h). `sid` is allowed, in exactly that
 * spelling. */
bool claims_is_registered(struct arena *arena, struct str name);

/* A new token's claims. */
struct claims_new {
    enum token_kind kind;
    struct str iss, sub, client_id, scope, nonce, jti; /* scope, nonce empty: left out */
    struct str sid;                                    /* at == NULL: left out */
    struct str parent_hash, parent_client_id;          /* at == NULL: left out, with parent_iat */
    int64_t parent_iat;
    struct str sealed_rules; /* at == NULL: left out */
    const struct str *aud;
    size_t aud_count; /* one: written as a string, unless aud_as_list */
    bool aud_as_list;
    int64_t iat, exp;          /* nbf = iat */
    int64_t auth_time;         /* -1: left out */
    struct str at_hash;        /* of an id token: OpenID Connect Core section 3.1.3.6; at == NULL: left out */
    int64_t issued_after;      /* 0: left out */
    const struct json *custom; /* an object or NULL; already refused if it has a registered name */
};

/* Appends the payload as one JSON object. access: scope, token_type Bearer, client_id; refresh: scope, token_type
 * Refresh, client_id; id: nonce, auth_time, at_hash, azp. */
void claims_write(struct buf *out, const struct claims_new *claims);

#endif
