/* service/service.h: what every operation works with, and how fronts call it. app.c fills a struct service once, before
 * the first request; after that only atomics and what the members point to change. A file that uses a member includes
 * its header. */
#ifndef SERVICE_SERVICE_H
#define SERVICE_SERVICE_H

#include "base/mem.h"
#include "service/state.h"

struct clients;
struct commit;
struct failures;
struct housekeeping;
struct keyring;
struct request;
struct response;
struct revocations;
struct rotation;
struct settings;
struct signer;
struct store;
struct uses;
struct verified_cache;

struct service {
    const struct settings *settings;
    struct str audience; /* TOKEN_AUDIENCE as given: comma-separated */
    struct store *store;
    struct commit *commit;
    struct signer *signer;
    struct keyring *keyring;
    struct rotation *rotation;
    struct revocations *revocations; /* all that refuses tokens before their end */
    struct verified_cache *verified;
    struct uses *uses;         /* of tokens (usage.h); NULL: they are not counted */
    struct clients *clients;   /* clients in memory */
    struct failures *failures; /* failed authentications by address */
    struct housekeeping *housekeeping;
    struct service_state state;
    atomic_bool moves_keys;      /* a server: housekeeping does what is due; a command looks only */
    atomic_llong latest_iat;     /* of all tokens issued here; s */
    atomic_llong unknown_kid_at; /* clock_coarse_s() when a token of an unknown key last had the keys read */
};

/* Answers a request: finds its route, authenticates the caller, runs the operation. With may_wait false it never waits,
 * authenticates the caller only from memory, and returns ERR_NEEDS_WORKER or ERR_NEEDS_LOOKUP when the work may have to
 * wait: then ignore *response and call it again from a worker. ERR_OK: *response is filled, also when it is a refusal;
 * its records must be durable before it is sent: service_record(). */
enum err_code service_answer(struct service *service, const struct request *request, bool may_wait,
                             struct response *response);

/* The Retry-After of a 503: when, as far as the signer knows, those who wait now will have been served; at least 1 s,
 * at most a minute. Never waits. */
int64_t service_retry_after_s(const struct service *service);

/* --- a response's records, which must be durable before it goes out (records.c) ----------------------------------- */

/* `delta` more (or fewer) requests are on workers, and may have records soon. */
void service_expect(struct service *service, int delta);
/* Hands the records on; never blocks. Then calls `done` exactly once: at once when there are no records, otherwise on
 * another thread, perhaps before this returns. `done` must not block. OK: the response may be sent; otherwise the error
 * is to be sent instead. Request and response must live until then. */
void service_record(struct service *service, const struct request *request, const struct response *response,
                    void (*done)(void *context, struct err failure), void *context);

/* For fronts without a loop (the command line, Lambda): answers the request on the caller's thread, waiting where it
 * must, and makes its records durable. Then the response may be sent, also when it is a refusal. The front must still
 * call service_account(). Thread-safe. */
void local_call(struct service *service, const struct request *request, struct response *response);

/* Counts and logs a request; to be called once, when its response is final. */
void service_account(const struct request *request, const struct response *response, int64_t duration_ns);

#endif
