/* fuzz/claims.c: claims that are read keep their ranges, are judged by the clock as they should be, and are the same
 * when written and read again. */
#include "fuzz.h"
#include "jose/claims.h"
#include "jose/fold.h"

static bool in_range(int64_t time_s)
{
    return time_s >= 0 && time_s <= CLAIMS_TIME_MAX;
}

static void check_ranges(const struct claims *claims)
{
    PROMISE(claims->iss.at && claims->sub.at && claims->jti.at);
    PROMISE(claims->aud_count >= 1 && claims->aud_count <= CLAIMS_AUD_MAX);
    for (size_t i = 0; i < claims->aud_count; i++)
        PROMISE(claims->aud[i].at && utf8_valid(claims->aud[i]));
    PROMISE(in_range(claims->exp) && in_range(claims->iat) && in_range(claims->nbf));
    PROMISE(claims->auth_time == -1 || in_range(claims->auth_time));
    PROMISE(utf8_valid(claims->iss) && utf8_valid(claims->sub) && !str_has(claims->sub, '\0'));
    PROMISE(claims->all && claims->all->kind == JSON_OBJECT);
}

static void check_clock(const struct claims *claims)
{
    const struct claims_expect expect = { .tolerance_s = 3, .skew_s = 2, .max_age_s = -1 };
    const int64_t moments[] = { 0,           1800000000, CLAIMS_TIME_MAX, claims->exp + 2, claims->exp + 3,
                                claims->nbf, claims->iat };
    for (size_t i = 0; i < sizeof moments / sizeof *moments; i++) {
        int64_t now = moments[i];
        enum err_code code = claims_check(claims, &expect, now).code;
        bool over = now >= claims->exp + 3, early = now + 5 < claims->nbf || now + 5 < claims->iat;
        PROMISE(code == (over ? ERR_TOKEN_EXPIRED : early ? ERR_TOKEN_NOT_YET : ERR_OK));
    }
    struct claims_expect asks = { .max_age_s = -1,
                                  .issuer = claims->iss,
                                  .subject = claims->sub,
                                  .nonce = claims->nonce,
                                  .audience = { claims->aud[claims->aud_count - 1] },
                                  .audience_count = 1 };
    int64_t now = claims->nbf > claims->iat ? claims->nbf : claims->iat;
    if (now < claims->exp) {
        PROMISE(!claims_check(claims, &asks, now).code);
        asks.subject = STR("\x01 nobody");
        PROMISE(str_eq(claims->sub, asks.subject) || claims_check(claims, &asks, now).code == ERR_TOKEN_CLAIM);
    }
}

static void check_writing(struct arena *arena, const struct claims *claims)
{
    for (enum token_kind kind = TOKEN_ACCESS; kind <= TOKEN_ID; kind++) {
        struct claims again;
        struct buf text;
        const struct claims_new new = { .kind = kind,
                                        .iss = claims->iss,
                                        .sub = claims->sub,
                                        .jti = claims->jti,
                                        .client_id = claims->client_id.at ? claims->client_id : STR("c"),
                                        .scope = claims->scope,
                                        .nonce = claims->nonce,
                                        .aud = claims->aud,
                                        .aud_count = claims->aud_count,
                                        .iat = claims->iat,
                                        .exp = claims->exp,
                                        .auth_time = claims->auth_time };
        buf_init(&text, arena, 1024, 1 << 22);
        claims_write(&text, &new);
        PROMISE(!text.overflowed && !claims_read(arena, buf_str(&text), &again).code);
        PROMISE(str_eq(again.iss, new.iss) && str_eq(again.sub, new.sub) && str_eq(again.jti, new.jti));
        PROMISE(again.exp == new.exp &&again.iat == new.iat &&again.nbf == new.iat &&again.auth_time == new.auth_time);
        PROMISE(again.aud_count == new.aud_count &&str_eq(again.aud[0], new.aud[0]));
        PROMISE(kind == TOKEN_ID || str_eq(again.scope, new.scope)); /* "" and none are the same */
    }
}

/* What is folded stays folded, is valid, and never longer than was made room for. */
static void check_folding(struct arena *arena, const struct json *object)
{
    for (const struct json *each = object->child; each; each = each->next) {
        struct str once = name_fold(arena, each->name), twice = name_fold(arena, once);
        PROMISE(utf8_valid(once) && str_eq(once, twice) && once.len <= 3 * each->name.len);
    }
    (void)names_clash(arena, object);
}

/* Any object without a registered name may be a token's custom claims; none of it may reach the registered ones. */
static void check_custom(struct arena *arena, const struct json *custom)
{
    static const struct str one = { "a", 1 };
    struct claims claims;
    struct buf text;
    if (custom->kind != JSON_OBJECT || custom->count > JSON_MEMBERS_MAX - 16)
        return;
    for (const struct json *each = custom->child; each; each = each->next)
        if (claims_is_registered(arena, each->name))
            return;
    check_folding(arena, custom);
    const struct claims_new new = { .kind = TOKEN_ACCESS,
                                    .iss = STR("i"),
                                    .sub = STR("s"),
                                    .jti = STR("j"),
                                    .client_id = STR("c"),
                                    .scope = STR("x"),
                                    .aud = &one,
                                    .aud_count = 1,
                                    .iat = 1,
                                    .exp = 2,
                                    .auth_time = -1,
                                    .custom = custom };
    buf_init(&text, arena, 1024, 1 << 22);
    claims_write(&text, &new);
    if (claims_read(arena, buf_str(&text), &claims).code) /* the whole may have too many values or be nested too deep */
        return;
    PROMISE(str_eq(claims.iss, STR("i")) && str_eq(claims.sub, STR("s")) && claims.exp == 2 && claims.aud_count == 1);
    PROMISE(claims.all->count == custom->count + 10);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct claims claims;
    const struct json *json;
    arena_init(&arena, NULL, 0);
    struct err err = claims_read(&arena, input_of(data, size), &claims);
    PROMISE(!err.code || err.code == ERR_TOKEN_MALFORMED || err.code == ERR_TOKEN_CLAIM);
    if (!err.code) {
        check_ranges(&claims);
        check_clock(&claims);
        check_writing(&arena, &claims);
    }
    bool is_json = !json_parse(&arena, input_of(data, size), &json).code;
    PROMISE(is_json || err.code == ERR_TOKEN_MALFORMED);
    if (is_json)
        check_custom(&arena, json);
    arena_release(&arena);
    return 0;
}
