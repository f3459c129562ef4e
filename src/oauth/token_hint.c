/* oauth/token_hint.c: looks at a hint. */
#include "oauth/token_hint.h"
#include "base/settings.h"
#include "service/call.h"
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
