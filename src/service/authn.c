/* service/authn.c: who the caller is, and what it may do. */
#include "service/authn.h"
#include "base/clock.h"
#include "base/settings.h"
#include "cache/verified.h"
#include "jose/b64.h"
#include "jose/jws.h"
#include "service/authority.h"
#include "service/clients.h"
#include "service/failures.h"
#include "service/verify.h"
#include "store/store.h"

/* Bytes of an encoded id and secret. An id of 255 bytes, each as three of a percent code, and base64 of that, is 1020;
 * the rest is for secrets of other issuers'. */
enum { CREDENTIALS_MAX = 4096 };

struct err basic_read(struct arena *arena, struct str encoded, struct str *id, struct str *secret)
{
    if (encoded.len == 0 || encoded.len > CREDENTIALS_MAX)
        return failed(ERR_INVALID_CLIENT, "the Basic credentials are empty or too long");
    struct str pair = { arena_alloc(arena, encoded.len + 4), 0 };
    if (!b64_decode(encoded, (char *)pair.at, &pair.len))
        return failed(ERR_INVALID_CLIENT, "the Basic credentials are not base64");
    struct str name, rest = pair;
    if (!str_cut(&rest, ':', &name))
        return failed(ERR_INVALID_CLIENT, "the Basic credentials have no colon");
    if (form_decode(arena, name, id).code || form_decode(arena, rest, secret).code || id->len == 0)
        return failed(ERR_INVALID_CLIENT, "the Basic credentials are not form-encoded");
    return OK;
}

bool caller_may(const struct caller *caller, struct str scope)
{
    if (caller->is_operator)
        return true;
    if (caller->is_admin && (str_eq(scope, STR("keys:rotate")) || str_eq(scope, STR("token:revoke:any"))))
        return true;
    return str_has_word(caller->scopes, scope) && str_has_word(caller->token_scopes, scope);
}

static const struct err wrong_client = { ERR_INVALID_CLIENT, "the client is unknown or its secret is wrong" };
static const struct err unknown_caller = { ERR_NEEDS_LOOKUP, "the caller has to be looked up" };
static const struct err more_than_one_way = { ERR_INVALID_REQUEST, "the request authenticates in more than one way" };
static const struct err limited = { ERR_TOO_MANY_REQUESTS,
                                    "too many failed authentications from this address or for this client" };

static bool authn_is_hash(const unsigned char hash[32], const unsigned char known[32])
{
    return str_eq_secret((struct str){ (const char *)hash, 32 }, (struct str){ (const char *)known, 32 });
}

/* Whether this client may come in with this secret: its own, or until its end the one before it. Always compares both,
 * also for a client that doesn't exist. A public client has nothing to prove its identity with, and is accepted without
 * a secret, when secret.at is NULL (RFC 7009 section 2.1). */
static bool authn_secret_is_right(const struct client *client, bool found, struct str secret, int64_t now_s)
{
    if (!secret.at)
        return found && client->is_active && client->is_public;
    unsigned char hash[32];
    static const unsigned char nobody[32] = { 1 }; /* no secret hashes to this */
    sha256(secret, hash);
    const bool is_current = authn_is_hash(hash, found ? client->secret_hash : nobody);
    const bool is_old = authn_is_hash(hash, found ? client->old_secret_hash : nobody);
    mem_wipe(hash, sizeof hash);
    return (is_current || (is_old && now_s < client->old_secret_until)) && found && client->is_active &&
           !client->is_public;
}

/* Looks the client up in the store when memory does not accept it. */
static struct err authn_look_up(struct call *call, struct str id, struct str secret, struct client *client)
{
    struct service *service = call->service;
    const struct request *request = call->request;
    struct err err = clients_find(service->clients, request->arena, id, clock_coarse_s(), client);
    bool right = authn_secret_is_right(client, !err.code, secret, request->now_s);
    if (err.code && err.code != ERR_NOT_FOUND)
        return err;
    if (right)
        return OK;
    failures_count(service->failures, request->peer, id, clock_coarse_ms());
    return wrong_client;
}

/* The client is the caller; its strings are in the request's arena. */
static void authn_accept(struct call *call, const struct client *client)
{
    struct client *kept = arena_alloc(call->request->arena, sizeof *kept);
    *kept = *client;
    call->caller.client = kept;
    call->caller.client_id = client->id;
}

/* An active client, from memory or the store. */
static struct err authn_find_client(struct call *call, struct str id, struct client *client)
{
    struct clients *clients = call->service->clients;
    struct arena *arena = call->request->arena;
    if (!call->may_wait && !clients_get(clients, arena, id, clock_coarse_s(), client))
        return unknown_caller;
    if (!call->may_wait)
        return client->is_active ? OK : wrong_client;
    const struct err err = clients_find_active(clients, arena, id, client);
    return err.code == ERR_NOT_FOUND ? wrong_client : err;
}

/* Memory may say yes regardless of others' failures from this address or with this id; only look-ups in the store are
 * limited. */
