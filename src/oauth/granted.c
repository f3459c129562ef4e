/* oauth/granted.c: reads and writes it. */
#include "oauth/granted.h"
#include "jose/claims.h"

enum { ITEM_MAX = 512 };

/* --- reading: each says whether the member is as it must be ------------------------------------------------------- */

/* Left alone when it isn't there. */
static bool granted_read_text(const struct json *body, struct str name, struct str *out)
{
    const struct json *value = json_member(body, name);
    if (!value)
        return true;
    if (value->kind != JSON_STRING || value->text.len > GRANTED_TEXT_MAX)
        return false;
    *out = value->text;
    return true;
}

/* One that must be there, but may be empty. */
static bool granted_need_text(const struct json *body, struct str name, struct str *out)
{
    return json_member(body, name) && granted_read_text(body, name, out);
}

/* A list of texts that are not empty. */
static bool granted_read_list(const struct json *body, struct str name, struct str *out, size_t max, size_t *count)
{
    const struct json *list = json_member(body, name);
    if (!list)
        return true;
    if (list->kind != JSON_ARRAY || list->count > max)
        return false;
    for (const struct json *each = list->child; each; each = each->next) {
        if (each->kind != JSON_STRING || each->text.len == 0 || each->text.len > ITEM_MAX)
            return false;
        out[(*count)++] = each->text;
    }
    return true;
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
           granted_read_text(body, STR("sid"), &out->sid) && granted_read_text(body, STR("acr"), &out->acr) &&
           granted_read_text(body, STR("sector"), &out->sector) &&
           (!auth_time || json_int(auth_time, 0, CLAIMS_TIME_MAX, &out->auth_time)) &&
           granted_read_list(body, STR("resource"), out->resource.of, RESOURCES_MAX, &out->resource.count) &&
           granted_read_list(body, STR("amr"), out->amr, GRANTED_AMR_MAX, &out->amr_count) &&
           granted_read_object(body, STR("claims"), &out->claims) && granted_read_object(body, STR("user"), &out->user);
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void granted_write_text(struct buf *body, struct str name, struct str text)
{
    if (text.len == 0)
        return;
    json_write_name(body, name);
    json_write_str(body, text);
}

static void granted_write_list(struct buf *body, struct str name, const struct str *list, size_t count)
{
    if (count == 0)
        return;
    json_write_name(body, name);
    for (size_t i = 0; i < count; i++) {
        buf_add_char(body, i == 0 ? '[' : ',');
        json_write_str(body, list[i]);
    }
    buf_add_char(body, ']');
}

static void granted_write_object(struct buf *body, struct str name, const struct json *object)
{
    if (!object)
        return;
    json_write_name(body, name);
    json_write(body, object);
}

void granted_write(struct buf *body, const struct granted *granted)
{
    json_write_name(body, STR("scope"));
    json_write_str(body, granted->scope);
    json_write_name(body, STR("sub"));
    json_write_str(body, granted->sub);
    granted_write_text(body, STR("sid"), granted->sid);
    granted_write_text(body, STR("acr"), granted->acr);
    granted_write_text(body, STR("sector"), granted->sector);
    if (granted->auth_time >= 0) {
        json_write_name(body, STR("auth_time"));
        buf_add_int(body, granted->auth_time);
    }
    granted_write_list(body, STR("resource"), granted->resource.of, granted->resource.count);
    granted_write_list(body, STR("amr"), granted->amr, granted->amr_count);
    granted_write_object(body, STR("claims"), granted->claims);
    granted_write_object(body, STR("user"), granted->user);
}

bool granted_has_member(struct str name)
{
    static const struct str names[] = { STR_INIT("scope"), STR_INIT("sub"),       STR_INIT("sid"),
                                        STR_INIT("acr"),   STR_INIT("auth_time"), STR_INIT("resource"),
                                        STR_INIT("amr"),   STR_INIT("claims"),    STR_INIT("user"),
                                        STR_INIT("sector") };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (str_eq(names[i], name))
            return true;
    return false;
}
