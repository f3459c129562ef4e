/* oauth/authorize_client.c: whether the client is one of ours, where its answer may go, and what it may ask for. */
#include "base/settings.h"
#include "oauth/authorize.h"
#include "oauth/claims_request.h"
#include "service/authority.h"
#include "service/call.h"
#include "service/clients.h"
#include "service/pairwise.h"
#include "service/service.h"

struct err authorize_find_client(struct authorize *authorize, struct str client_id)
{
    struct arena *arena = authorize->call->request->arena;
    const struct err err = clients_find_active(authorize->call->service->clients, arena, client_id, &authorize->client);
    if (err.code == ERR_NOT_FOUND)
        return failed(ERR_INVALID_REQUEST, "the client_id does not name a client of this service");
    TRY(err);
    authorize->response->client_id = authorize->client.id;
    authorize->registered = *client_metadata_of(arena, &authorize->client);
    return OK;
}

struct err authorize_find_redirect(struct authorize *authorize, struct str redirect_uri)
{
    const struct client_metadata *registered = &authorize->registered;
    if (!redirect_uri_find(registered->redirect_uris.at, registered->redirect_uris.count,
                           registered->application == APPLICATION_NATIVE, redirect_uri, &authorize->redirect))
        return failed(ERR_INVALID_REQUEST, "the redirect_uri is not one that the client has registered");
    return OK;
}

/* Scopes of this service's own are for clients, and can't be granted by a user. */
static struct authorize_fault authorize_client_check_scope(const struct authorize *authorize)
{
    struct str word, rest = authorize->request.scope;
    while (rest.at && str_next_word(&rest, &word))
        if (!str_has_word(authorize->client.scopes, word) || authority_is_own_scope(word))
            return (struct authorize_fault){ "invalid_scope", "the client is not allowed a scope that was asked for" };
    return (struct authorize_fault){ 0, 0 };
}

struct authorize_fault authorize_check_request(struct authorize *authorize)
{
    const struct client_texts *own = &authorize->registered.resources;
    struct authorize_request *request = &authorize->request;
    if (!(authorize->registered.grants & GRANT_AUTHORIZATION_CODE))
        return (struct authorize_fault){ "unauthorized_client", "the client is not registered for this grant" };
    if (pairwise_check(authorize->call->service->settings, &authorize->registered).code)
        return (struct authorize_fault){ "unauthorized_client", "the client's subject_type is not offered here" };
    if (resources_allow(&request->resource, own->at, own->count, authorize->call->service->audience).code)
        return (struct authorize_fault){ "invalid_target", "the client is not allowed a resource that was asked for" };
    request->claims = claims_request_within(authorize->call->request->arena, request->claims, authorize->client.scopes);
    return authorize_client_check_scope(authorize);
}
