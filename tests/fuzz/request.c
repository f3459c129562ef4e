/* fuzz/request.c: whole requests through the service's table of routes, over a store and a signer in memory.
 *
 * An input is a request as text: `METHOD PATH[?QUERY]`, then lines `A:` (Authorization), `C:` (Content-Type), `I:`
 * (If-None-Match), `O:` (Origin), an empty line, the body. `$A`, `$R`, `$I`, `$V`, `$X` stand for a good access,
 * refresh and id token of the client "agent", a revoked and an expired one, since no fuzzer can sign. */
#include "memory.h"
#include "keys/keyring.h"
#include "keys/rotation.h"
#include "oauth/operations.h"
#include "observe/log.h"
#include "revocation/feed.h"
#include "revocation/inside.h"
#include "service/clients.h"
#include "service/failures.h"
#include "service/message.h"
#include "service/service.h"
#include "service/verify.h"
#include "store/commit.h"
#include "wire/lines.h"

#define ISSUER "https://auth.test"
enum { NOW = 1800000000, REQUEST_MAX = 1 << 18, HEADERS_MAX = 64 };

static const struct settings settings = {
    .issuer = ISSUER,
    .audience = "api",
    .pairwise_salt = "0123456789abcdef0123456789abcdef",
    .signing_alg = JWA_ES256,
    .records = RECORDS_ALL,
    .access_ttl_s = 3600,
    .access_ttl_max_s = 86400,
    .refresh_ttl_s = 2592000,
    .refresh_ttl_max_s = 31536000,
    .id_ttl_s = 3600,
    .id_ttl_max_s = 86400,
    .privileged_claims = "email_verified, groups",
    .clock_skew_s = 5,
    .clock_tolerance_max_s = 60,
    .token_max_bytes = 8192,
    .client_cache_s = 60,
    .jwks_max_age_s = 300,
    .cors_origins = "https://app.test",
    .path_prefix = "/prod",
    .metrics = METRICS_LOOPBACK,
    .redis_url = "",
    .database_url = "",
    .supabase_url = "",
};
static struct memory_store store = { .store.ops = &memory_store_ops };
static struct memory_signer signer = { .signer.ops = &memory_signer_ops };
static struct service service;
static struct str tokens[5]; /* $A $R $I $V $X */
static const char token_letters[] = "ARIVX";
static struct arena forever;

static struct str make_token(size_t which)
{
    static const enum token_kind kinds[] = { TOKEN_ACCESS, TOKEN_REFRESH, TOKEN_ID, TOKEN_ACCESS, TOKEN_ACCESS };
    static const struct str audience[] = { { "agent", 5 }, { "api", 3 } };
    const struct claims_new new = {
        .kind = kinds[which],
        .iss = STR(ISSUER),
        .sub = STR("somebody"),
        .client_id = STR("agent"),
        .scope = STR(AGENT_SCOPES),
        .nonce = STR("n"),
        .jti = arena_printf(&forever, "jti-%zu", which),
        .aud = audience,
        .aud_count = 2,
        .iat = NOW - 1000,
        .exp = which == 4 ? NOW - 500 : NOW + 1000,
        .auth_time = -1,
    };
    struct buf payload, token;
    buf_init(&payload, &forever, 512, 4096);
    buf_init(&token, &forever, 1024, 8192);
    claims_write(&payload, &new);
    const struct keyring_view *view = keyring_acquire(service.keyring);
    PROMISE(
        !keyring_sign(service.keyring, view, SIGN_INTERACTIVE, token_kind_typ(kinds[which]), buf_str(&payload), &token)
             .code);
    keyring_release(view);
    return buf_str(&token);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    log_configure(LOG_ERROR, LOG_JSON);
    arena_init(&forever, NULL, 0);
    service = (struct service){ .settings = &settings,
                                .routes = &oauth_routes,
                                .store = &store.store,
                                .signer = &signer.signer,
                                .audience = str_of(settings.audience),
                                .failures = failures_new(0),
                                .state.store_ok = true,
                                .state.keys_ok = true };
    PROMISE(!keyring_open(service.store, service.signer, JWA_ES256, NOW, &forever, &service.keyring).code);
    service.rotation = rotation_new(service.store, service.signer, &settings);
    PROMISE(
        !commit_open(service.store, &service.commit).code); /* /metrics asks it for its depth; nothing is submitted */
    service.revocations = revocations_new(&settings, service.store, NULL, service.keyring);
    revocations_open_feed(service.revocations);
    PROMISE(revocations_feed(service.revocations) != NULL);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        tokens[i] = make_token(i);
    return 0;
}

/* --- from the input to a request --------------------------------------------------------------------------------- */

