/* fuzz/jwk_set.c: of any key set, only public keys are kept, no more than there is room for, each with its own kid and
 * fit to be written again; a set with a private or symmetric key in it never is. */
#include "fuzz.h"
#include "jose/jwk_set.h"

static bool has_private(const struct json *set)
{
    const struct json *keys = json_member(set, STR("keys"));
    for (const struct json *each = keys ? keys->child : NULL; each; each = each->next)
        if (jwk_is_private(each))
            return true;
    return false;
}

static bool has_kid(const struct json *set, struct str kid)
{
    const struct json *keys = json_member(set, STR("keys"));
    for (const struct json *each = keys->child; each; each = each->next) {
        const struct json *name = json_member(each, STR("kid"));
        if (kid.at ? name && str_eq(name->text, kid) : !name)
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    AUTO(jwk_set_freep) struct jwk_set *set = NULL;
    const struct json *json = NULL;
    arena_init(&arena, NULL, 0);
    const struct err err = jwk_set_parse(&arena, input_of(data, size), &set);
    PROMISE((err.code != ERR_OK) == (set == NULL));
    PROMISE(!err.code || (err.code == ERR_INVALID_REQUEST && err.why));
    if (set) {
        PROMISE(!json_parse(&arena, input_of(data, size), &json).code && !has_private(json));
        PROMISE(set->count <= JWK_SET_MAX);
    }
    for (size_t i = 0; set && i < set->count; i++) {
        AUTO(jwk_freep) struct jwk *again = NULL;
        struct buf text;
        buf_init(&text, &arena, 512, 8192);
        jwk_write_public(set->of[i].key, &text);
        PROMISE(!set->of[i].key->has_private && has_kid(json, set->of[i].kid));
        PROMISE(!jwk_parse_public(&arena, buf_str(&text), &again).code && again->alg == set->of[i].key->alg);
    }
    arena_release(&arena);
    return 0;
}
