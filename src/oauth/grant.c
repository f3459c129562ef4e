/* oauth/grant.c: reads grants, and compares them with what is revoked. */
#include "oauth/grant.h"
#include "jose/claims.h"
#include "revocation/revocations.h"
#include "revocation/rule.h"
#include "service/call.h"
#include "service/service.h"

/* `grant_id`: NULL when only the id of the item is known. */
static struct err grant_read(struct store *store, struct arena *arena, const unsigned char id[32],
                             const unsigned char *grant_id, struct grant *out)
{
    TRY(store->ops->find_item(store, arena, ITEM_GRANT, id, &out->item));
    const struct family_row row = { .grant_id = grant_id,
                                    .client_id = out->item.client_id,
                                    .expires_at = out->item.expires_at,
                                    .body = out->item.body };
    return family_read(arena, &row, &out->family);
}

struct err grant_of_token(struct store *store, struct arena *arena, const struct refresh_token *token,
                          struct grant *out)
{
    unsigned char id[32];
    family_row_id(refresh_token_grant_id(token), id);
    return grant_read(store, arena, id, refresh_token_grant_id(token), out);
}

struct err grant_of_id(struct store *store, struct arena *arena, const unsigned char id[32], struct grant *out)
{
    return grant_read(store, arena, id, NULL, out);
}

/* Whether it goes on when its user has logged out: the user has allowed the client to act alone (Back-Channel Logout
 * 1.0 section 2.7). */
static bool grant_outlives_logout(const struct granted *granted)
{
    return str_has_word(granted->scope, STR("offline_access"));
}

struct err grant_check_rules(const struct call *call, const struct family *family)
{
    const struct service *service = call->service;
    const struct granted *its = &family->granted;
    const struct claims granted = { .sub = its->sub,
                                    .client_id = family->client_id,
                                    .sid = grant_outlives_logout(its)
                                               ? rule_offline_target(call->request->arena, its->sid)
                                               : its->sid,
                                    .iat = family->issued_at };
    const struct revocations_state state = revocations_state(service->revocations);
    if (state.follows && !state.is_known)
        return failed(ERR_UNAVAILABLE, "it is not known at the moment what other instances have revoked; try again");
    return revocations_refuse_new(service->revocations, &granted)
               ? failed(ERR_INVALID_GRANT, "what the user has granted was revoked")
               : OK;
}

struct str grant_session(const struct call *call, const struct family *family)
{
    static const struct str none = { 0, 0 };
    const struct str sid = family->granted.sid;
    const struct claims of_session = { .sid = sid, .iat = family->issued_at };
    return sid.len == 0 || revocations_refuse_new(call->service->revocations, &of_session) ? none : sid;
}
