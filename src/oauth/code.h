/* oauth/code.h: authorization codes (RFC 6749 section 4.1.2): good once, for a minute, for their client, redirect URI
 * and code_verifier. The store has only their hashes. */
#ifndef OAUTH_CODE_H
#define OAUTH_CODE_H

#include "oauth/granted.h"
#include "store/store.h"

/* Views. */
struct code {
    struct item item; /* as it was read; id and version count */
    struct str client_id, redirect_uri;
    struct str nonce, code_challenge; /* "": none */
    int64_t expires_at;               /* s */
    struct granted granted;
    bool is_used;
    unsigned char grant_id[32]; /* the id of the item of the grant that came of it; when it is used */
};

/* A new code, whose text is for the client, and the record that it must be kept with, in front of `next`. */
MUST_USE struct err code_make(struct arena *arena, const struct code *code, struct record *next, struct str *text,
                              struct record **record);
/* Reads the code of a token request. ERR_INVALID_GRANT: there is none; ERR_UNAVAILABLE. */
MUST_USE struct err code_find(struct store *store, struct arena *arena, struct str text, struct code *out);
/* The record that uses it up for a grant, of which it then tells, and its user's sub, but nothing else. ERR_CONFLICT of
 * the store says that somebody was faster. */
MUST_USE struct err code_use(struct arena *arena, const struct code *code, const unsigned char grant_id[32],
                             struct record *next, struct record **record);

#endif
