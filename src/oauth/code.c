/* oauth/code.c: codes as items. */
#include "oauth/code.h"
#include "base/hex.h"
#include "base/random.h"
#include "jose/b64.h"
#include "jose/jws.h"
#include "store/store.h"

enum { CODE_BYTES = 32, CODE_LEN = 43, TEXT_MAX = 2048 };

static const struct err no_code = { ERR_INVALID_GRANT, "the code is not good, or not this client's" };

/* The item's body. */
static struct err code_write(struct arena *arena, const struct code *code, struct str *out)
{
    char digits[65];
    struct buf body;
    buf_init(&body, arena, 1024, ITEM_BODY_MAX);
    buf_add_char(&body, '{');
    json_write_text(&body, STR("redirect_uri"), code->redirect_uri);
    json_write_text(&body, STR("nonce"), code->nonce);
    json_write_text(&body, STR("code_challenge"), code->code_challenge);
    granted_write(&body, &code->granted);
    if (code->is_used) {
        buf_add(&body, STR(",\"used\":true"));
        json_write_text(&body, STR("grant"), hex_write(code->grant_id, sizeof code->grant_id, digits));
    }
    buf_add_char(&body, '}');
    if (body.overflowed)
        return failed(ERR_TOO_LARGE, "what a code is for is too large to be kept");
    *out = buf_str(&body);
    return OK;
}

static bool code_need_text(const struct json *body, struct str name, struct str *out)
{
    return json_member(body, name) && json_read_text(body, name, TEXT_MAX, out);
}

static bool code_read(const struct json *body, struct code *out)
{
    const struct json *grant = json_member(body, STR("grant"));
    out->is_used = grant != NULL;
    return code_need_text(body, STR("redirect_uri"), &out->redirect_uri) &&
           code_need_text(body, STR("nonce"), &out->nonce) &&
           code_need_text(body, STR("code_challenge"), &out->code_challenge) && granted_read(body, &out->granted) &&
           (!grant || (grant->kind == JSON_STRING && hex_read(grant->text, out->grant_id, sizeof out->grant_id)));
}

struct err code_make(struct arena *arena, const struct code *code, struct record *next, struct str *text,
                     struct record **record)
{
    char random[CODE_BYTES];
    struct item item = { .kind = ITEM_CODE,
                         .expires_at = code->expires_at,
                         .client_id = code->client_id,
                         .subject = code->granted.sub,
                         .sid = code->granted.sid };
    random_bytes(random, sizeof random);
    *text = (struct str){ arena_alloc(arena, CODE_LEN), CODE_LEN };
    b64url_encode((struct str){ random, sizeof random }, (char *)text->at);
    mem_wipe(random, sizeof random);
    sha256(*text, item.id);
    TRY(code_write(arena, code, &item.body));
    *record = item_put(arena, &item, 0, next);
    return OK;
}

struct err code_find(struct store *store, struct arena *arena, struct str text, struct code *out)
{
    const struct json *body = NULL;
    unsigned char id[32];
    if (text.len != CODE_LEN)
        return no_code;
    sha256(text, id);
    *out = (struct code){ .is_used = false };
    const struct err err = store->ops->find_item(store, arena, ITEM_CODE, id, &out->item);
    if (err.code == ERR_NOT_FOUND)
        return no_code;
    TRY(err);
    out->client_id = out->item.client_id;
    out->expires_at = out->item.expires_at;
    if (json_parse(arena, out->item.body, &body).code || body->kind != JSON_OBJECT || !code_read(body, out))
        return failed(ERR_INTERNAL, "a code in the store is not as it was written");
    return OK;
}

/* What it was for is not kept any longer: a second use is told by the grant alone. The members are there still, for a
 * reader of before. */
struct err code_use(struct arena *arena, const struct code *code, const unsigned char grant_id[32], struct record *next,
                    struct record **record)
{
    struct code used = { .granted = { .sub = code->granted.sub, .auth_time = -1 }, .is_used = true };
    struct item item = code->item;
    memcpy(used.grant_id, grant_id, sizeof used.grant_id);
    TRY(code_write(arena, &used, &item.body));
    *record = item_put(arena, &item, item.version, next);
    return OK;
}
