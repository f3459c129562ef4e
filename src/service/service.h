/* service/service.h: what every operation works with, and how fronts call it. app.c fills a struct service once, before
 * the first request; after that only what the members point to changes, and what is atomic. Who works with a member
 * includes its header. */
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
    struct uses *uses;         /* of tokens (usage.h); NULL: nobody counts them */
    struct clients *clients;   /* clients in memory */
    struct failures *failures; /* failed authentications by address */
    struct housekeeping *housekeeping;
    struct service_state state;
    atomic_bool moves_keys;      /* a server: housekeeping does what is due; a command looks only */
    atomic_llong latest_iat;     /* of all tokens issued here; s */
    atomic_llong unknown_kid_at; /* clock_coarse_s() when a token of an unknown key last had the keys read */
};

/* Answers a request: finds its route, authenticates the caller, runs the operation. With may_wait false it never waits,
 * judges the caller by what is in memory, and returns ERR_NEEDS_WORKER or ERR_NEEDS_LOOKUP, with *response to be
 * ignored, when the work may wait: call it again from a worker. ERR_OK: the response is there, be it a refusal; its
 * records must be durable before it goes out: service_record(). */
enum err_code service_answer(struct service *service, const struct request *request, bool may_wait,
                             struct response *response);

/* When somebody who is told 503 had better come back: when those who wait now will have been served, as far as the
 * signer knows; at least 1 s, at most a minute. Never waits. */
int64_t service_retry_after_s(const struct service *service);

/* --- a response's records, which must be durable before it goes out (records.c) ----------------------------------- */

/* `delta` more (or fewer) requests are on workers, and may have records soon. */
void service_expect(struct service *service, int delta);
/* Hands the records on; never blocks. Then calls `done`, exactly once: at once when there are none, else on another
 * thread, perhaps before this returns; it must not block. OK: the response may go out; a failure is what to answer
 * instead. Request and response must stay until then. */
void service_record(struct service *service, const struct request *request, const struct response *response,
                    void (*done)(void *context, struct err failure), void *context);

/* For fronts without a loop (the command line, Lambda): answers the request on the caller's thread, waiting, and makes
 * its records durable. The response may go out then, be it a refusal. service_account() is still the front's to call.
 * Thread-safe. */
void local_call(struct service *service, const struct request *request, struct response *response);

/* Counts and logs an answered request; to be called once, when the answer is final. */
void service_account(const struct request *request, const struct response *response, int64_t duration_ns);

#endif
