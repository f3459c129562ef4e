/* service/call.h: one call and its caller, as an operation gets them (operations.h). */
#ifndef SERVICE_CALL_H
#define SERVICE_CALL_H

#include "service/message.h"

struct client;
struct route;
struct service;

/* The token that a caller came with. */
struct bearer {
    unsigned char hash[32]; /* SHA-256 of it */
    int64_t exp, iat;       /* s */
    int64_t issued_after;   /* revocation/rule.h */
    const struct str *aud;
    size_t aud_count;
    bool is_clients; /* the client's own, and no user's (authority.h) */
    bool is_child;   /* it was itself issued with a token */
};

/* How a caller has shown who it is: of a client, OpenID Connect Core section 9 has the names. */
enum auth_method {
    AUTH_BASIC,     /* client_secret_basic */
    AUTH_POST,      /* client_secret_post */
    AUTH_ASSERTION, /* private_key_jwt */
    AUTH_NONE,      /* none: a public client, which can only name itself */
    AUTH_BEARER,    /* an access token of this service */
    AUTH_VOUCHED,   /* its front has made sure of it: request->vouched_client */
};

/* Who calls, and what it may do. */
struct caller {
    struct str client_id;
    enum auth_method method;
    const struct client *client; /* as it is registered; NULL of the command line */
    struct str scopes;           /* the client's allowed scopes */
    struct str token_scopes;     /* of its bearer token; the same as scopes when it came with a secret */
    bool is_admin;               /* bearer token with role "admin": has keys:rotate and token:revoke:any */
    bool is_operator;            /* the command line: may do everything */
    const struct bearer *bearer; /* NULL: it did not come with a token */
};

struct call {
    struct service *service;
    const struct request *request;
    const struct route *route;
    struct str path_value; /* of the route's open segment, decoded; at == NULL: it has none */
    struct form form;      /* read when the body is a form; else empty */
    struct caller caller;
    /* What is recorded with the response's records, and also when the response is an error: what makes a proof of
     * identity good only once (RFC 7523 section 3, jti), or revokes what was misused. NULL: nothing. */
    struct record *always;
    uint64_t announced; /* of these, as response->announced */
    bool takes_public;  /* a public client may name itself, without a secret (RFC 7009 section 2.1) */
    bool may_wait;      /* on a worker: stores and signers may be asked */
    bool is_first;      /* the caller is judged before its request waits; what it does comes when it is its turn */
};

/* Adds a record to call->always. */
void call_record_always(struct call *call, struct record *record);

#endif
