/* oauth/user_claims.c: chooses them. */
#include "oauth/user_claims.h"
#include "jose/claims.h"
#include "oauth/claims_request.h"
#include "oauth/oauth.h"
#include "oauth/password_login.h"
#include "oauth/standard_claims.h"
#include "service/call.h"
#include "service/service.h"

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

static bool user_claims_may_have(const struct json *claim, const struct granted *granted, struct str part,
                                 struct str scope)
{
    const struct standard_claim *standard = standard_claim_named(claim->name);
    struct claim_request asked;
    return (standard && str_has_word(scope, standard->scope)) ||
           claims_request_find(granted->claims, part, claim->name, &asked);
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
        if (user_claims_is_the_tokens(out->arena, claim->name) || !user_claims_may_have(claim, granted, part, scope))
            continue;
        if (out->at[out->len - 1] != '{')
            buf_add_char(out, ',');
        json_write_str(out, claim->name);
        buf_add_char(out, ':');
        json_write(out, claim);
    }
}
