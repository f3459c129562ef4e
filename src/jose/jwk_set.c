/* jose/jwk_set.c: key by key. */
#include "jose/jwk_set.h"
#include <stdlib.h>

void jwk_set_free(struct jwk_set *set)
{
    if (!set)
        return;
    for (size_t i = 0; i < set->count; i++)
        jwk_free(set->of[i].key);
    arena_release(&set->arena);
    free(set);
}

static struct err jwk_set_add(struct arena *arena, const struct json *jwk, struct jwk_set *set)
{
    struct jwk *key = NULL;
    const struct json *kid = json_member(jwk, STR("kid"));
    if (jwk->kind != JSON_OBJECT)
        return failed(ERR_INVALID_REQUEST, "a key of the JWK Set is not a JSON object");
    if (jwk_is_private(jwk))
        return failed(ERR_INVALID_REQUEST, "the JWK Set holds a private or symmetric key");
    if (jwk_parse_public(arena, jwk->text, &key).code)
        return OK;
    if (set->count == JWK_SET_MAX) {
        jwk_free(key);
        return failed(ERR_INVALID_REQUEST, "the JWK Set has more than 32 keys");
    }
    set->of[set->count++] = (struct jwk_of_set){ kid ? arena_copy(&set->arena, kid->text) : (struct str){ 0, 0 }, key };
    return OK;
}

struct err jwk_set_parse(struct arena *arena, struct str text, struct jwk_set **out)
{
    const struct json *json;
    TRY(json_parse(arena, text, &json));
    const struct json *keys = json_member(json, STR("keys"));
    if (!keys || keys->kind != JSON_ARRAY)
        return failed(ERR_INVALID_REQUEST, "a JWK Set is a JSON object with a list \"keys\"");
    AUTO(jwk_set_freep) struct jwk_set *set = mem_alloc(sizeof *set);
    *set = (struct jwk_set){ .count = 0 };
    for (const struct json *each = keys->child; each; each = each->next)
        TRY(jwk_set_add(arena, each, set));
    *out = set;
    set = NULL;
    return OK;
}
