/* service/issue.c: POST /token (JSON): authorise, check what is asked against the client, build the claims, sign,
 * record, answer. The record is durable before the answer goes out: the front that sends it sees to that
 * (response->records). */
#include "base/clock.h"
#include "base/random.h"
#include "base/settings.h"
#include "jose/b64.h"
#include "keys/keyring.h"
#include "observe/log.h"
#include "revocation/revocations.h"
#include "service/authn.h"
#include "service/authority.h"
#include "service/call.h"
#include "service/clients.h"
#include "service/custom_claims.h"
#include "service/operations.h"
#include <stddef.h>
#include <time.h>

enum { CLAIMS_MAX = 8192, JTI_BYTES = 16 };

/* What the caller asked for, then what it gets. */
struct issue {
    struct str subject, client_id, scope, token_type, nonce;
    const struct json *claims, *audience;
    int64_t expires_in, auth_time;
    enum token_kind kind;
    struct client client; /* the one that the token is for */
};

static const struct field body_fields[] = {
    { "subject", FIELD_STR, true, offsetof(struct issue, subject), 0, 255 },
    { "clientId", FIELD_STR, true, offsetof(struct issue, client_id), 0, 255 },
    { "scope", FIELD_TEXT, true, offsetof(struct issue, scope), 0, 2048 },
    { "tokenType", FIELD_STR, true, offsetof(struct issue, token_type), 0, 16 },
    { "claims", FIELD_OBJECT, false, offsetof(struct issue, claims), 0, 0 },
    { "expiresIn", FIELD_INT, false, offsetof(struct issue, expires_in), 1, INT32_MAX },
    { "audience", FIELD_STRINGS, false, offsetof(struct issue, audience), 0, 255 },
    { "nonce", FIELD_STR, false, offsetof(struct issue, nonce), 0, 255 },
    { "authTime", FIELD_INT, false, offsetof(struct issue, auth_time), 0, CLAIMS_TIME_MAX },
};

/* RFC 6749 section 3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E ), each allowed to the client. *scope becomes a list
 * as the section has it: one space between two words, each word once. */
static struct err read_scope(struct arena *arena, struct str allowed, struct str *scope)
{
    for (size_t i = 0; i < scope->len; i++) {
        unsigned char c = (unsigned char)scope->at[i];
        if (c < 0x20 || c > 0x7e || c == '"' || c == '\\')
            return failed(ERR_INVALID_SCOPE, "the scope has a character that no scope may have");
    }
    struct str word, rest = *scope;
    struct buf words;
    buf_init(&words, arena, scope->len + 1, scope->len + 1);
    while (str_next_word(&rest, &word)) {
        if (!str_has_word(allowed, word))
            return failed(ERR_INVALID_SCOPE, "the client may not have a scope that was asked for");
        if (str_has_word(buf_str(&words), word))
            continue;
        if (words.len > 0)
            buf_add_char(&words, ' ');
        buf_add(&words, word);
    }
    *scope = buf_str(&words);
    return OK;
}

/* token:issue is for the caller itself; token:issue:any for every client and subject. */
static struct err authorise(struct call *call, struct issue *issue)
{
    TRY(authority_to_issue(&call->caller));
    if (caller_may(&call->caller, STR("token:issue:any")))
        return OK;
    if (!caller_may(&call->caller, STR("token:issue")))
        return failed(ERR_INSUFFICIENT_SCOPE, "issuing tokens needs the scope token:issue");
    if (!str_eq(issue->client_id, call->caller.client_id) || !str_eq(issue->subject, call->caller.client_id))
        return failed(ERR_INSUFFICIENT_SCOPE, "issuing for another client or subject needs the scope token:issue:any");
    return OK;
}

static struct err find_client(struct call *call, struct issue *issue)
{
    struct service *service = call->service;
    const struct request *request = call->request;
    struct client *client = &issue->client;
    if (!clients_get(service->clients, request->arena, issue->client_id, clock_coarse_s(), client)) {
        struct err err = clients_find(service->clients, request->arena, issue->client_id, clock_coarse_s(), client);
        if (err.code == ERR_NOT_FOUND)
            return failed(ERR_INVALID_REQUEST, "clientId names no client of this service");
        TRY(err);
    }
    return client->is_active ? OK : failed(ERR_INVALID_REQUEST, "clientId names a client that is disabled");
}

