/* oauth/user_claims.c: chooses them. */
#include "oauth/user_claims.h"
#include "jose/claims.h"
#include "oauth/claims_request.h"
#include "oauth/kept_claims.h"
#include "oauth/oauth.h"
#include "oauth/password_login.h"
#include "oauth/standard_claims.h"
#include "service/call.h"
#include "service/service.h"
#include "store/store.h"

struct err user_claims_find(const struct call *call, const struct granted *granted, const struct json **out)
{
    struct password_login *login = call->service->oauth->password_login;
    struct arena *arena = call->request->arena;
    struct user user;
    *out = granted->user;
    if (!login)
        return OK;
    TRY(password_login_find(login, arena, granted->sub, &user));
    return json_parse(arena, user.claims, out);
}

/* Whoever logs users in may have sent anything by the name of a standard claim, which clients read as what it is. */
static bool user_claims_is_fit(const struct json *claim)
{
    const struct standard_claim *standard = standard_claim_named(claim->name);
    return !standard || standard_claim_takes(standard, claim);
}

static bool user_claims_may_have(struct str name, const struct granted *granted, struct str part, struct str scope)
{
    const struct standard_claim *standard = standard_claim_named(name);
    struct claim_request asked;
    return (standard && str_has_word(scope, standard->scope)) ||
           claims_request_find(granted->claims, part, name, &asked);
}

static bool user_claims_lack_one(const struct json *user, const struct granted *granted, struct str part,
                                 struct str scope)
{
    for (size_t i = 0; i < standard_claims_count; i++) {
        const struct str name = standard_claims[i].name;
        if (user_claims_may_have(name, granted, part, scope) && !(user && json_member(user, name)))
            return true;
    }
    return false;
}

struct err user_claims_add_kept(const struct call *call, const struct granted *granted, struct str part,
                                struct str scope, const struct json **user)
{
    struct store *store = call->service->store;
    struct arena *arena = call->request->arena;
    const struct json *columns = NULL;
    if (!store->ops->find_user_claims || !user_claims_lack_one(*user, granted, part, scope))
        return OK;
    const struct err err = store->ops->find_user_claims(store, arena, granted->sub, &columns);
    if (err.code == ERR_NOT_FOUND)
        return OK;
    TRY(err);
    return kept_claims_join(arena, columns, *user, user);
}

/* What tokens say of themselves and of the login, whatever a login service says of its user. */
static bool user_claims_is_the_tokens(struct arena *arena, struct str name)
{
    return claims_is_registered(arena, name) || str_eq(name, STR("sid")) || str_eq(name, STR("acr")) ||
           str_eq(name, STR("amr"));
}

void user_claims_write(struct buf *out, const struct json *user, const struct granted *granted, struct str part,
                       struct str scope)
{
    for (const struct json *claim = user ? user->child : NULL; claim; claim = claim->next) {
        if (user_claims_is_the_tokens(out->arena, claim->name) || !user_claims_is_fit(claim) ||
            !user_claims_may_have(claim->name, granted, part, scope))
            continue;
        if (out->at[out->len - 1] != '{')
            buf_add_char(out, ',');
        json_write_str(out, claim->name);
        buf_add_char(out, ':');
        json_write(out, claim);
    }
}