static struct str with_tokens(struct arena *arena, struct str in)
{
    struct buf out;
    buf_init(&out, arena, in.len + 1024, REQUEST_MAX);
    for (size_t i = 0; i < in.len; i++) {
        const char *found = in.at[i] == '$' && i + 1 < in.len ? memchr(token_letters, in.at[i + 1], 5) : NULL;
        if (found)
            buf_add(&out, tokens[found - token_letters]);
        else
            buf_add_char(&out, in.at[i]);
        i += found != NULL;
    }
    if (out.overflowed)
        out.len = 0;
    return buf_str(&out);
}

static struct request request_of(struct arena *arena, struct str in)
{
    struct request request = { .arena = arena,
                               .peer = STR("127.0.0.1"),
                               .is_on_this_machine = true,
                               .now_s = NOW,
                               .now_ms = NOW * INT64_C(1000),
                               .id = STR("1") };
    struct str rest = with_tokens(arena, in), line, name;
    struct header *headers = arena_alloc(arena, HEADERS_MAX * sizeof *headers);
    size_t count = 0;
    if (!str_cut(&rest, '\n', &line))
        return request;
    if (str_cut(&line, ' ', &name)) {
        request.method = method_named(name);
        request.query = line;
        if (!str_cut(&request.query, '?', &request.path)) {
            request.path = line;
            request.query = (struct str){ 0, 0 };
        }
    }
    while (str_cut(&rest, '\n', &line) && line.len > 0) {
        if (line.len < 2 || line.at[1] != ':')
            continue;
        headers[count++ % HEADERS_MAX] = (struct header){ .name = line.at[0] == 'A'   ? STR("Authorization")
                                                                  : line.at[0] == 'C' ? STR("Content-Type")
                                                                  : line.at[0] == 'I' ? STR("If-None-Match")
                                                                                      : STR("Origin"),
                                                          .value = { line.at + 2, line.len - 2 } };
    }
    request.headers = (struct headers){ headers, count < HEADERS_MAX ? count : HEADERS_MAX };
    request.body = rest;
    return request;
}

/* --- what must hold of every answer ------------------------------------------------------------------------------ */

static bool contains(struct str text, struct str part)
{
    return part.len > 0 && text.len >= part.len && memmem(text.at, text.len, part.at, part.len) != NULL;
}

static void check_headers(struct arena *arena, const struct request *request, const struct response *response)
{
    const struct headers headers = response_headers(response);
    const struct str origin = headers_value(headers, arena, STR("Access-Control-Allow-Origin"));
    PROMISE(!response->is_unfit && headers.count <= RESPONSE_HEADERS_MAX);
    for (size_t i = 0; i < headers.count; i++)
        PROMISE(wire_is_token(headers.at[i].name) && wire_is_value(headers.at[i].value));
    PROMISE(!origin.at || str_eq(origin, STR("*")) || str_eq(origin, STR("https://app.test")));
    PROMISE((response->status == 401 || response->status == 403) ==
            (headers_count(headers, STR("WWW-Authenticate")) == 1));
    PROMISE((response->status == 405) <= (headers_count(headers, STR("Allow")) == 1));
    PROMISE(response->status < 400 || str_eq(response->cache_control, STR("no-store")) ||
            str_has_prefix(request->path, STR("/health")));
}

static void check_failure(struct arena *arena, const struct response *response)
{
    const struct str body = buf_str(&response->body);
    const struct json *json, *error, *description;
    PROMISE(!response->records);
    PROMISE(!json_parse(arena, body, &json).code);
    error = json_member(json, STR("error"));
    description = json_member(json, STR("error_description"));
    PROMISE(error && error->kind == JSON_STRING && error->text.len > 0);
    PROMISE(description && description->kind == JSON_STRING && description->text.len > 0);
    for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++)
        PROMISE(!contains(body, tokens[i]));
}

/* What was issued must be good here, say who it is for, and hold nothing that its caller may not give. */
static void check_issued(struct arena *arena, const struct request *request, const struct response *response)
{
    const struct token_ask ask = { .kinds = KIND_ACCESS | KIND_REFRESH | KIND_ID, .expect.max_age_s = -1 };
    const struct json *answer, *body;
    struct verified *entry = NULL;
    PROMISE(!json_parse(arena, buf_str(&response->body), &answer).code &&
            !json_parse(arena, request->body, &body).code);
    PROMISE(!token_check(&service, json_member(answer, STR("token"))->text, &ask, NOW, &entry).code);
    const struct claims *claims = &entry->claims;
    PROMISE(str_eq(claims->iss, STR(ISSUER)) && str_eq(claims->sub, json_member(body, STR("subject"))->text));
    struct str client = json_member(body, STR("clientId"))->text;
    PROMISE(str_eq(entry->kind == TOKEN_ID ? claims->azp : claims->client_id, client));
    PROMISE(claims->iat == NOW && claims->nbf == NOW && claims->exp > NOW && claims->exp <= NOW + 31536000);
    if (!str_eq(response->client_id, STR("admin"))) {
        PROMISE(!json_member(claims->all, STR("role")) && !json_member(claims->all, STR("groups")));
        PROMISE(str_eq(claims->sub, STR("agent")) && str_eq(client, STR("agent")));
    }
    PROMISE(entry->kind == TOKEN_ID ? !response->records : response->records != NULL);
    if (response->records) {
        PROMISE(memcmp(response->records->token_hash, entry->hash, 32) == 0 &&
                response->records->expires_at == claims->exp);
        PROMISE(response->records->kind == RECORD_TOKEN && !response->records->next);
    }
    verified_release(entry);
}