/* RFC 8707: any audience for those who issue for anyone; else one that the service is configured for, or itself. */
static struct err check_audience(struct call *call, const struct issue *issue)
{
    const struct json *list = issue->audience;
    if (!list)
        return OK;
    if (issue->kind != TOKEN_ACCESS)
        return failed(ERR_INVALID_TARGET, "only an access token can be given an audience");
    if (caller_may(&call->caller, STR("token:issue:any")))
        return OK;
    const struct json *each = list->kind == JSON_ARRAY ? list->child : list;
    for (; each; each = list->kind == JSON_ARRAY ? each->next : NULL)
        if (!str_eq(each->text, issue->client_id) && !str_eq(each->text, str_of(call->service->settings->issuer)) &&
            !str_has_item(call->service->audience, each->text))
            return failed(ERR_INVALID_TARGET, "the audience is not one that the client may ask for");
    return OK;
}

/* A client's own lifetime is its default and its maximum; without one, the service's settings are. No token lasts
 * longer than the one that it was asked for with. */
static struct err decide_lifetime(struct call *call, struct issue *issue)
{
    const struct settings *settings = call->service->settings;
    const struct client *client = &issue->client;
    const int64_t of_kind[][3] = {
        [TOKEN_ACCESS] = { client->access_ttl_s, settings->access_ttl_s, settings->access_ttl_max_s },
        [TOKEN_REFRESH] = { client->refresh_ttl_s, settings->refresh_ttl_s, settings->refresh_ttl_max_s },
        [TOKEN_ID] = { client->id_ttl_s, settings->id_ttl_s, settings->id_ttl_max_s },
    };
    const int64_t *ttl = of_kind[issue->kind];
    int64_t usual = ttl[0] ? ttl[0] : ttl[1], most = ttl[0] ? ttl[0] : ttl[2];
    int64_t left = authority_lasts_s(&call->caller, call->request->now_s);
    most = left < most ? left : most;
    usual = left < usual ? left : usual;
    if (issue->expires_in > most)
        return failed(ERR_INVALID_REQUEST,
                      arena_printf(call->request->arena,
                                   "expiresIn is at most %lld seconds for this caller, client and kind",
                                   (long long)most)
                          .at);
    if (issue->expires_in == 0)
        issue->expires_in = usual;
    return OK;
}

static struct err check_auth_time(struct call *call, const struct issue *issue)
{
    if (issue->auth_time > call->request->now_s + call->service->settings->clock_skew_s)
        return failed(ERR_INVALID_REQUEST, "authTime lies in the future");
    return OK;
}

static struct err read_issue(struct call *call, struct issue *issue)
{
    const struct json *json;
    if (request_is_form(call->request))
        return failed(ERR_UNSUPPORTED_GRANT_TYPE, "no grant is offered here; ask for a token with a JSON body");
    TRY(request_json(call->request, &json));
    TRY(fields_read(call->request->arena, json, body_fields, sizeof body_fields / sizeof *body_fields, issue));
    if (!token_kind_find(issue->token_type, &issue->kind))
        return failed(ERR_INVALID_REQUEST, "tokenType is none of access, refresh, id");
    TRY(authorise(call, issue));
    TRY(find_client(call, issue));
    TRY(read_scope(call->request->arena, issue->client.scopes, &issue->scope));
    TRY(custom_claims_check(call, issue->claims));
    TRY(check_auth_time(call, issue));
    TRY(check_audience(call, issue));
    return decide_lifetime(call, issue);
}

/* --- building ---------------------------------------------------------------------------------------------------- */

struct audience {
    struct str list[CLAIMS_AUD_MAX + 1];
    size_t count;
};

static void add_audience(struct audience *audience, struct str one)
{
    for (size_t i = 0; i < audience->count; i++)
        if (str_eq(audience->list[i], one))
            return;
    if (one.len > 0 && audience->count < CLAIMS_AUD_MAX)
        audience->list[audience->count++] = one;
}

/* docs/contract.md, "Claims": an access token is for its client and the configured audiences, unless others were asked
 * for; an id token for its client; a refresh token comes back here, so it is for the issuer too. Who comes with a token
 * that is for less passes that on. */
