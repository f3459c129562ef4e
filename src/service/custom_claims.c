/* service/custom_claims.c: each claim by its name, as a careless reader would take it. */
#include "service/custom_claims.h"
#include "base/settings.h"
#include "jose/claims.h"
#include "jose/fold.h"
#include "service/authn.h"

/* Beside those of TOKEN_PRIVILEGED_CLAIMS. `acr` and `amr` say how well somebody was authenticated. */
static const struct str always_privileged = STR_INIT("role,acr,amr");

/* The privileged claim that this is, or that a reader could take it for; at == NULL: none. */
static struct str custom_claims_privileged_name(const struct settings *settings, struct arena *arena, struct str name)
{
    struct str folded = name_fold(arena, name), one;
    struct str lists[] = { always_privileged, str_of(settings->privileged_claims) };
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
        while (str_next_item(&lists[i], ',', &one))
            if (str_eq(name_fold(arena, str_trim(one)), folded))
                return str_trim(one);
    return (struct str){ 0, 0 };
}

static struct err custom_claims_claim_wrong(struct arena *arena, struct str name, const char *what)
{
    enum { SHOWN_MAX = 64 };
    bool shown = name.len <= SHOWN_MAX;
    for (size_t i = 0; i < name.len && shown; i++)
        shown = name.at[i] >= ' ' && name.at[i] <= '~';
    return failed(ERR_INVALID_REQUEST,
                  shown ? arena_printf(arena, "the claim \"%.*s\" %s", (int)name.len, name.at, what).at
                        : arena_printf(arena, "a claim %s", what).at);
}

static struct err custom_claims_check_one(const struct settings *settings, struct arena *arena,
                                          const struct caller *caller, const struct json *claim)
{
    if (claims_is_registered(arena, claim->name))
        return custom_claims_claim_wrong(arena, claim->name, "belongs to the service and can't be set");
    if (str_eq(claim->name, STR("sid")) && claim->kind != JSON_STRING) /* or no rule would meet its session */
        return custom_claims_claim_wrong(arena, claim->name, "must be a string");
    struct str privileged = custom_claims_privileged_name(settings, arena, claim->name);
    if (!privileged.at)
        return OK;
    if (caller && !caller_may(caller, STR("token:issue:privileged")))
        return failed(ERR_INSUFFICIENT_SCOPE, "a privileged claim needs the scope token:issue:privileged");
    return str_eq(privileged, claim->name)
               ? OK
               : custom_claims_claim_wrong(arena, claim->name, "would be mistaken for a privileged one");
}

struct err custom_claims_check(const struct settings *settings, struct arena *arena, const struct caller *caller,
                               const struct json *claims)
{
    for (const struct json *claim = claims ? claims->child : NULL; claim; claim = claim->next)
        TRY(custom_claims_check_one(settings, arena, caller, claim));
    if (claims && names_clash(arena, claims))
        return failed(ERR_INVALID_REQUEST, "two claims, or two members of one, have names that differ only in case");
    return OK;
}
