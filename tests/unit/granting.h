/* tests/unit/granting.h: a service over the embedded store with a client, and calls of it, for the tests of what oauth/
 * keeps in the store. The clock is the machine's, since rules go by it; now_s moves it for the calls. */
#ifndef GRANTING_H
#define GRANTING_H

#include "jose/jws.h"
#include "keys.h"
#include "oauth/grant.h"
#include "oauth/oauth.h"
#include "oauth/tokens.h"
#include "revocation/revocations.h"
#include "revocation/rule.h"
#include "service/call.h"
#include "service/clients.h"
#include "service/service.h"
#include "store/store.h"
#include <time.h>

enum { CODE_TTL_S = 60, GRACE_S = 30, ACCESS_TTL_S = 600, REFRESH_TTL_S = 86400, LONGEST_S = 90000 };

static struct service service;
static struct oauth oauth; /* users log in elsewhere */
static int64_t now_s;
static struct request request;   /* of the last call */
static struct response response; /* to it */
static struct client client;     /* "app" */
static struct client_metadata registered;
static struct header headers[2];

/* What a list of records comes to in the store. */
static inline struct err keep(struct record *records)
{
    const struct record *const lists[] = { records };
    struct err verdict = { ERR_INTERNAL, "not told" };
    if (!records)
        return OK;
    store->ops->record(store, lists, 1, &verdict);
    return verdict;
}

static inline void add_client(const char *id, const char *metadata)
{
    const struct client added = { .id = str_of(id),
                                  .name = str_of(id),
                                  .scopes = STR("openid profile offline_access stories"),
                                  .is_active = true,
                                  .access_ttl_s = ACCESS_TTL_S,
                                  .metadata = str_of(metadata) };
    assert_ok(store->ops->add_client(store, &added));
}

/* The client that calls from now on. */
static inline void use_client(const char *id)
{
    assert_ok(clients_find_active(service.clients, &arena, str_of(id), &client));
    client_metadata_read(&arena, client.metadata, client.is_public, &registered);
}

static inline int granting_begin(void **state)
{
    if (keys_begin(state))
        return -1;
    now_s = (int64_t)time(NULL);
    settings.issuer = "https://auth.test";
    settings.privileged_claims = "";
    settings.token_max_bytes = 4096;
    settings.records = RECORDS_GRANTS;
    settings.access_ttl_s = settings.access_ttl_max_s = settings.id_ttl_s = settings.id_ttl_max_s = 3600;
    settings.refresh_ttl_s = settings.refresh_ttl_max_s = REFRESH_TTL_S;
    settings.code_ttl_s = CODE_TTL_S;
    settings.refresh_grace_s = GRACE_S;
    settings.session_ttl_s = 3600;
    settings.clock_skew_s = 5;
    service = (struct service){ .settings = &settings,
                                .store = store,
                                .signer = signer,
                                .keyring = ring,
                                .oauth = &oauth,
                                .clients = clients_new(store, 1000, 1000),
                                .revocations = revocations_new(&settings, store, NULL, ring),
                                .audience = STR("https://api.test") };
    add_client("app", "{\"grant_types\":[\"authorization_code\",\"refresh_token\"]}");
    add_client("other", "{\"grant_types\":[\"authorization_code\",\"refresh_token\"]}");
    use_client("app");
    return 0;
}

static inline int granting_finish(void **state)
{
    revocations_close(service.revocations);
    clients_free(service.clients);
    return keys_finish(state);
}

/* A call of that client with a form, on a worker. */
static inline struct call call_with(const char *form)
{
    request = (struct request){
        .arena = &arena, .method = METHOD_POST, .now_s = now_s, .id = STR("test"), .headers = { headers, 0 }
    };
    struct call call = { .service = &service,
                         .request = &request,
                         .may_wait = true,
                         .caller = { .client_id = client.id, .client = &client } };
    response_init(&response, &arena);
    assert_ok(form_read(&arena, str_of(form), &call.form));
    return call;
}

/* The same with what the browser sends along. */
static inline struct call call_with_cookies(struct str cookies)
{
    struct call call = call_with("");
    headers[0] = (struct header){ STR("Cookie"), cookies };
    request.headers.count = cookies.len > 0;
    return call;
}