/* It is in force here by now; whoever made it may, and it refuses nothing that is issued later than clocks may differ.
 */
static void check_rule(const struct record *record)
{
    const unsigned char(*hash)[32] = &record->token_hash;
    struct hash_set *rules = rules_set(service.revocations->rules);
    const int64_t before = record->before, expires_at = record->expires_at;
    PROMISE(hash_set_holds(rules, hash, 1, expires_at, before));
    PROMISE(!hash_set_holds(rules, hash, 1, expires_at + 1, 0) && !hash_set_holds(rules, hash, 1, 0, before + 1));
    PROMISE(before >= 0 && before <= NOW + settings.clock_skew_s && expires_at > NOW && expires_at > before);
    PROMISE(record->revokes > REVOKED_TOKEN && record->revokes <= REVOKED_ALL);
    PROMISE((record->revokes == REVOKED_ALL) == (record->target.len == 0));
    PROMISE(str_eq(record->revoked_by, STR("admin")));
}

/* The end of a session is two: one for its tokens, one for the grants that outlive a logout (rule.h). */
static void check_rules(const struct record *first)
{
    const struct record *second = first->next;
    check_rule(first);
    PROMISE((second != NULL) == (first->revokes == REVOKED_SESSION));
    if (!second)
        return;
    check_rule(second);
    PROMISE(second->revokes == REVOKED_SESSION && !second->next && second->before == first->before &&
            memcmp(second->token_hash, first->token_hash, 32) != 0);
}

static void check_success(struct arena *arena, const struct request *request, const struct response *response)
{
    const struct str body = buf_str(&response->body);
    const struct json *json = NULL;
    if (response->status == 200 && (str_eq(response->content_type, STR("application/json")) ||
                                    str_eq(response->content_type, STR("application/jwk-set+json"))))
        PROMISE(!json_parse(arena, body, &json).code && json->kind == JSON_OBJECT);
    if (response->operation == OP_ISSUE && response->status == 200)
        check_issued(arena, request, response);
    if (response->operation == OP_INTROSPECT && response->status == 200 && !contains(body, STR("\"active\":true")))
        PROMISE(str_eq(body, STR("{\"active\":false}")));
    if (response->operation == OP_REVOKE && response->records)
        PROMISE(hash_set_has(service.revocations->revoked, response->records->token_hash));
    if (response->operation == OP_REVOKE_RULE && response->records)
        check_rules(response->records);
}

static void check_answer(struct arena *arena, const struct request *request, const struct response *response)
{
    /* nothing here can fail: a 5xx is a fault, but for pages of the feed that are asked for too often */
    PROMISE(response->status >= 200 && (response->status < 500 || response->operation == OP_FEED));
    PROMISE(!response->body.overflowed && utf8_valid(buf_str(&response->body)));
    check_headers(arena, request, response);
    if (response->status >= 400)
        check_failure(arena, response);
    else
        check_success(arena, request, response);
    bool knows_caller = response->status == 200 &&
                        (response->operation == OP_ISSUE || response->operation == OP_VERIFY ||
                         response->operation == OP_INTROSPECT || response->operation == OP_REVOKE ||
                         response->operation == OP_REVOKE_RULE);
    PROMISE(!knows_caller || str_eq(response->client_id, STR("agent")) || str_eq(response->client_id, STR("admin")));
}

/* The feed stays. */
static void forget_all(void)
{
    struct revocations *revocations = service.revocations;
    hash_set_free(revocations->revoked);
    rules_free(revocations->rules);
    revocations->revoked = hash_set_new(HASH_SET_TOKENS);
    revocations->rules = rules_new();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct response response;
    unsigned char hash[32];
    arena_init(&arena, NULL, 0);
    service.verified = verified_cache_new(64);
    service.clients = clients_new(service.store, settings.client_cache_s, 0);
    sha256(tokens[3], hash);
    hash_set_add(service.revocations->revoked, hash, (struct hash_value){ .expires_at = NOW + 5000 });
    const struct request request = request_of(&arena, input_of(data, size));
    enum err_code needs = service_answer(&service, &request, false, &response);
    if (needs == ERR_NEEDS_TURN)
        needs = service_go_on(&service, &request, false, &response);
    if (needs)
        PROMISE(!service_go_on(&service, &request, true, &response));
    check_answer(&arena, &request, &response);
    service_account(&request, &response, 1000);
    clients_free(service.clients);
    verified_cache_free(service.verified);
    forget_all();
    arena_release(&arena);
    return 0;
}
