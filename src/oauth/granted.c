/* oauth/granted.c: reads and writes it. */
#include "oauth/granted.h"
#include "jose/claims.h"

enum { ITEM_MAX = 512 };

/* --- reading: each says whether the member is as it must be ------------------------------------------------------- */

/* One that must be there, but may be empty. */
static bool granted_need_text(const struct json *body, struct str name, struct str *out)
{
    return json_member(body, name) && json_read_text(body, name, GRANTED_TEXT_MAX, out);
}

static bool granted_read_object(const struct json *body, struct str name, const struct json **out)
{
    *out = json_member(body, name);
    return !*out || (*out)->kind == JSON_OBJECT;
}

bool granted_read(const struct json *body, struct granted *out)
{
    const struct json *auth_time = json_member(body, STR("auth_time"));
    *out = (struct granted){ .auth_time = -1 };
    return granted_need_text(body, STR("scope"), &out->scope) && granted_need_text(body, STR("sub"), &out->sub) &&
           json_read_text(body, STR("sid"), GRANTED_TEXT_MAX, &out->sid) &&
           json_read_text(body, STR("acr"), GRANTED_TEXT_MAX, &out->acr) &&
           json_read_text(body, STR("sector"), GRANTED_TEXT_MAX, &out->sector) &&
           (!auth_time || json_int(auth_time, 0, CLAIMS_TIME_MAX, &out->auth_time)) &&
           json_read_texts(body, STR("resource"), (struct json_texts){ RESOURCES_MAX, 1, ITEM_MAX }, out->resource.of,
                           &out->resource.count) &&
           json_read_texts(body, STR("amr"), (struct json_texts){ GRANTED_AMR_MAX, 1, ITEM_MAX }, out->amr,
                           &out->amr_count) &&
           granted_read_object(body, STR("claims"), &out->claims) && granted_read_object(body, STR("user"), &out->user);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void granted_write_object(struct buf *body, struct str name, const struct json *object)
{
    if (!object)
        return;
    json_write_name(body, name);
    json_write(body, object);
}

void granted_write(struct buf *body, const struct granted *granted)
{
    json_write_text(body, STR("scope"), granted->scope);
    json_write_text(body, STR("sub"), granted->sub);
    json_write_optional(body, STR("sid"), granted->sid);
    json_write_optional(body, STR("acr"), granted->acr);
    json_write_optional(body, STR("sector"), granted->sector);
    if (granted->auth_time >= 0)
        json_write_int(body, STR("auth_time"), granted->auth_time);
    if (granted->resource.count > 0)
        json_write_texts(body, STR("resource"), granted->resource.of, granted->resource.count);
    if (granted->amr_count > 0)
        json_write_texts(body, STR("amr"), granted->amr, granted->amr_count);
    granted_write_object(body, STR("claims"), granted->claims);
    granted_write_object(body, STR("user"), granted->user);
}

bool granted_has_member(struct str name)
{
    static const struct str names[] = { STR_INIT("scope"), STR_INIT("sub"),       STR_INIT("sid"),
                                        STR_INIT("acr"),   STR_INIT("auth_time"), STR_INIT("resource"),
                                        STR_INIT("amr"),   STR_INIT("claims"),    STR_INIT("user"),
                                        STR_INIT("sector") };
    return STR_IS_AMONG(name, names);
}