/* "name=value" of the cookie that the response sets last; "" when it sets none. */
static inline struct str cookie_of_response(void)
{
    for (size_t i = response.header_count; i-- > 0;) {
        struct str rest = response.headers[i].value, pair;
        if (str_eq_nocase(response.headers[i].name, STR("Set-Cookie")) && str_cut(&rest, ';', &pair))
            return arena_copy(&arena, pair);
    }
    return STR("");
}

static inline const struct json *json_of(struct str text)
{
    const struct json *json = NULL;
    assert_ok(json_parse(&arena, text, &json));
    return json;
}

/* Everything that was issued up to now to that session is refused. */
static inline void revoke_session(const char *sid)
{
    struct record rule = { .kind = RECORD_REVOCATION,
                           .revokes = REVOKED_SESSION,
                           .before = (int64_t)time(NULL),
                           .expires_at = now_s + LONGEST_S,
                           .issued_at = now_s };
    uint64_t announced = 0;
    rule_hash(REVOKED_SESSION, str_of(sid), rule.token_hash);
    assert_ok(revocations_make(service.revocations, &rule, &announced));
}

static inline struct str hash_str(const unsigned char hash[32])
{
    return (struct str){ (const char *)hash, 32 };
}

static inline bool says(struct str text, const char *part)
{
    return memmem(text.at, text.len, part, strlen(part)) != NULL;
}

/* Changes what an item says, as nobody should: everything after that goes by the new text. */
static inline void rewrite(const struct item *item, const char *body)
{
    struct item changed = *item;
    struct record record = { .kind = RECORD_ITEM, .item = &changed, .item_version = item->version, .item_change = 7 };
    changed.body = str_of(body);
    assert_ok(keep(&record));
}

/* A request of the token endpoint, by the client that calls. */
static inline struct token_request request_of(struct call *call)
{
    return (struct token_request){
        .call = call, .client = &client, .registered = &registered, .scope = form_value(&call->form, STR("scope"))
    };
}

/* A grant of a user's to the client that calls, in the store; the text of its first refresh token. */
static inline struct str new_grant(const char *scope, const char *sid, struct family *out)
{
    struct call call = call_with("");
    const struct token_request asked = request_of(&call);
    const struct family_terms terms = tokens_terms(&asked);
    struct refresh_token token;
    struct family family = { .client_id = client.id,
                             .expires_at = now_s + REFRESH_TTL_S,
                             .granted = { .scope = str_of(scope),
                                          .sub = STR("ada"),
                                          .sid = str_of(sid),
                                          .acr = STR("1"),
                                          .auth_time = now_s - 7,
                                          .amr = { STR("pwd"), STR("otp") },
                                          .amr_count = 2 } };
    struct item item = { .kind = ITEM_GRANT,
                         .expires_at = family.expires_at,
                         .client_id = client.id,
                         .subject = STR("ada"),
                         .sid = str_of(sid) };
    assert_ok(family_begin(&family, &terms, now_s, &token));
    family_row_id(family.grant_id, item.id);
    assert_ok(family_write(&family, &arena, &item.body));
    assert_ok(keep(item_put(&arena, &item, 0, NULL)));
    *out = family;
    return arena_copy(&arena, refresh_token_text(&token));
}

/* As the store has it now. */
static inline struct grant grant_in_store(const struct family *family)
{
    unsigned char id[32];
    struct grant grant;
    family_row_id(family->grant_id, id);
    assert_ok(grant_of_id(store, &arena, id, &grant));
    return grant;
}

static inline const struct record *revocation_among(const struct record *records)
{
    for (; records; records = records->next)
        if (records->kind == RECORD_REVOCATION)
            return records;
    return NULL;
}

/* What a token says. */
static inline const struct json *claims_of(struct str token)
{
    struct jws_parts parts;
    struct str payload;
    assert_ok(jws_split(token, &parts));
    assert_ok(jws_read_payload(&arena, parts.payload, &payload));
    return json_of(arena_copy(&arena, payload));
}

static inline const struct json *claim(struct str token, const char *name)
{
    return json_member(claims_of(token), str_of(name));
}

#endif
