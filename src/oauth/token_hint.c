/* oauth/token_hint.c: looks at a hint. */
#include "oauth/token_hint.h"
#include "base/settings.h"
#include "service/call.h"
#include "service/clients.h"
#include "service/pairwise.h"
#include "service/service.h"
#include "service/verify.h"

struct err token_hint_read(const struct call *call, struct str text, struct token_hint *out)
{
    static const struct err no_hint = { ERR_INVALID_REQUEST, "the id_token_hint is not an id token of this service" };
    struct arena *arena = call->request->arena;
    AUTO(verified_releasep) struct verified *entry = NULL;
    const struct err err = token_find(call->service, text, &entry);
    if (err.code == ERR_UNAVAILABLE)
        return err;
    if (err.code || entry->kind != TOKEN_ID || !str_eq(entry->claims.iss, str_of(call->service->settings->issuer)))
        return no_hint;
    *out = (struct token_hint){ .sub = arena_copy(arena, entry->claims.sub),
                                .sid = entry->claims.sid.at ? arena_copy(arena, entry->claims.sid) : STR(""),
                                .client_id = arena_copy(arena, claims_owner(&entry->claims)) };
    return OK;
}

struct err token_hint_names(const struct call *call, const struct token_hint *hint, struct str sub, struct str sid,
                            bool *out)
{
    const struct settings *settings = call->service->settings;
    struct arena *arena = call->request->arena;
    struct client client;
    const bool is_of_user = str_eq(hint->sub, sub), is_of_session = hint->sid.len == 0 || str_eq(hint->sid, sid);
    *out = is_of_user && is_of_session;
    if (*out)
        return OK;
    const struct err err = clients_find_active(call->service->clients, arena, hint->client_id, &client);
    if (err.code == ERR_NOT_FOUND) /* nobody knows the user by anything else */
        return OK;
    TRY(err);
    const struct client_metadata *registered = client_metadata_of(arena, &client);
    *out = (is_of_user || pairwise_is_subject(settings, arena, registered, hint->sub, sub)) &&
           (is_of_session || pairwise_is_session(settings, arena, registered, hint->sid, sid));
    return OK;
}