static void decide_audience(const struct call *call, const struct issue *issue, struct audience *out)
{
    const struct json *asked = issue->audience;
    const struct json *each = asked && asked->kind == JSON_ARRAY ? asked->child : asked;
    for (; each; each = asked->kind == JSON_ARRAY ? each->next : NULL)
        add_audience(out, each->text);
    if (asked)
        return;
    const struct bearer *bearer = call->caller.bearer;
    if (bearer && issue->kind == TOKEN_ACCESS && !caller_may(&call->caller, STR("token:issue:any"))) {
        for (size_t i = 0; i < bearer->aud_count; i++)
            add_audience(out, bearer->aud[i]);
        return;
    }
    add_audience(out, issue->client_id);
    if (issue->kind == TOKEN_REFRESH)
        add_audience(out, str_of(call->service->settings->issuer));
    struct str rest = issue->kind == TOKEN_ACCESS ? call->service->audience : STR(""), one;
    while (str_next_item(&rest, ',', &one))
        add_audience(out, str_trim(one));
}

static struct str encoded(struct arena *arena, struct str bytes)
{
    struct str text = { arena_alloc(arena, b64url_encoded_len(bytes.len)), b64url_encoded_len(bytes.len) };
    b64url_encode(bytes, (char *)text.at);
    return text;
}

static struct str new_jti(struct arena *arena)
{
    char random[JTI_BYTES];
    random_bytes(random, sizeof random);
    return encoded(arena, (struct str){ random, sizeof random });
}

/* The token that the caller came with, with which the new one is revoked, by itself and by rules. It is the caller's
 * own (authority.h). An issued_after of its own goes with its iat. */
static void name_parent(struct arena *arena, const struct caller *caller, struct claims_new *claims)
{
    const struct bearer *bearer = caller->bearer;
    if (!bearer)
        return;
    claims->parent_hash = encoded(arena, (struct str){ (const char *)bearer->hash, sizeof bearer->hash });
    claims->parent_client_id = caller->client_id;
    claims->parent_iat = bearer->iat;
    claims->issued_after = bearer->issued_after;
}

static struct str audience_json(struct arena *arena, const struct audience *audience)
{
    struct buf out;
    buf_init(&out, arena, 128, CLAIMS_MAX);
    buf_add_char(&out, '[');
    for (size_t i = 0; i < audience->count; i++) {
        if (i > 0)
            buf_add_char(&out, ',');
        json_write_str(&out, audience->list[i]);
    }
    buf_add_char(&out, ']');
    return buf_str(&out);
}

/* What is kept of a token (TOKEN_RECORDS): every refresh token; an access token where all are recorded. */
static void record_token(struct call *call, const struct issue *issue, const struct claims_new *claims,
                         const struct audience *audience, const unsigned char hash[32], struct response *response)
{
    struct arena *arena = call->request->arena;
    bool kept = issue->kind == TOKEN_REFRESH ||
                (issue->kind == TOKEN_ACCESS && call->service->settings->records == RECORDS_ALL);
    if (!kept)
        return;
    struct record *record = arena_zalloc(arena, sizeof *record);
    *record = (struct record){ .kind = RECORD_TOKEN,
                               .token_kind = issue->kind,
                               .jti = claims->jti,
                               .subject = claims->sub,
                               .client_id = claims->client_id,
                               .scope = claims->scope,
                               .audience = audience_json(arena, audience),
                               .issued_at = claims->iat,
                               .expires_at = claims->exp };
    memcpy(record->token_hash, hash, sizeof record->token_hash);
    response->records = record;
}

static void write_answer(struct buf *body, const struct issue *issue, const struct claims_new *claims, int64_t now_ms,
                         struct str token, struct str payload)
{
    buf_add(body, STR("{\"token\":\""));
    buf_add(body, token);
    buf_add(body, STR("\",\"tokenType\":\""));
    buf_add(body, token_kind_name(issue->kind));
    buf_add(body, STR("\",\"expiresIn\":"));
    buf_add_int(body, issue->expires_in);
    buf_add(body, STR(",\"expiresAt\":"));
    write_time_ms(body, claims->exp * 1000);
    buf_add(body, STR(",\"issuedAt\":"));
    write_time_ms(body, now_ms);
    buf_add(body, STR(",\"claims\":"));
    buf_add(body, payload);
    buf_add_char(body, '}');
}

/* A refresh token is a grant, and worth a line; of the others there are thousands a second. */
static void log_issued(const struct call *call, const struct issue *issue, const struct claims_new *claims,
                       const unsigned char hash[32])
{
    char id[13];
    log_token_id(hash, id);
    LOG(issue->kind == TOKEN_REFRESH ? LOG_INFO : LOG_DEBUG, "token_issued", LOG_STR("request_id", call->request->id),
        LOG_TEXT_("token", id), LOG_STR("type", token_kind_name(issue->kind)), LOG_STR("client_id", claims->client_id),
        LOG_STR("sub", claims->sub), LOG_STR("caller", call->caller.client_id),
        LOG_INT("expires_in", issue->expires_in));
}

