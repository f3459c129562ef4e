/* service/authority.c: a token beside its caller. */
#include "service/authority.h"
#include "jose/claims.h"
#include "service/authn.h"

/* The service's own scopes begin with one of these; whatever a later operation needs must as well. */
static const struct str own_scopes[] = { STR_INIT("token:"), STR_INIT("keys:"), STR_INIT("clients:"),
                                         STR_INIT("logins:"), STR_INIT("sessions:") };

bool authority_is_own_scope(struct str word)
{
    for (size_t i = 0; i < sizeof own_scopes / sizeof *own_scopes; i++)
        if (str_has_prefix(word, own_scopes[i]))
            return true;
    return false;
}

bool authority_is_clients(const struct claims *claims)
{
    return claims->client_id.at && str_eq(claims->sub, claims->client_id) && !json_member(claims->all, STR("sid")) &&
           !json_member(claims->all, STR("act"));
}

struct err authority_to_issue(const struct caller *caller)
{
    const struct bearer *bearer = caller->bearer;
    if (bearer && !bearer->is_clients)
        return failed(ERR_INSUFFICIENT_SCOPE, "a user's token can't be used to issue tokens");
    if (bearer && bearer->is_child)
        return failed(ERR_INSUFFICIENT_SCOPE, "a token that was issued with a token can't be used to issue tokens");
    return OK;
}

/* Not what the role admin adds: that is no scope. */
static bool authority_has_scope(const struct caller *caller, struct str word)
{
    return caller && str_has_word(caller->scopes, word) && str_has_word(caller->token_scopes, word);
}

static struct err authority_check_scope(const struct caller *caller, struct str scope)
{
    struct str word;
    while (str_next_word(&scope, &word)) {
        if (caller && caller->bearer && !authority_has_scope(caller, word))
            return failed(ERR_INVALID_SCOPE, "the caller's own token lacks a scope that was asked for");
        if (authority_is_own_scope(word) && !authority_has_scope(caller, word))
            return failed(ERR_INVALID_SCOPE, "only a caller that has a scope of this service can pass it on");
    }
    return OK;
}

/* The role admin is two scopes in a claim (struct caller): a caller that gives it must have both. */
static struct err authority_check_role(const struct caller *caller, const struct json *custom)
{
    const struct json *role = json_member(custom, STR("role"));
    bool is_admin = role && role->kind == JSON_STRING && str_eq(role->text, STR("admin"));
    if (is_admin && !(caller && caller_may(caller, STR("keys:rotate")) && caller_may(caller, STR("token:revoke:any"))))
        return failed(ERR_INSUFFICIENT_SCOPE,
                      "only a caller that may do what the role admin allows can give that role");
    return OK;
}

/* Nobody who issues for everybody is bound by the audience of its own token; nor are the kinds that no resource takes.
 */
static struct err authority_check_audience(const struct caller *caller, const struct claims_new *claims)
{
    if (!caller || !caller->bearer || claims->kind != TOKEN_ACCESS || caller_may(caller, STR("token:issue:any")))
        return OK;
    for (size_t i = 0; i < claims->aud_count; i++)
        if (!str_is_among(claims->aud[i], caller->bearer->aud, caller->bearer->aud_count))
            return failed(ERR_INVALID_TARGET, "the caller's own token is not for an audience that was asked for");
    return OK;
}

struct err authority_check(const struct caller *caller, const struct claims_new *claims)
{
    if (caller && caller->is_operator)
        return OK;
    if (caller)
        TRY(authority_to_issue(caller));
    TRY(authority_check_scope(caller, claims->scope));
    TRY(authority_check_role(caller, claims->custom));
    TRY(authority_check_audience(caller, claims));
    if (caller && caller->bearer && claims->exp > caller->bearer->exp)
        return failed(ERR_INVALID_REQUEST, "the token would outlive the caller's own token");
    return OK;
}

struct err authority_check_client(const struct caller *caller, struct str scopes)
{
    if (caller->is_operator)
        return OK;
    if (caller->bearer && (!caller->bearer->is_clients || caller->bearer->is_child))
        return failed(ERR_INSUFFICIENT_SCOPE,
                      "only a client's own token, not issued with another token, can be used to change clients");
    return authority_check_scope(caller, scopes);
}

int64_t authority_lasts_s(const struct caller *caller, int64_t now_s)
{
    return caller && caller->bearer ? caller->bearer->exp - now_s : INT64_MAX;
}
