/* oauth/claims_request.c: the members of `claims`, from the outside in. */
#include "oauth/claims_request.h"

static const struct str parts[] = { STR_INIT("userinfo"), STR_INIT("id_token") };

static struct err claims_request_check_claim(const struct json *claim)
{
    const struct json *essential = json_member(claim, STR("essential")), *values = json_member(claim, STR("values"));
    if (claim->kind != JSON_NULL && claim->kind != JSON_OBJECT)
        return failed(ERR_INVALID_REQUEST, "what claims asks of a claim must be null or an object");
    if (essential && essential->kind != JSON_TRUE && essential->kind != JSON_FALSE)
        return failed(ERR_INVALID_REQUEST, "in claims, essential is neither true nor false");
    if (values && (values->kind != JSON_ARRAY || values->count > CLAIMS_REQUEST_VALUES_MAX))
        return failed(ERR_INVALID_REQUEST, "in claims, values is not a list of at most 16");
    return OK;
}

struct err claims_request_check(const struct json *claims)
{
    if (claims->kind != JSON_OBJECT)
        return failed(ERR_INVALID_REQUEST, "claims is not a JSON object");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const struct json *part = json_member(claims, parts[i]);
        if (part && (part->kind != JSON_OBJECT || part->count > CLAIMS_REQUEST_CLAIMS_MAX))
            return failed(ERR_INVALID_REQUEST, "in claims, userinfo and id_token must be objects of at most 64 claims");
        for (const struct json *claim = part ? part->child : NULL; claim; claim = claim->next)
            TRY(claims_request_check_claim(claim));
    }
    return OK;
}

struct err claims_request_read(struct arena *arena, struct str text, const struct json **out)
{
    const struct json *claims = NULL;
    if (text.len > CLAIMS_REQUEST_MAX)
        return failed(ERR_INVALID_REQUEST, "claims is too long");
    if (json_parse(arena, text, &claims).code)
        return failed(ERR_INVALID_REQUEST, "claims is not JSON");
    TRY(claims_request_check(claims));
    *out = claims;
    return OK;
}

bool claims_request_find(const struct json *claims, struct str part, struct str name, struct claim_request *out)
{
    const struct json *claim = json_member(json_member(claims, part), name);
    const struct json *essential = json_member(claim, STR("essential"));
    if (!claim)
        return false;
    *out = (struct claim_request){ .is_essential = essential && essential->kind == JSON_TRUE,
                                   .value = json_member(claim, STR("value")),
                                   .values = json_member(claim, STR("values")) };
    return true;
}

static bool claims_request_is_text(const struct json *value, struct str text)
{
    return value->kind == JSON_STRING && str_eq(value->text, text);
}

bool claim_request_takes(const struct claim_request *asked, struct str value)
{
    if (asked->value && claims_request_is_text(asked->value, value))
        return true;
    for (const struct json *each = asked->values ? asked->values->child : NULL; each; each = each->next)
        if (claims_request_is_text(each, value))
            return true;
    return !asked->value && !asked->values;
}
