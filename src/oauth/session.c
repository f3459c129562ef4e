/* oauth/session.c: sessions as items, and their cookie. */
#include "oauth/session.h"
#include "base/random.h"
#include "base/settings.h"
#include "jose/b64.h"
#include "jose/claims.h"
#include "jose/jws.h"
#include "oauth/cookie.h"
#include "oauth/oauth.h"
#include "oauth/password_login.h"
#include "revocation/revocations.h"
#include "service/call.h"
#include "service/service.h"
#include "store/store.h"

enum { VALUE_BYTES = 32, VALUE_LEN = 43 };

/* The idle end moves by steps of this part of the idle time. */
enum { IDLE_STEPS = 10 };

/* --- the item ----------------------------------------------------------------------------------------------------- */

/* One text for each client. Sessions of before had none. */
static bool session_read_clients(const struct json *body, struct session *out)
{
    const struct json_texts names = { SESSION_CLIENTS_MAX, 1, ITEM_TEXT_MAX };
    const struct json_texts scopes = { SESSION_CLIENTS_MAX, 0, SESSION_ALLOWED_MAX };
    size_t allowed = 0;
    return json_member(body, STR("clients")) &&
           json_read_texts(body, STR("clients"), names, out->clients, &out->client_count) &&
           json_read_texts(body, STR("allowed"), scopes, out->allowed, &allowed) &&
           (allowed == out->client_count || !json_member(body, STR("allowed")));
}

/* Sessions of before, and those that have no idle end, lack it. */
static bool session_read_idle_end(const struct json *body, struct session *out)
{
    const struct json *end = json_member(body, STR("idle_expires_at"));
    return !end || json_int(end, 1, CLAIMS_TIME_MAX, &out->idle_expires_at);
}

struct err session_read(struct arena *arena, const struct item *item, struct session *out)
{
    const struct json *body = NULL;
    *out = (struct session){ .item = *item };
    bool is_read = !json_parse(arena, item->body, &body).code && body->kind == JSON_OBJECT &&
                   granted_read(body, &out->login) &&
                   json_int(json_member(body, STR("begun_at")), 0, CLAIMS_TIME_MAX, &out->begun_at) &&
                   session_read_idle_end(body, out) && session_read_clients(body, out);
    return is_read ? OK : failed(ERR_INTERNAL, "a session in the store is not as it was written");
}

static struct err session_write(struct arena *arena, const struct session *session, struct str *out)
{
    struct buf body;
    buf_init(&body, arena, 1024, ITEM_BODY_MAX);
    buf_add_char(&body, '{');
    granted_write(&body, &session->login);
    json_write_int(&body, STR("begun_at"), session->begun_at);
    if (session->idle_expires_at > 0)
        json_write_int(&body, STR("idle_expires_at"), session->idle_expires_at);
    json_write_texts(&body, STR("clients"), session->clients, session->client_count);
    json_write_texts(&body, STR("allowed"), session->allowed, session->client_count);
    buf_add_char(&body, '}');
    if (body.overflowed)
        return failed(ERR_TOO_LARGE, "what is known of the user is too large to be kept");
    *out = buf_str(&body);
    return OK;
}

/* --- requests ----------------------------------------------------------------------------------------------------- */

static bool session_is_over_by_time(const struct call *call, const struct session *session)
{
    const int64_t now_s = call->request->now_s, idle_end = session->idle_expires_at;
    return session->item.expires_at <= now_s || (idle_end > 0 && idle_end <= now_s);
}

static bool session_is_revoked(const struct call *call, const struct session *session)
{
    const struct claims claims = { .sub = session->login.sub,
                                   .sid = session->login.sid,
                                   .iat = session->login.auth_time };
    return revocations_refuse_new(call->service->revocations, &claims);
}

bool session_is_over(const struct call *call, const struct session *session)
{
    return session_is_over_by_time(call, session) || session_is_revoked(call, session);
}

/* With the built-in login, whose users may have been disabled since. */
static struct err session_check_user(const struct call *call, const struct session *session)
{
    struct password_login *login = call->service->oauth->password_login;
    struct user user;
    return login ? password_login_find(login, call->request->arena, session->login.sub, &user) : OK;
}

static const struct err no_session = { ERR_NOT_FOUND, "nobody is signed in" };

struct err session_of_logout(const struct call *call, struct session *out)
{
    struct store *store = call->service->store;
    struct arena *arena = call->request->arena;
    const bool is_secure = cookie_is_secure(call->request, str_of(call->service->settings->issuer));
    const struct str value = cookie_value(call->request, COOKIE_SESSION, is_secure);
    unsigned char id[32];
    struct item item;
    if (!value.at)
        return no_session;
    sha256(value, id);
    const struct err err = store->ops->find_item(store, arena, ITEM_SESSION, id, &item);
    if (err.code == ERR_NOT_FOUND)
        return no_session;
    TRY(err);
    TRY(session_read(arena, &item, out));
    return session_is_revoked(call, out) ? no_session : OK;
}