/* A rule that revokes all that is issued up to now would refuse the token at once: the next second's will be good.
 * Where the clock was set back since the rule was made, the token says that it is the later one. */
static struct err check_rules(struct service *service, struct claims_new *claims, struct response *response)
{
    const struct json *sid = claims->custom ? json_member(claims->custom, STR("sid")) : NULL;
    const struct claims issued = { .sub = claims->sub,
                                   .client_id = claims->client_id,
                                   .sid = sid ? sid->text : (struct str){ 0, 0 },
                                   .iat = claims->iat,
                                   .issued_after = claims->issued_after };
    const struct claims parent = { .sub = claims->parent_client_id,
                                   .client_id = claims->parent_client_id,
                                   .iat = claims->parent_iat,
                                   .issued_after = claims->issued_after };
    const bool is_orphan = claims->parent_hash.at && revocations_refuse_new(service->revocations, &parent);
    if (!is_orphan && !revocations_refuse_new(service->revocations, &issued))
        return OK;
    /* asked of the clock once more: since the request was read, a rule may have come from a clock that is as right */
    const int64_t after_all = revocations_after_all(service->revocations);
    if (!is_orphan && revocations_clock_is_behind(service->revocations, (int64_t)time(NULL)) &&
        after_all <= CLAIMS_TIME_MAX) {
        claims->issued_after = after_all;
        return OK;
    }
    response->retry_after_s = 1;
    return failed(ERR_UNAVAILABLE, "what is issued in this second has been revoked; try again");
}

/* Before the token is signed: whoever revokes all that is issued up to now must not miss it. */
static void note_iat(struct service *service, int64_t iat)
{
    long long latest = atomic_load(&service->latest_iat);
    while (latest < iat && !atomic_compare_exchange_weak(&service->latest_iat, &latest, iat))
        ;
}

struct err issue_token(struct call *call, struct response *response)
{
    struct service *service = call->service;
    struct arena *arena = call->request->arena;
    struct issue issue = { .auth_time = -1 };
    TRY(read_issue(call, &issue));

    struct audience audience = { .count = 0 };
    decide_audience(call, &issue, &audience);
    struct claims_new claims = {
        .kind = issue.kind,
        .iss = str_of(service->settings->issuer),
        .sub = issue.subject,
        .client_id = issue.client_id,
        .scope = issue.scope,
        .nonce = issue.kind == TOKEN_ID ? issue.nonce : (struct str){ 0, 0 },
        .jti = new_jti(arena),
        .aud = audience.list,
        .aud_count = audience.count,
        .aud_as_list = issue.kind != TOKEN_ID,
        .iat = call->request->now_s,
        .exp = call->request->now_s + issue.expires_in,
        .auth_time = issue.auth_time,
        .custom = issue.claims,
    };
    name_parent(arena, &call->caller, &claims);
    TRY(authority_check(&call->caller, &claims));
    note_iat(service, claims.iat);
    TRY(check_rules(service, &claims, response));
    struct buf payload, token;
    buf_init(&payload, arena, 1024, CLAIMS_MAX);
    claims_write(&payload, &claims);
    buf_init(&token, arena, payload.len * 2 + 1024, (size_t)service->settings->token_max_bytes);
    if (payload.overflowed)
        return failed(ERR_INVALID_REQUEST, "the claims are too large for a token");
    AUTO(keyring_releasep) const struct keyring_view *view = keyring_acquire(service->keyring);
    TRY(keyring_sign(service->keyring, view, issue.kind == TOKEN_ACCESS ? SIGN_CLIENT_CREDENTIALS : SIGN_INTERACTIVE,
                     token_kind_typ(issue.kind), buf_str(&payload), &token));
    if (token.overflowed)
        return failed(ERR_INVALID_REQUEST, "the claims are too large for a token");

    unsigned char hash[32];
    sha256(buf_str(&token), hash);
    record_token(call, &issue, &claims, &audience, hash, response);
    write_answer(&response->body, &issue, &claims, call->request->now_ms, buf_str(&token), buf_str(&payload));
    metrics_count(issue.kind == TOKEN_ACCESS    ? COUNT_ISSUED_ACCESS
                  : issue.kind == TOKEN_REFRESH ? COUNT_ISSUED_REFRESH
                                                : COUNT_ISSUED_ID,
                  1);
    log_issued(call, &issue, &claims, hash);
    return OK;
}
