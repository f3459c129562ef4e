/* service/issue.h: the one way to a new token. Every call and every grant that issues a token ends in token_issue(): it
 * checks the request against the client, the settings and the caller, builds the claims, checks them against revocation
 * rules, signs, counts and logs. */
#ifndef SERVICE_ISSUE_H
#define SERVICE_ISSUE_H

#include "base/mem.h"
#include "jose/claims.h"
#include "keys/signer.h"

struct caller;
struct client;
struct client_metadata;
struct record;
struct service;

/* What a token comes from, and is revoked with: the grant of an authorization server, as a token is the parent of what
 * is issued with it. */
struct issue_parent {
    unsigned char hash[32]; /* what a revocation of it names */
    struct str client_id;
    int64_t iat; /* s; when it was made: rules refuse it with all that comes of it */
};

/* What is asked for. */
struct issue {
    enum token_kind kind;
    enum sign_priority priority;
    const struct client *client; /* the one that the token is for; active */
    /* The caller, whose authority limits the token (authority.h); NULL: a grant has authorised it, and none of this
     * service's own scopes can be passed on. */
    const struct caller *authority;
    const struct issue_parent *parent; /* NULL: the caller's token, if it came with one */
    struct str subject;
    struct str scope;           /* space-separated; each word must be allowed to the client */
    const struct str *audience; /* RFC 8707; only of an access token */
    size_t audience_count;      /* at most CLAIMS_AUD_MAX; 0: the usual one */
    bool audience_is_granted;   /* it has been checked already: oauth/resource.h */
    const struct json *custom;  /* further claims: an object or NULL */
    struct str sid;             /* the session; at == NULL: none, or `custom` has it */
    struct str nonce;           /* of an id token; empty: none */
    struct str at_hash;         /* of an id token; at == NULL: none */
    int64_t auth_time;          /* s; -1: none */
    int64_t lifetime_s;         /* 0: the usual one */
    int64_t now_s;
    bool at_once;          /* nothing may be waited for: only a key in memory signs */
    struct str request_id; /* for the log */
};

/* What came of it. */
struct issued {
    struct str token, payload; /* payload: its claims, a JSON object */
    struct str scope;          /* one space between two words, each word once */
    int64_t lifetime_s, expires_at;
    /* What must be durable before the token goes out, all of the list; the caller may append its own. NULL: nothing is
     * kept or told of it. */
    struct record *record;
    int64_t retry_after_s; /* after ERR_UNAVAILABLE: when it may go better; 0: not known */
};

/* Issues a token. May wait for the signer. Results lie in `arena`. ERR_INVALID_SCOPE, ERR_INVALID_TARGET,
 * ERR_INVALID_REQUEST, ERR_INSUFFICIENT_SCOPE, each with a sentence that names what was too much;
 * ERR_UNAUTHORIZED_CLIENT: an id token for a client that can be told of no user (pairwise.h); ERR_UNAVAILABLE;
 * ERR_NEEDS_WORKER: at_once, and the key is not in memory. *out counts only when this returns OK, but for
 * retry_after_s. */
MUST_USE struct err token_issue(struct service *service, struct arena *arena, const struct issue *issue,
                                struct issued *out);

#endif