static struct err authn_check_secret(struct call *call, struct str id, struct str secret, int64_t *retry_after_s)
{
    struct service *service = call->service;
    const struct request *request = call->request;
    struct client client = { 0 };
    bool known = clients_get(service->clients, request->arena, id, clock_coarse_s(), &client);
    if (!authn_secret_is_right(&client, known, secret, request->now_s)) {
        *retry_after_s = failures_wait_s(service->failures, request->peer, id, clock_coarse_ms());
        if (*retry_after_s > 0)
            return limited;
        if (!call->may_wait)
            return unknown_caller;
        TRY(authn_look_up(call, id, secret, &client));
    }
    authn_accept(call, &client);
    if (secret.at) /* else it may do what needs no scope */
        call->caller.scopes = call->caller.token_scopes = client.scopes;
    return OK;
}

/* RFC 7523 section 2.2. What is not the client's counts as a guess, since checking it may cost a look-up and a
 * signature. */
static struct err authn_check_assertion(struct call *call, struct str form_id, struct str assertion,
                                        int64_t *retry_after_s)
{
    struct service *service = call->service;
    const struct request *request = call->request;
    struct client client = { 0 };
    struct str id;
    if (!service->client_assertions || !str_eq(form_value(&call->form, STR("client_assertion_type")),
                                               STR("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")))
        return failed(ERR_INVALID_CLIENT, "the client_assertion_type is not one that is supported");
    TRY(service->client_assertions->issuer(request->arena, assertion, &id));
    if (form_id.at && !str_eq(form_id, id))
        return failed(ERR_INVALID_CLIENT, "the form's client_id is not the one of the client_assertion");
    if (!call->may_wait)
        return unknown_caller;
    *retry_after_s = failures_wait_s(service->failures, request->peer, id, clock_coarse_ms());
    if (*retry_after_s > 0)
        return limited;
    struct err err = authn_find_client(call, id, &client);
    if (!err.code)
        err = service->client_assertions->check(call, &client, assertion);
    if (err.code == ERR_INVALID_CLIENT)
        failures_count(service->failures, request->peer, id, clock_coarse_ms());
    TRY(err);
    authn_accept(call, &client);
    call->caller.scopes = call->caller.token_scopes = client.scopes;
    return OK;
}

bool authn_audience_is_ours(const struct service *service, const struct claims *claims)
{
    for (size_t i = 0; i < claims->aud_count; i++) {
        struct str aud = claims->aud[i];
        if (str_eq(aud, str_of(service->settings->issuer)) || str_eq(aud, claims->client_id) ||
            str_has_item(service->audience, aud))
            return true;
    }
    return false;
}

/* What is kept of the caller's token beyond the check of it. */
static const struct bearer *authn_bearer_of(struct arena *arena, const struct verified *entry)
{
    const struct claims *claims = &entry->claims;
    struct bearer *bearer = arena_alloc(arena, sizeof *bearer);
    struct str *aud = arena_alloc(arena, claims->aud_count * sizeof *aud);
    for (size_t i = 0; i < claims->aud_count; i++)
        aud[i] = arena_copy(arena, claims->aud[i]);
    *bearer = (struct bearer){ .exp = claims->exp,
                               .iat = claims->iat,
                               .issued_after = claims->issued_after,
                               .aud = aud,
                               .aud_count = claims->aud_count,
                               .is_clients = authority_is_clients(claims),
                               .is_child = claims->parent_hash.at != NULL };
    memcpy(bearer->hash, entry->hash, sizeof bearer->hash);
    return bearer;
}

/* The client of a caller's token, which must still be one of ours. */
static struct err authn_find_client_of(struct call *call, struct str id, struct client *client)
{
    const struct err err = authn_find_client(call, id, client);
    return err.code == ERR_INVALID_CLIENT ? failed(ERR_TOKEN_CLAIM, "the token's client is unknown or disabled") : err;
}

/* RFC 6750: the whole check of any access token, then of its client. */
static struct err authn_check_bearer(struct call *call, struct str token)
{
    const struct request *request = call->request;
    const struct token_ask ask = { .kinds = KIND_ACCESS, .expect.max_age_s = -1 };
    AUTO(verified_releasep) struct verified *entry = NULL;
    TRY(token_check(call->service, token, &ask, request->now_s, &entry));
    const struct claims *claims = &entry->claims;
    struct client client = { 0 };
    if (!claims->client_id.at || !authn_audience_is_ours(call->service, claims))
        return failed(ERR_TOKEN_CLAIM, "the token is not meant for this service");
    if (json_member(claims->all, STR("cnf"))) /* RFC 7800: valid only with a proof, which is not checked here */
        return failed(ERR_TOKEN_CLAIM, "the token is bound to a key, and the request has no proof of possession");
    TRY(authn_find_client_of(call, claims->client_id, &client));
    const struct json *role = json_member(claims->all, STR("role"));
    authn_accept(call, &client);
    call->caller.scopes = client.scopes;
    call->caller.token_scopes = arena_copy(request->arena, claims->scope);
    call->caller.is_admin = role && role->kind == JSON_STRING && str_eq(role->text, STR("admin"));
    call->caller.bearer = authn_bearer_of(request->arena, entry);
    return OK;
}

