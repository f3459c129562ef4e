/* oauth/family_body.c: a refresh family as the JSON of its row. Hashes are in hexadecimal, as the platform's tables
 * have them, and other bytes in base64url. */
#include "base/hex.h"
#include "jose/b64.h"
#include "jose/claims.h"
#include "oauth/family.h"

static const struct str members[] = {
    STR_INIT("token_hash"), STR_INIT("previous_token_hash"), STR_INIT("rotation_count"),
    STR_INIT("issued_at"),  STR_INIT("idle_expires_at"),     STR_INIT("revoked_at"),
    STR_INIT("reuse_key"),  STR_INIT("revocation_reason"),   STR_INIT("successors"),
};

/* --- reading: each says whether the member is as it must be ------------------------------------------------------- */

static bool family_body_read_number(const struct json *body, struct str name, int64_t max, int64_t *out)
{
    const struct json *value = json_member(body, name);
    return !value || json_int(value, 0, max, out);
}

/* One that must be there. */
static bool family_body_need_number(const struct json *body, struct str name, int64_t max, int64_t *out)
{
    return json_int(json_member(body, name), 0, max, out);
}

static bool family_body_need_hash(const struct json *body, struct str name, unsigned char out[32])
{
    const struct json *value = json_member(body, name);
    return value && value->kind == JSON_STRING && hex_read(value->text, out, 32);
}

/* Exactly `len` bytes of base64url. */
static bool family_body_need_bytes(const struct json *body, struct str name, unsigned char *out, size_t len)
{
    enum { ROOM = 128 };
    const struct json *value = json_member(body, name);
    char bytes[ROOM + 2];
    size_t got = 0;
    bool good = len <= ROOM && value && value->kind == JSON_STRING && value->text.len == b64url_encoded_len(len) &&
                b64url_decode(value->text, bytes, &got) && got == len;
    if (good)
        memcpy(out, bytes, len);
    mem_wipe(bytes, sizeof bytes);
    return good;
}

static bool family_body_read_successors(const struct json *body, struct family *out)
{
    const struct json *list = json_member(body, STR("successors"));
    if (!list)
        return true;
    if (list->kind != JSON_ARRAY || list->count > FAMILY_SUCCESSORS_MAX)
        return false;
    for (const struct json *each = list->child; each; each = each->next) {
        struct successor *entry = &out->successors[out->successor_count++];
        if (!family_body_need_hash(each, STR("follows"), entry->follows) ||
            !family_body_need_bytes(each, STR("sealed"), entry->sealed, sizeof entry->sealed) ||
            !family_body_need_number(each, STR("used_at"), CLAIMS_TIME_MAX, &entry->used_at))
            return false;
    }
    return true;
}

static bool family_body_read_state(const struct json *body, struct family *out)
{
    return family_body_need_hash(body, STR("token_hash"), out->token_hash) &&
           family_body_need_number(body, STR("rotation_count"), UINT32_MAX, &out->rotation_count) &&
           (out->rotation_count == 0 ||
            family_body_need_hash(body, STR("previous_token_hash"), out->previous_token_hash)) &&
           family_body_need_bytes(body, STR("reuse_key"), out->reuse_key, sizeof out->reuse_key) &&
           family_body_need_number(body, STR("issued_at"), CLAIMS_TIME_MAX, &out->issued_at) &&
           family_body_need_number(body, STR("idle_expires_at"), CLAIMS_TIME_MAX, &out->idle_expires_at) &&
           family_body_read_number(body, STR("revoked_at"), CLAIMS_TIME_MAX, &out->revoked_at) &&
           json_read_text(body, STR("revocation_reason"), FAMILY_REASON_MAX, &out->revocation_reason) &&
           family_body_read_successors(body, out);
}

struct err family_read(struct arena *arena, const struct family_row *row, struct family *out)
{
    const struct json *body = NULL;
    if (row->body.len > FAMILY_BODY_MAX || json_parse(arena, row->body, &body).code || body->kind != JSON_OBJECT)
        return failed(ERR_INTERNAL, "the row of a grant is no JSON object");
    *out = (struct family){ .client_id = row->client_id, .expires_at = row->expires_at, .others = body };
    if (row->grant_id)
        memcpy(out->grant_id, row->grant_id, GRANT_ID_LEN);
    if (family_body_read_state(body, out) && granted_read(body, &out->granted))
        return OK;
    family_wipe(out);
    return failed(ERR_INTERNAL, "the row of a grant lacks a member, or has one of another form");
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void family_body_write_hash(struct buf *body, struct str name, const unsigned char hash[32])
{
    char digits[2 * 32 + 1];
    json_write_text(body, name, hex_write(hash, 32, digits));
}

static void family_body_write_bytes(struct buf *body, struct str name, const unsigned char *bytes, size_t len)
{
    json_write_name(body, name);
    buf_add_char(body, '"');
    b64url_add(body, (struct str){ (const char *)bytes, len });
    buf_add_char(body, '"');
}

static void family_body_write_successors(struct buf *body, const struct family *family)
{
    json_write_name(body, STR("successors"));
    buf_add_char(body, '[');
    for (size_t i = 0; i < family->successor_count; i++) {
        const struct successor *entry = &family->successors[i];
        buf_add(body, i == 0 ? STR("{") : STR(",{"));
        family_body_write_hash(body, STR("follows"), entry->follows);
        family_body_write_bytes(body, STR("sealed"), entry->sealed, sizeof entry->sealed);
        json_write_int(body, STR("used_at"), entry->used_at);
        buf_add_char(body, '}');
    }
    buf_add_char(body, ']');
}

static void family_body_write_state(struct buf *body, const struct family *family)
{
    family_body_write_hash(body, STR("token_hash"), family->token_hash);
    if (family->rotation_count > 0)
        family_body_write_hash(body, STR("previous_token_hash"), family->previous_token_hash);
    json_write_int(body, STR("rotation_count"), family->rotation_count);
    family_body_write_bytes(body, STR("reuse_key"), family->reuse_key, sizeof family->reuse_key);
    json_write_int(body, STR("issued_at"), family->issued_at);
    json_write_int(body, STR("idle_expires_at"), family->idle_expires_at);
    if (family->revoked_at > 0) {
        json_write_int(body, STR("revoked_at"), family->revoked_at);
        json_write_optional(body, STR("revocation_reason"), family->revocation_reason);
    }
    family_body_write_successors(body, family);
}

static bool family_body_knows(struct str name)
{
    return STR_IS_AMONG(name, members) || granted_has_member(name);
}

/* What another version wrote, perhaps the newer one of two that serve together: a bound that is not understood here
 * must not get lost here. */
static void family_body_write_others(struct buf *body, const struct json *others)
{
    for (const struct json *each = others ? others->child : NULL; each; each = each->next) {
        if (family_body_knows(each->name))
            continue;
        buf_add_char(body, ',');
        json_write_str(body, each->name);
        buf_add_char(body, ':');
        json_write(body, each);
    }
}

struct err family_write(const struct family *family, struct arena *arena, struct str *out)
{
    struct buf body;
    buf_init(&body, arena, 2048, FAMILY_BODY_MAX);
    buf_add_char(&body, '{');
    family_body_write_state(&body, family);
    granted_write(&body, &family->granted);
    family_body_write_others(&body, family->others);
    buf_add_char(&body, '}');
    if (body.overflowed)
        return failed(ERR_TOO_LARGE, "what a grant is for is too large to be kept");
    *out = buf_str(&body);
    return OK;
}
