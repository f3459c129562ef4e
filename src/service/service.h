/* service/service.h: what every operation works with, and how fronts call it. app.c fills a struct service once, before
 * the first request; after that only atomics and what the members point to change. A file that uses a member includes
 * its header. */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include "base/mem.h"
#include "service/state.h"

struct call;
struct client;
struct client_metadata;
struct clients;
struct commit;
struct events;
struct failures;
struct housekeeping;
struct keyring;
struct oauth;
struct record;
struct request;
struct response;
struct revocations;
struct rotation;
struct routes;
struct settings;
struct signer;
struct store;
struct uses;
struct verified_cache;

/* Authentication of clients by signed assertions, private_key_jwt (RFC 7523): a room above has it, since it fetches
 * clients' keys. */
struct client_assertions {
    /* Whose assertion it says it is, unchecked; ERR_INVALID_CLIENT when it can't be read. */
    struct err (*issuer)(struct arena *arena, struct str assertion, struct str *client_id);
    /* Whether it is the client's, for this service, now, and for the first time: call->once. Only on a worker.
     * ERR_INVALID_CLIENT, ERR_UNAVAILABLE. */
    struct err (*check)(struct call *call, const struct client *client, struct str assertion);
};

/* Tokens that are no signed ones, but lie in the store: the refresh tokens of grants. A room above has them. */
struct opaque_tokens {
    /* Whether a text has their form, which no signed token has. Never waits. */
    bool (*have_form)(struct str text);
    /* Appends the RFC 7662 response of a good one. Only on a worker. ERR_INVALID_GRANT: it isn't good, and nothing was
     * appended; ERR_UNAVAILABLE, ERR_INTERNAL. */
    struct err (*introspect)(struct call *call, struct str text, struct buf *out);
    /* Ends the grant, with all tokens that came of it, for its client or who may revoke any: by call->always. Only on a
     * worker. ERR_NOT_FOUND: there is no such token; ERR_INSUFFICIENT_SCOPE, ERR_UNAVAILABLE, ERR_INTERNAL. */
    struct err (*revoke)(struct call *call, struct str text, struct str reason);
};

struct service {
    const struct settings *settings;
    const struct routes *routes; /* all that it answers (route.h); NULL: a command that answers nothing */
    struct str audience;         /* TOKEN_AUDIENCE as given: comma-separated */
    struct store *store;
    struct commit *commit;
    struct signer *signer;
    struct keyring *keyring;
    struct rotation *rotation;
    struct revocations *revocations; /* all that refuses tokens before their end */
    struct verified_cache *verified;
    struct uses *uses;                                 /* of tokens (usage.h); NULL: they are not counted */
    struct clients *clients;                           /* clients in memory */
    struct failures *failures;                         /* failed authentications by address */
    const struct client_assertions *client_assertions; /* NULL: clients can't authenticate by them */
    const struct opaque_tokens *opaque_tokens;         /* NULL: there are none */
    struct events *events;                             /* what others are told of (events.h); NULL: nobody is told */
    /* Whether a client's sector_identifier_uri has all its redirect URIs; a room above fetches it. Waits for the
     * client's server. ERR_CLIENT_METADATA, ERR_UNAVAILABLE. NULL: no client can be registered with one. */
    struct err (*check_sector)(const struct service *service, struct arena *arena,
                               const struct client_metadata *registered);
    struct housekeeping *housekeeping;
    struct oauth *oauth; /* that room's own (oauth/oauth.h); NULL: a command, which has no such calls */
    struct service_state state;
    atomic_bool moves_keys;      /* a server: housekeeping does what is due; a command looks only */
    atomic_llong latest_iat;     /* of all tokens issued here; s */
    atomic_llong unknown_kid_at; /* clock_coarse_s() when a token of an unknown key last had the keys read */
};

/* Answers a request: finds its route, authenticates the caller, runs the operation. With may_wait false it never waits,
 * authenticates the caller only from memory, and returns ERR_NEEDS_TURN when the work costs a signature, with a key in
 * memory, ERR_NEEDS_WORKER or ERR_NEEDS_LOOKUP when it may have to wait: then leave *response alone, and call
 * service_go_on() when there is time, or from a worker. ERR_OK: *response is filled, also when it is a refusal; its
 * records must be durable before it is sent: service_record(). */
enum err_code service_answer(struct service *service, const struct request *request, bool may_wait,
                             struct response *response);
/* Answers what had to wait. What was found of the caller counts if it would be found so now; else, and when it is
 * called once more after ERR_CONFLICT, all begins anew. ERR_NEEDS_WORKER, only with may_wait false: it has to wait
 * after all; nothing was done, so call it again from a worker. */
enum err_code service_go_on(struct service *service, const struct request *request, bool may_wait,
                            struct response *response);

/* The Retry-After of a 503: when, as far as the signer knows, those who wait now will have been served; at least 1 s,
 * at most a minute. Never waits. */
int64_t service_retry_after_s(const struct service *service);

/* --- a response's records, which must be durable before it goes out (records.c) ----------------------------------- */

/* `delta` more (or fewer) requests are on workers, and may have records soon. */
void service_expect(struct service *service, int delta);
enum { SERVICE_TRIES = 6 };
/* Hands the records on; never blocks. Then calls `done` exactly once: at once when there are no records, otherwise on
 * another thread, perhaps before this returns. `done` must not block. OK: the response may be sent. ERR_CONFLICT:
 * another request was faster with what this one changes, and nothing of it is kept: call service_go_on() again, on a
 * worker, at most SERVICE_TRIES times in all. Otherwise the error is to be sent instead. Request and response must live
 * until then. */
void service_record(struct service *service, const struct request *request, const struct response *response,
                    void (*done)(void *context, struct err failure), void *context);

/* What a request is told that was overtaken each time: its response becomes a 503. */
void service_give_up(const struct request *request, struct response *response);

/* Both lists of records as one, the second behind the first. */
struct record *records_join(struct record *first, struct record *rest);

/* For fronts without a loop (the command line, Lambda): answers the request on the caller's thread, waiting where it
 * must, and makes its records durable. Then the response may be sent, also when it is a refusal. The front must still
 * call service_account(). Thread-safe. */
void local_call(struct service *service, const struct request *request, struct response *response);
/* The same; what the front adds is recorded with the response's records, all or nothing, unless the response is an
 * error's. NULL: nothing. */
void local_call_with(struct service *service, const struct request *request, struct record *also,
                     struct response *response);

/* Counts and logs a request; to be called once, when its response is final. */
void service_account(const struct request *request, const struct response *response, int64_t duration_ns);

#endif