struct err session_of_request(const struct call *call, struct session *out)
{
    TRY(session_of_logout(call, out));
    if (session_is_over_by_time(call, out))
        return no_session;
    const struct err known = session_check_user(call, out);
    return known.code == ERR_NOT_FOUND ? no_session : known;
}

/* Of a session that is used now. */
static int64_t session_idle_end(const struct call *call, int64_t expires_at)
{
    const int64_t now_s = call->request->now_s, idle_s = call->service->settings->session_idle_s;
    return idle_s > 0 && idle_s < expires_at - now_s ? now_s + idle_s : expires_at;
}

void session_use(const struct call *call, struct session *session)
{
    const int64_t expires_at = session->item.expires_at, end = session_idle_end(call, expires_at);
    const int64_t moves_s = end - session->idle_expires_at;
    const int64_t step_s = (call->service->settings->session_idle_s + IDLE_STEPS - 1) / IDLE_STEPS;
    /* Backwards when the idle time is shorter than it was, and not for another machine's clock. */
    const bool is_worth_it = moves_s != 0 && (end == expires_at || moves_s >= step_s || moves_s <= -step_s);
    if (session->idle_expires_at == 0 || !is_worth_it)
        return;
    session->idle_expires_at = end;
    session->is_changed = true;
}

/* 256 random bits in base64url. */
static struct str session_random(struct arena *arena)
{
    char random[VALUE_BYTES];
    char *text = arena_alloc(arena, VALUE_LEN);
    random_bytes(random, sizeof random);
    b64url_encode((struct str){ random, sizeof random }, text);
    mem_wipe(random, sizeof random);
    return (struct str){ text, VALUE_LEN };
}

void session_begin(const struct call *call, struct response *response, const struct granted *login,
                   const struct session *before, int64_t lasts_s, struct session *out)
{
    struct arena *arena = call->request->arena;
    const struct settings *settings = call->service->settings;
    const bool is_secure = cookie_is_secure(call->request, str_of(settings->issuer));
    const bool goes_on = before && str_eq(before->login.sub, login->sub);
    const struct str value = session_random(arena);
    struct session begun = { .begun_at = call->request->now_s };
    if (goes_on) {
        struct item *replaced = arena_alloc(arena, sizeof *replaced);
        *replaced = before->item;
        begun = *before;
        begun.replaces = replaced;
    }
    begun.login = *login;
    begun.login.sid = goes_on ? before->login.sid : session_random(arena);
    begun.is_changed = true;
    begun.item = (struct item){ .kind = ITEM_SESSION,
                                .expires_at = call->request->now_s + (lasts_s ? lasts_s : settings->session_ttl_s),
                                .client_id = STR(""),
                                .subject = begun.login.sub,
                                .sid = begun.login.sid };
    begun.idle_expires_at = lasts_s ? 0 : session_idle_end(call, begun.item.expires_at);
    sha256(value, begun.item.id);
    *out = begun;
    cookie_set(response, arena, COOKIE_SESSION, is_secure, value, lasts_s);
}

/* Its place; client_count: it has none. */
static size_t session_place(const struct session *session, struct str client_id)
{
    size_t i = 0;
    while (i < session->client_count && !str_eq(session->clients[i], client_id))
        i++;
    return i;
}

void session_add_client(struct session *session, struct str client_id)
{
    if (session_place(session, client_id) < session->client_count || session->client_count == SESSION_CLIENTS_MAX)
        return;
    session->allowed[session->client_count] = STR("");
    session->clients[session->client_count++] = client_id;
    session->is_changed = true;
}

void session_allow(struct session *session, struct str client_id, struct str scope)
{
    session_add_client(session, client_id);
    const size_t place = session_place(session, client_id);
    size_t others = 0;
    for (size_t i = 0; i < session->client_count; i++)
        others += i == place ? 0 : session->allowed[i].len;
    if (place == session->client_count || scope.len > SESSION_ALLOWED_MAX - others)
        return;
    session->allowed[place] = scope;
    session->is_changed = true;
}

struct str session_allowed(const struct session *session, struct str client_id)
{
    const size_t place = session_place(session, client_id);
    return place < session->client_count ? session->allowed[place] : STR("");
}

struct err session_store(struct arena *arena, struct session *session, struct record **records)
{
    if (!session->is_changed)
        return OK;
    TRY(session_write(arena, session, &session->item.body));
    *records = item_put(arena, &session->item, session->item.version, *records);
    if (session->replaces)
        *records = item_delete(arena, session->replaces, *records);
    return OK;
}
