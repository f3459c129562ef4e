/* service/authn.h: who calls. HTTP Basic or a form's client_id and client_secret (RFC 6749 section 2.3.1), or a bearer
 * access token of this service (RFC 6750 section 2.1); exactly one of them. */
#ifndef SERVICE_AUTHN_H
#define SERVICE_AUTHN_H

#include "service/call.h"
#include "service/service.h"

struct claims;

/* Fills call->caller. ERR_NEEDS_LOOKUP when memory does not know the caller and call->may_wait is false. A wrong secret
 * and an unknown, disabled or public client take the same path to the same response, in the same time: memory can only
 * say yes, so each of them is looked up in the store or, after too many failures (failures.h), told to wait
 * (ERR_TOO_MANY_REQUESTS, *retry_after_s). A bearer token that fails does not count as a guess: signatures can't be
 * guessed, and checking one needs no lookup. */
MUST_USE struct err authenticate(struct call *call, int64_t *retry_after_s);

/* Whether authenticate() would come to the same now: it has named the caller by what memory knows of its client, and
 * memory knows the same still. A token is always judged anew: it may have been revoked. */
MUST_USE bool authenticated_still(const struct call *call);

/* Counts how the caller has authenticated, if it has: once a request, when that needs no more turns. */
void authenticate_count(const struct call *call);

/* Whether an access token is meant for this service: it names the issuer, an audience of the settings, or is one of a
 * client's plain tokens, which name the client itself (docs/contract.md, "Claims"). Its claims have a client_id. */
bool authn_audience_is_ours(const struct service *service, const struct claims *claims);

/* Whether the caller may do what needs `scope`: its client is allowed it and, if it came with a token, that too. */
bool caller_may(const struct caller *caller, struct str scope);

/* id and secret of an HTTP Basic header's value after "Basic " (RFC 7617, with RFC 6749's form encoding within).
 * ERR_INVALID_CLIENT. Fuzzed: tests/fuzz/basic.c. */
MUST_USE struct err basic_read(struct arena *arena, struct str encoded, struct str *id, struct str *secret);

#endif
