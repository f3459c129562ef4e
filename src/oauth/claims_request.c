/* oauth/claims_request.c: the members of `claims`, from the outside in. */
#include "oauth/claims_request.h"
#include "oauth/standard_claims.h"

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

/* --- by scope ----------------------------------------------------------------------------------------------------- */

/* Empty: the claim is none of the standard ones, and part of no scope. */
static struct str claims_request_scope_of(struct str name)
{
    const struct standard_claim *standard = standard_claim_named(name);
    return standard ? standard->scope : STR("");
}

/* Behind `after`: the place for the next one. */
static const struct json **claims_request_append(struct arena *arena, const struct json **after, struct json *object,
                                                 const struct json *member)
{
    struct json *copy = arena_alloc(arena, sizeof *copy);
    *copy = *member;
    copy->next = NULL;
    *after = copy;
    object->count++;
    return &copy->next;
}

static struct json claims_request_empty(struct str name)
{
    return (struct json){ .kind = JSON_OBJECT, .name = name, .text = STR("{}") };
}

static struct json claims_request_part_within(struct arena *arena, const struct json *part, struct str scope)
{
    struct json out = claims_request_empty(part->name);
    const struct json **after = &out.child;
    for (const struct json *claim = part->child; claim; claim = claim->next) {
        const struct str word = claims_request_scope_of(claim->name);
        if (word.len == 0 || str_has_word(scope, word))
            after = claims_request_append(arena, after, &out, claim);
    }
    return out;
}

const struct json *claims_request_within(struct arena *arena, const struct json *claims, struct str scope)
{
    struct json *out = arena_alloc(arena, sizeof *out);
    const struct json **after = &out->child;
    if (!claims)
        return NULL;
    *out = claims_request_empty(claims->name);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const struct json *part = json_member(claims, parts[i]);
        if (!part)
            continue;
        const struct json within = claims_request_part_within(arena, part, scope);
        after = claims_request_append(arena, after, out, &within);
    }
    return out;
}

struct str claims_request_scopes(struct arena *arena, const struct json *claims, struct str scope)
{
    struct buf words;
    buf_init(&words, arena, scope.len + 64, scope.len + 64);
    buf_add(&words, scope);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const struct json *part = json_member(claims, parts[i]);
        for (const struct json *claim = part ? part->child : NULL; claim; claim = claim->next) {
            const struct str word = claims_request_scope_of(claim->name);
            if (word.len > 0 && !str_has_word(buf_str(&words), word))
                buf_add_word(&words, word);
        }
    }
    return buf_str(&words);
}
