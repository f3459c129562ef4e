/* service/service.h: what every operation works with, and what one call carries from step to step. app.c fills a struct
 * service once, before the first request; after that only what the members point to changes. */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include "cache/uses.h"
#include "cache/verified.h"
#include "keys/keyring.h"
#include "keys/rotation.h"
#include "service/message.h"
#include "store/commit.h"
#include <stdatomic.h>

struct clients;
struct failures;
struct housekeeping;
struct revocations;

struct service {
    const struct settings *settings;
    struct store *store;
    struct signer *signer;
    struct commit *commit;
    struct keyring *keyring;
    struct rotation *rotation;
    struct housekeeping *housekeeping; /* set before the first request */
    atomic_bool moves_keys;            /* a server: housekeeping does what is due; a command looks only */
    struct revocations *revocations;   /* all that refuses tokens before their end (revocation/) */
    struct verified_cache *verified;
    struct uses *uses;         /* of tokens (usage.h); NULL: nobody counts them */
    struct clients *clients;   /* clients in memory (clients.h) */
    struct failures *failures; /* failed authentications by address (failures.h) */
    struct str audience;       /* TOKEN_AUDIENCE as given: comma-separated */

    /* What /health/ready and /metrics tell; written by housekeeping and by the front that serves. */
    atomic_bool store_ok, keys_ok, draining;
    _Atomic(const char *) store_why;  /* the store's fault, static; NULL when store_ok */
    _Atomic(const char *) keys_why;   /* the signer's fault, static; NULL when keys_ok */
    atomic_llong latest_iat;          /* of all tokens issued here */
    atomic_llong clock_ahead_s;       /* how far the time of day is ahead of what is believed (wall_clock.h) */
    atomic_llong clock_difference_ms; /* ahead of the clock of a store that instances share */
    atomic_llong clock_step_s;        /* the last step of the time of day; 0: it has not stepped */
    atomic_llong unknown_kid_at;      /* clock_coarse_s() when a token of an unknown key last had the keys read */
    atomic_size_t jobs_waiting;       /* in the workers' queue */
    atomic_size_t connections;        /* open */
    atomic_llong tls_expires_at;      /* s; the certificate that is served; 0: plain HTTP */
    atomic_size_t request_bytes;      /* memory of the requests in hand */
    atomic_bool flood_is_over;        /* they took much, and don't any more: housekeeping gives it back to the system */
};

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

/* Who calls, and what it may do. */
struct caller {
    struct str client_id;
    struct str scopes;           /* the client's allowed scopes */
    struct str token_scopes;     /* of its bearer token; the same as scopes when it came with a secret */
    bool is_admin;               /* bearer token with role "admin": has keys:rotate and token:revoke:any */
    bool is_operator;            /* the command line: may do everything */
    const struct bearer *bearer; /* NULL: it did not come with a token */
};

struct call {
    struct service *service;
    const struct request *request;
    struct form form; /* read when the body is a form; else empty */
    struct caller caller;
    bool takes_public; /* a public client may name itself, without a secret (RFC 7009 section 2.1) */
    bool may_wait;     /* on a worker: stores and signers may be asked */
    bool is_first;     /* the caller is judged before its request waits, and again when it is its turn: count it then */
};

/* Answers a request: finds its route, authenticates the caller, runs the operation. With may_wait false it never waits,
 * judges the caller by what is in memory, and returns ERR_NEEDS_WORKER or ERR_NEEDS_LOOKUP, with *response to be
 * ignored, when the work may wait: call it again from a worker. ERR_OK: the response is there, be it a refusal; its
 * records must be durable before it goes out (commit.h). */
enum err_code service_answer(struct service *service, const struct request *request, bool may_wait,
                             struct response *response);

/* When somebody who is told 503 had better come back: when those who wait now will have been served, as far as the
 * signer knows; at least 1 s, at most a minute. Never waits. */
int64_t service_retry_after_s(const struct service *service);
/* To be called when the response's records are durable, before it goes out. A failure is what to answer instead. In a
 * server it never waits. */
MUST_USE struct err service_committed(struct service *service, const struct response *response);

/* Counts and logs an answered request; to be called once, when the answer is final. */
void service_account(const struct request *request, const struct response *response, int64_t duration_ns);

/* --- the operations, a file each. They return an error to be rendered, or OK with *response filled
 * -------------------- */

struct err issue_token(struct call *call, struct response *response);
struct err verify_token(struct call *call, struct response *response);
struct err introspect_token(struct call *call, struct response *response);
struct err revoke_token(struct call *call, struct response *response);
struct err revoke_by_rule(struct call *call, struct response *response);
struct err rotate_keys(struct call *call, struct response *response);
struct err publish_index(struct call *call, struct response *response);
struct err publish_jwks(struct call *call, struct response *response);
struct err publish_revocations(struct call *call, struct response *response);
struct err health_live(struct call *call, struct response *response);
/* Whether this caller may see /metrics, and the inside of what fails: names of hosts and files (TOKEN_METRICS). */
bool may_see_inside(const struct call *call);
struct err health_ready(struct call *call, struct response *response);
struct err publish_metrics(struct call *call, struct response *response);

#endif
