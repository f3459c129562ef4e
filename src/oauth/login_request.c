/* oauth/login_request.c: login requests as items. */
#include "oauth/login_request.h"
#include "base/hex.h"
#include "base/random.h"
#include "jose/b64.h"
#include "jose/claims.h"
#include "jose/jws.h"
#include "oauth/issuer.h"
#include "oauth/session.h"
#include "service/call.h"
#include "service/service.h"
#include "store/store.h"

enum { CHALLENGE_BYTES = 32, TEXT_MAX = 2048 };

/* --- writing ------------------------------------------------------------------------------------------------------ */

static void login_request_write_answers(struct buf *body, const struct login_request *login)
{
    if (login->has_login) {
        json_write_name(body, STR("login"));
        buf_add_char(body, '{');
        granted_write(body, &login->login);
        buf_add_char(body, '}');
        json_write_int(body, STR("login_lasts"), login->login_lasts_s);
    }
    if (login->has_consent) {
        json_write_text(body, STR("consent_scope"), login->consent_scope);
        json_write_int(body, STR("consent_lasts"), login->consent_lasts_s);
    }
    json_write_optional(body, STR("denied"), login->denied);
    json_write_optional(body, STR("denied_why"), login->denied_why);
}

static struct err login_request_write(struct arena *arena, const struct login_request *login, struct str *out)
{
    char digits[65];
    struct buf body;
    buf_init(&body, arena, 2048, ITEM_BODY_MAX);
    buf_add(&body, STR("{\"request\":"));
    TRY(authorize_request_write(&login->request, &body));
    json_write_int(&body, STR("step"), login->step);
    if (login->is_bound)
        json_write_optional(&body, STR("browser"), hex_write(login->browser, sizeof login->browser, digits));
    json_write_optional(&body, STR("subject"), login->subject);
    json_write_optional(&body, STR("hinted"), login->hinted);
    if (login->is_logged_in)
        buf_add(&body, STR(",\"logged_in\":true"));
    login_request_write_answers(&body, login);
    buf_add_char(&body, '}');
    if (body.overflowed)
        return failed(ERR_TOO_LARGE, "the authorization request is too large to be kept");
    *out = buf_str(&body);
    return OK;
}

/* --- reading: each says whether the member is as it must be ------------------------------------------------------- */

static bool login_request_read_browser(const struct json *body, struct login_request *out)
{
    struct str digits = { 0, 0 };
    if (!json_read_text(body, STR("browser"), TEXT_MAX, &digits))
        return false;
    out->is_bound = digits.at != NULL;
    return !out->is_bound || hex_read(digits, out->browser, sizeof out->browser);
}

static bool login_request_read_answers(const struct json *body, struct login_request *out)
{
    const struct json *login = json_member(body, STR("login"));
    out->has_login = login != NULL;
    if (login && (!granted_read(login, &out->login) ||
                  !json_int(json_member(body, STR("login_lasts")), 0, SESSION_LASTING_MAX_S, &out->login_lasts_s)))
        return false;
    out->has_consent = json_member(body, STR("consent_scope")) != NULL;
    if (out->has_consent &&
        !json_int(json_member(body, STR("consent_lasts")), 0, CLAIMS_TIME_MAX, &out->consent_lasts_s))
        return false;
    return json_read_text(body, STR("consent_scope"), TEXT_MAX, &out->consent_scope) &&
           json_read_text(body, STR("denied"), TEXT_MAX, &out->denied) &&
           json_read_text(body, STR("denied_why"), TEXT_MAX, &out->denied_why);
}

static bool login_request_read(const struct json *body, struct login_request *out)
{
    const struct json *request = json_member(body, STR("request"));
    int64_t step;
    if (!request || authorize_request_restore(request, &out->request).code ||
        !json_int(json_member(body, STR("step")), STEP_NOTHING, STEP_CONSENT, &step))
        return false;
    out->step = (enum login_step)step;
    out->is_logged_in = json_member(body, STR("logged_in")) != NULL;
    return login_request_read_browser(body, out) && json_read_text(body, STR("subject"), TEXT_MAX, &out->subject) &&
           json_read_text(body, STR("hinted"), TEXT_MAX, &out->hinted) && login_request_read_answers(body, out);
}

