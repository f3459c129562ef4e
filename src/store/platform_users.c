/* store/platform_users.c: what the platform knows of its users. */
#include "store/platform.h"
#include "base/hex.h"

static const struct err no_row = { ERR_NOT_FOUND, "the platform knows nothing of that user" };

/* Others are no users of the platform's, and need not be asked for. */
static bool platform_users_is_uuid(struct str id)
{
    enum { LEN = 36 };
    bool is_uuid = id.len == LEN;
    for (size_t i = 0; is_uuid && i < LEN; i++)
        is_uuid = i == 8 || i == 13 || i == 18 || i == 23 ? id.at[i] == '-' : hex_digit(id.at[i]) >= 0;
    return is_uuid;
}

struct err platform_find_user_claims(struct store *store, struct arena *arena, struct str user_id,
                                     const struct json **out)
{
    const struct json *answer = NULL;
    struct buf args;
    if (!platform_users_is_uuid(user_id))
        return no_row;
    platform_begin(&args, arena);
    platform_put_str(&args, "user", user_id);
    TRY(platform_do(store, arena, "token_service_find_user_claims", &args, PLATFORM_REPEATABLE, no_row.why, &answer));
    *out = json_member(answer, STR("claims"));
    return *out && (*out)->kind == JSON_OBJECT
               ? OK
               : failed(ERR_UNAVAILABLE, "the database gave a response that is not understood");
}
