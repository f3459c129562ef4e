/* service/rotate.c: POST /admin/rotate-keys: has the next key follow the active one, or revokes a key. What a rotation
 * is, and what it waits for, is in keys/rotation.h; here it is asked for, put in force on this instance before the
 * answer goes out, and told. Others see it within a second. */
#include "keys/keyring.h"
#include "keys/rotation.h"
#include "observe/log.h"
#include "service/call.h"
#include "service/housekeeping.h"
#include "service/operations.h"
#include "service/service.h"
#include <stddef.h>

struct rotate_body {
    bool immediate;
    struct str revoke, reason;
};

static const struct field body_fields[] = {
    { "immediate", FIELD_BOOL, false, offsetof(struct rotate_body, immediate), 0, 0 },
    { "revoke", FIELD_STR, false, offsetof(struct rotate_body, revoke), 0, 64 },
    { "reason", FIELD_TEXT, false, offsetof(struct rotate_body, reason), 0, 256 },
};

/* Every member is optional, and so is the body. */
static struct err read_body(const struct request *request, struct rotate_body *body)
{
    const struct json *json;
    if (request->body.len == 0)
        return OK;
    TRY(request_json(request, &json));
    return fields_read(request->arena, json, body_fields, sizeof body_fields / sizeof *body_fields, body);
}

static void write_key(struct buf *body, const struct key *key)
{
    const struct {
        const char *name;
        int64_t at_s;
    } times[] = { { "publishedAt", key->published_at }, { "activatedAt", key->activated_at },
                  { "retiringAt", key->retiring_at },   { "retiresAt", key->retire_after },
                  { "retiredAt", key->retired_at },     { "revokedAt", key->revoked_at } };
    buf_add(body, STR("{"));
    json_write_name(body, STR("kid"));
    json_write_str(body, key->kid);
    json_write_name(body, STR("state"));
    json_write_str(body, str_of(key_state_name(key->state)));
    json_write_name(body, STR("alg"));
    json_write_str(body, key->alg);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        if (times[i].at_s == 0)
            continue;
        json_write_name(body, str_of(times[i].name));
        write_time_ms(body, times[i].at_s * 1000);
    }
    buf_add(body, STR("}"));
}

/* The keys that are published, as the store has them now, and the revoked one. */
static struct err write_keys(struct call *call, struct str revoked, struct buf *body)
{
    struct arena *arena = call->request->arena;
    struct store *store = call->service->store;
    struct key *keys = NULL, gone;
    size_t count = 0;
    TRY(store->ops->list_keys(store, arena, &keys, &count));
    json_write_name(body, STR("keys"));
    buf_add(body, STR("["));
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_add(body, STR(","));
        write_key(body, &keys[i]);
    }
    if (revoked.len > 0) {
        TRY(store->ops->find_key(store, arena, revoked, &gone));
        buf_add(body, STR(","));
        write_key(body, &gone);
    }
    buf_add(body, STR("]"));
    return OK;
}

static struct err write_answer(struct call *call, const struct rotate_body *asked, const struct rotated *done,
                               struct buf *body)
{
    buf_add(body, STR("{\"success\":true"));
    json_write_name(body, STR("message"));
    json_write_str(body, str_of(done->message));
    if (done->new_kid.len > 0) {
        json_write_name(body, STR("newKeyId"));
        json_write_str(body, done->new_kid);
        json_write_name(body, STR("oldKeyId"));
        json_write_str(body, done->old_kid);
    }
    if (done->at_s > 0) {
        json_write_name(body, STR("rotatesAt"));
        write_time_ms(body, done->at_s * 1000);
    }
    TRY(write_keys(call, asked->revoke, body));
    buf_add(body, STR("}"));
    return OK;
}

/* Revoking the active key rotates by itself; with `immediate` beside another kid, both are done. */
static struct err do_it(struct call *call, const struct rotate_body *body, struct rotated *done)
{
    struct rotation *rotation = call->service->rotation;
    struct arena *arena = call->request->arena;
    int64_t now_s = call->request->now_s, latest_iat = atomic_load(&call->service->latest_iat);
    if (latest_iat > now_s) /* the clock was set back: a key goes when its last token has expired, and not before */
        now_s = latest_iat;
    if (body->revoke.len > 0) {
        struct err err = rotation_revoke(rotation, arena, body->revoke, body->reason, now_s, done);
        if (err.code == ERR_NOT_FOUND)
            return failed(ERR_NOT_FOUND, "there is no key of the kid that is to be revoked");
        TRY(err);
        if (done->new_kid.len > 0 || !body->immediate)
            return OK;
    }
    return rotation_rotate(rotation, arena, body->immediate, now_s, done);
}

struct err rotate_keys(struct call *call, struct response *response)
{
    struct service *service = call->service;
    struct rotate_body body = { .revoke = { 0, 0 } };
    struct rotated done = { .at_s = 0 };
    TRY(read_body(call->request, &body));
    struct err err = do_it(call, &body, &done);
    TRY(keyring_reload(service->keyring)); /* also after a failure: the keys may have changed on its way */
    TRY(err);
    if (service->housekeeping)
        housekeeping_nudge(service->housekeeping); /* the next standby, and what a revoked key leaves behind */
    LOG(LOG_INFO, "rotation_asked_for", LOG_STR("request_id", call->request->id),
        LOG_STR("caller", call->caller.client_id), LOG_STR("revoke", body.revoke), LOG_STR("reason", body.reason),
        LOG_TEXT_("done", done.message));
    return write_answer(call, &body, &done, &response->body);
}
