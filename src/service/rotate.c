/* service/rotate.c: POST /admin/rotate-keys: has the next key follow the active one, or revokes a key (key_admin.h).
 * Others see it within a second. */
#include "observe/log.h"
#include "service/call.h"
#include "service/key_admin.h"
#include "service/operations.h"
#include "service/reason.h"
#include <stddef.h>

static const struct field body_fields[] = {
    { "immediate", FIELD_BOOL, false, offsetof(struct key_move, immediate), 0, 0 },
    { "revoke", FIELD_STR, false, offsetof(struct key_move, revoke), 0, 64 },
    { "reason", FIELD_TEXT, false, offsetof(struct key_move, reason), 0, 256 },
};

static void rotate_write_key(struct buf *body, const struct key_entry *key)
{
    const struct {
        const char *name;
        int64_t at_s;
    } times[] = { { "publishedAt", key->published_at }, { "activatedAt", key->activated_at },
                  { "retiringAt", key->retiring_at },   { "retiresAt", key->retire_after },
                  { "retiredAt", key->retired_at },     { "revokedAt", key->revoked_at } };
    buf_add(body, STR("{"));
    json_write_text(body, STR("kid"), key->kid);
    json_write_text(body, STR("state"), str_of(key->state));
    json_write_text(body, STR("alg"), key->alg);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        if (times[i].at_s == 0)
            continue;
        json_write_name(body, str_of(times[i].name));
        write_time_ms(body, times[i].at_s * 1000);
    }
    buf_add(body, STR("}"));
}

/* The keys that are published, as the store has them now, and the revoked one. */
static struct err rotate_write_keys(struct call *call, struct str revoked, struct buf *body)
{
    struct arena *arena = call->request->arena;
    struct key_entry *keys, gone;
    size_t count;
    TRY(key_admin_list(call->service, arena, 0, &keys, &count));
    json_write_name(body, STR("keys"));
    buf_add(body, STR("["));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add(body, STR(","));
        rotate_write_key(body, &keys[i]);
    }
    if (revoked.len > 0) {
        TRY(key_admin_find(call->service, arena, revoked, &gone));
        buf_add(body, STR(","));
        rotate_write_key(body, &gone);
    }
    buf_add(body, STR("]"));
    return OK;
}

static struct err rotate_write_answer(struct call *call, struct str revoked, const struct key_moved *done,
                                      struct buf *body)
{
    buf_add(body, STR("{\"success\":true"));
    json_write_text(body, STR("message"), str_of(done->message));
    if (done->new_kid.len > 0) {
        json_write_text(body, STR("newKeyId"), done->new_kid);
        json_write_text(body, STR("oldKeyId"), done->old_kid);
    }
    if (done->at_s > 0) {
        json_write_name(body, STR("rotatesAt"));
        write_time_ms(body, done->at_s * 1000);
    }
    TRY(rotate_write_keys(call, revoked, body));
    buf_add(body, STR("}"));
    return OK;
}

struct err rotate_keys(struct call *call, struct response *response)
{
    const struct request *request = call->request;
    struct key_move move = { .revoke = { 0, 0 } };
    struct key_moved done;
    if (request->body.len > 0) /* every member is optional, and so is the body */
        TRY(request_fields(request, body_fields, sizeof body_fields / sizeof *body_fields, &move));
    if (move.reason.len > 0)
        move.reason = reason_to_keep(move.reason);
    struct err err = key_admin_move(call->service, request->arena, &move, request->now_s, &done);
    if (err.code == ERR_NOT_FOUND)
        return failed(ERR_NOT_FOUND, "there is no key with the kid that is to be revoked");
    TRY(err);
    LOG(LOG_INFO, "rotation_asked_for", LOG_STR("request_id", request->id), LOG_STR("caller", call->caller.client_id),
        LOG_STR("revoke", move.revoke), LOG_STR("reason", move.reason), LOG_TEXT_("done", done.message));
    return rotate_write_answer(call, move.revoke, &done, &response->body);
}