/* --- the item ----------------------------------------------------------------------------------------------------- */

static void login_request_set_challenge(struct arena *arena, struct login_request *login,
                                        const unsigned char bytes[CHALLENGE_BYTES])
{
    char *challenge = arena_alloc(arena, LOGIN_CHALLENGE_LEN);
    b64url_encode((struct str){ (const char *)bytes, CHALLENGE_BYTES }, challenge);
    login->challenge = (struct str){ challenge, LOGIN_CHALLENGE_LEN };
    sha256(login->challenge, login->item.id);
}

void login_request_begin(const struct call *call, const struct authorize_request *request, struct login_request *out)
{
    unsigned char random[CHALLENGE_BYTES];
    random_bytes(random, sizeof random);
    *out = (struct login_request){ .request = *request,
                                   .item = { .kind = ITEM_LOGIN,
                                             .expires_at = call->request->now_s + LOGIN_REQUEST_TTL_S,
                                             .client_id = request->client_id,
                                             .subject = STR(""),
                                             .sid = STR("") } };
    login_request_set_challenge(call->request->arena, out, random);
}

/* Label, key and hash have fixed lengths, as in csrf.c; nobody else knows the key. */
struct err login_request_name(const struct call *call, struct login_request *login, struct str browser_key,
                              bool is_known)
{
    struct store *store = call->service->store;
    struct arena *arena = call->request->arena;
    unsigned char asked[32], name[CHALLENGE_BYTES];
    struct str body;
    struct item before;
    TRY(login_request_write(arena, login, &body));
    sha256(body, asked);
    const struct str parts[] = { STR("token-service login 1\n"), browser_key, { (const char *)asked, sizeof asked } };
    sha256_parts(parts, sizeof parts / sizeof *parts, name);
    login_request_set_challenge(arena, login, name);
    if (!is_known)
        return OK;
    const struct err err = store->ops->find_item(store, arena, ITEM_LOGIN, login->item.id, &before);
    if (!err.code)
        login->item.version = before.version;
    return err.code == ERR_NOT_FOUND ? OK : err;
}

struct err login_request_find(const struct call *call, struct str challenge, struct login_request *out)
{
    static const struct err no_request = { ERR_NOT_FOUND, "there is no such login request, or its time is over" };
    struct store *store = call->service->store;
    struct arena *arena = call->request->arena;
    const struct json *body = NULL;
    unsigned char id[32];
    if (challenge.len != LOGIN_CHALLENGE_LEN)
        return no_request;
    sha256(challenge, id);
    *out = (struct login_request){ .challenge = challenge };
    const struct err err = store->ops->find_item(store, arena, ITEM_LOGIN, id, &out->item);
    if (err.code == ERR_NOT_FOUND)
        return no_request;
    TRY(err);
    if (out->item.expires_at <= call->request->now_s)
        return no_request;
    if (json_parse(arena, out->item.body, &body).code || body->kind != JSON_OBJECT || !login_request_read(body, out))
        return failed(ERR_INTERNAL, "a login request in the store is not as it was written");
    return OK;
}

struct err login_request_store(struct arena *arena, const struct login_request *login, struct record **records)
{
    struct item item = login->item;
    TRY(login_request_write(arena, login, &item.body));
    *records = item_put(arena, &item, item.version, *records);
    return OK;
}

void login_request_end(struct arena *arena, const struct login_request *login, struct record **records)
{
    if (login->item.version > 0)
        *records = item_delete(arena, &login->item, *records);
}

struct str login_request_url(const struct call *call, const struct login_request *login, const char *path)
{
    struct arena *arena = call->request->arena;
    return issuer_url(arena, call->service->settings,
                      arena_printf(arena, "%s/%.*s", path, (int)login->challenge.len, login->challenge.at));
}

void login_request_bind(struct login_request *login, struct str browser_key)
{
    sha256(browser_key, login->browser);
    login->is_bound = true;
}

bool login_request_is_bound_to(const struct login_request *login, struct str browser_key)
{
    unsigned char hash[32];
    sha256(browser_key, hash);
    return login->is_bound && str_eq_secret((struct str){ (const char *)hash, sizeof hash },
                                            (struct str){ (const char *)login->browser, sizeof login->browser });
}
