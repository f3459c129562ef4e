/* oauth/refresh.c: the refresh token grant, RFC 6749 section 6: reads the family, does what family_decide() says, and
 * stores the family as it is then. docs/refresh-tokens.md has the rules. When another request was faster, the store
 * says so, and this is run again (service_record). */
#include "base/settings.h"
#include "oauth/grant.h"
#include "oauth/token_endpoint.h"
#include "oauth/tokens.h"
#include "observe/log.h"
#include "revocation/revocations.h"
#include "service/call.h"
#include "service/service.h"
#include "store/store.h"

/* One use of one token. */
struct refresh {
    const struct token_request *request;
    struct item item;     /* the family as it was read */
    struct family family; /* and as it becomes */
    struct family_terms terms;
    struct refresh_token token, next; /* what came, and what is answered */
};

static void refresh_wipe(struct refresh *refresh)
{
    family_wipe(&refresh->family);
    refresh_token_wipe(&refresh->token);
    refresh_token_wipe(&refresh->next);
}

static const struct err no_grant = { ERR_INVALID_GRANT, "the refresh token is not good, or not this client's" };

static struct err refresh_read(struct refresh *refresh)
{
    const struct call *call = refresh->request->call;
    struct grant grant;
    if (!refresh_token_read(form_value(&call->form, STR("refresh_token")), &refresh->token))
        return no_grant;
    const struct err err = grant_of_token(call->service->store, call->request->arena, &refresh->token, &grant);
    if (err.code == ERR_NOT_FOUND)
        return no_grant;
    TRY(err);
    refresh->item = grant.item;
    refresh->family = grant.family;
    family_wipe(&grant.family);
    return OK;
}

/* What the clock of this machine says, unless it would end the family: that is for the clock which all share, and not
 * for one that is known to have stepped. ERR_UNAVAILABLE: the shared one can't be read, so nothing is ended. */
static struct err refresh_decide(const struct refresh *refresh, enum family_verdict *verdict)
{
    const struct call *call = refresh->request->call;
    struct store *store = call->service->store;
    int64_t shared_ms;
    *verdict = family_decide(&refresh->family, &refresh->token, &refresh->terms, call->request->now_s);
    if (*verdict != FAMILY_REUSED)
        return OK;
    if (store->ops->now) {
        TRY(store->ops->now(store, &shared_ms));
        *verdict = family_decide(&refresh->family, &refresh->token, &refresh->terms, shared_ms / 1000);
        return OK;
    }
    const long long stepped_s = atomic_load(&call->service->state.clock_step_s);
    if (stepped_s > 0 && call->request->now_s - stepped_s < CLOCK_DOUBT_S)
        *verdict = FAMILY_UNKNOWN;
    return OK;
}

/* The family ends, in memory at once, and in the store with the response, which is an error. */
static struct err refresh_revoke(struct refresh *refresh)
{
    struct call *call = refresh->request->call;
    struct arena *arena = call->request->arena;
    struct item item = refresh->item;
    family_revoke(&refresh->family, STR("refresh token reused"), call->request->now_s);
    TRY(family_write(&refresh->family, arena, &item.body));
    call_record_always(call, item_put(arena, &item, item.version, NULL));
    TRY(tokens_revoke_grant(call, item.id, refresh->family.revocation_reason));
    return no_grant;
}

/* Stores the family as it has become. */
static struct err refresh_store(struct refresh *refresh, struct token_answer *answer)
{
    struct arena *arena = refresh->request->call->request->arena;
    struct item item = refresh->item;
    TRY(family_write(&refresh->family, arena, &item.body));
    answer->records = item_put(arena, &item, item.version, answer->records);
    return OK;
}

/* Which token the client has after this, and whether the family has changed. */
static struct err refresh_use(struct refresh *refresh, bool *changed)
{
    const int64_t now_s = refresh->request->call->request->now_s;
    enum family_verdict verdict;
    *changed = false;
    TRY(refresh_decide(refresh, &verdict));
    LOG(LOG_DEBUG, "refresh", LOG_STR("request_id", refresh->request->call->request->id),
        LOG_STR("client_id", refresh->terms.client_id), LOG_TEXT_("verdict", family_verdict_name(verdict)));
    switch (verdict) {
    case FAMILY_ROTATE:
        *changed = true;
        return family_rotate(&refresh->family, &refresh->token, &refresh->terms, now_s, &refresh->next);
    case FAMILY_KEEP:
        refresh->next = refresh->token;
        *changed = family_keep(&refresh->family, &refresh->terms, now_s);
        return OK;
    case FAMILY_AGAIN:
        return family_open(&refresh->family, &refresh->token, &refresh->next);
    case FAMILY_REUSED:
        return refresh_revoke(refresh);
    case FAMILY_UNKNOWN:
    case FAMILY_REVOKED:
    case FAMILY_ENDED:
        break;
    }
    return no_grant;
}

struct err grant_refresh_token(const struct token_request *request, struct token_answer *answer)
{
    AUTO(refresh_wipe) struct refresh refresh = { .request = request };
    struct arena *arena = request->call->request->arena;
    bool changed = false;
    if (!form_value(&request->call->form, STR("refresh_token")).at)
        return failed(ERR_INVALID_REQUEST, "the parameter refresh_token is missing");
    TRY(refresh_read(&refresh));
    refresh.terms = tokens_terms(request);
    const struct err revoked = grant_check_rules(request->call, &refresh.family);
    if (revoked.code)
        return revoked.code == ERR_INVALID_GRANT ? no_grant : revoked;
    TRY(refresh_use(&refresh, &changed));
    TRY(tokens_issue(request, &refresh.family, STR(""), answer));
    answer->refresh_token = arena_copy(arena, refresh_token_text(&refresh.next));
    return changed ? refresh_store(&refresh, answer) : OK;
}