/* The value after an authentication scheme's name (RFC 9110 section 11.4: the name without case, then a space). */
static bool authn_scheme_is(struct str authorization, struct str scheme, struct str *value)
{
    struct str name;
    *value = authorization;
    if (!str_cut(value, ' ', &name) || !str_eq_nocase(name, scheme))
        return false;
    *value = str_trim(*value);
    return true;
}

/* By the form, when there is no Authorization header. */
static struct err authn_check_form(struct call *call, int64_t *retry_after_s)
{
    const struct str id = form_value(&call->form, STR("client_id"));
    const struct str secret = form_value(&call->form, STR("client_secret"));
    const struct str assertion = form_value(&call->form, STR("client_assertion"));
    if (assertion.at && secret.at) /* RFC 6749 section 2.3 */
        return more_than_one_way;
    call->caller.method = assertion.at ? AUTH_ASSERTION : secret.at ? AUTH_POST : AUTH_NONE;
    if (assertion.at)
        return authn_check_assertion(call, id, assertion, retry_after_s);
    return id.at ? authn_check_secret(call, id, secret, retry_after_s)
                 : failed(ERR_INVALID_CLIENT, "client_secret needs client_id");
}

static struct err authn_check_credentials(struct call *call, struct str authorization, int64_t *retry_after_s)
{
    struct str value, id, secret;
    struct str form_id = form_value(&call->form, STR("client_id"));
    if (!authorization.at)
        return authn_check_form(call, retry_after_s);
    if (form_value(&call->form, STR("client_secret")).at || form_value(&call->form, STR("client_assertion")).at)
        return more_than_one_way;
    call->caller.method = AUTH_BEARER;
    if (authn_scheme_is(authorization, STR("Bearer"), &value))
        return authn_check_bearer(call, value);
    call->caller.method = AUTH_BASIC;
    if (!authn_scheme_is(authorization, STR("Basic"), &value))
        return failed(ERR_INVALID_CLIENT, "the Authorization scheme is neither Basic nor Bearer");
    TRY(basic_read(call->request->arena, value, &id, &secret));
    if (form_id.at && !str_eq(form_id, id))
        return failed(ERR_INVALID_REQUEST, "the form's client_id is not the authenticated client");
    return authn_check_secret(call, id, secret, retry_after_s);
}

/* Whether the call says anything of who calls: without that there is no guess to be counted. */
static bool authn_has_credentials(const struct call *call, struct str authorization)
{
    const struct form *form = &call->form;
    return authorization.at || form_value(form, STR("client_secret")).at ||
           form_value(form, STR("client_assertion")).at ||
           (call->takes_public && form_value(form, STR("client_id")).at);
}

/* The front says which client it is, and the registration what it may. */
static struct err authn_check_vouched(struct call *call)
{
    struct client client = { 0 };
    TRY(authn_find_client(call, call->request->vouched_client, &client));
    authn_accept(call, &client);
    call->caller.method = AUTH_VOUCHED;
    call->caller.scopes = call->caller.token_scopes = client.scopes;
    return OK;
}

struct err authenticate(struct call *call, int64_t *retry_after_s)
{
    const struct request *request = call->request;
    if (request->is_local_operator) {
        call->caller = (struct caller){ .client_id = STR("local-operator"), .is_operator = true };
        return OK;
    }
    if (request->vouched_client.at)
        return authn_check_vouched(call);
    const struct str authorization = request_header(request, STR("Authorization"));
    if (!authn_has_credentials(call, authorization))
        return failed(ERR_INVALID_CLIENT, "the call needs an authenticated client");
    struct err err = authn_check_credentials(call, authorization, retry_after_s);
    if (err.code == ERR_TOO_MANY_REQUESTS)
        metrics_count(COUNT_AUTH_LIMITED, 1);
    else if (err.code && err_status(err.code) == 401)
        metrics_count(COUNT_AUTH_FAILED, 1);
    return err;
}

bool authenticated_still(const struct call *call)
{
    const struct caller *caller = &call->caller;
    if (!caller->client) /* nobody had to say who it is */
        return true;
    return (caller->method == AUTH_BASIC || caller->method == AUTH_POST || caller->method == AUTH_NONE) &&
           clients_still_has(call->service->clients, caller->client, clock_coarse_s());
}

void authenticate_count(const struct call *call)
{
    static const enum counter counters[] = {
        [AUTH_BASIC] = COUNT_AUTH_BASIC, [AUTH_POST] = COUNT_AUTH_POST,     [AUTH_ASSERTION] = COUNT_AUTH_ASSERTION,
        [AUTH_NONE] = COUNT_AUTH_NONE,   [AUTH_BEARER] = COUNT_AUTH_BEARER, [AUTH_VOUCHED] = COUNT_AUTH_VOUCHED
    };
    if (call->caller.client_id.at && !call->caller.is_operator)
        metrics_count(counters[call->caller.method], 1);
}
