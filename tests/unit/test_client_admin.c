/* test_client_admin.c: changes to clients, which this process acts on at once. (The command line over them:
 * tests/integration/test_cli.py.) */
#include "service/client_admin.h"
#include "folder.h"
#include "jose/jws.h"
#include "observe/log.h"
#include "service/call.h"
#include "service/client_metadata.h"
#include "service/clients.h"
#include "service/service.h"

static struct settings settings;
static struct service service;

static int begin(void **state)
{
    if (folder_begin(state))
        return -1;
    log_configure(LOG_ERROR, LOG_JSON);
    settings = (struct settings){ .data_dir = folder };
    service = (struct service){ .settings = &settings };
    assert_ok(store_sqlite_open(&settings, &service.store));
    service.clients = clients_new(service.store, 1000, 1000);
    return 0;
}

static int finish(void **state)
{
    clients_free(service.clients);
    store_closep(&service.store);
    return folder_finish(state);
}

static const struct caller operator= { .is_operator = true };

static const struct json *json_of(const char *text)
{
    const struct json *json;
    assert_ok(json_parse(&arena, str_of(text), &json));
    return json;
}

enum { SECRET_SIZE = 44 };

static struct client found(const char *id)
{
    struct client client;
    assert_ok(service.store->ops->find_client(service.store, &arena, str_of(id), &client));
    return client;
}

static struct str text_of(struct str object, const char *name)
{
    const struct json *json;
    assert_ok(json_parse(&arena, object, &json));
    const struct json *member = json_member(json, str_of(name));
    return member ? member->text : STR("");
}

/* The client as the store has it, and its secret as it was shown. */
static struct err take(struct err err, const struct buf *shown, struct client *out, char secret[SECRET_SIZE])
{
    if (err.code)
        return err;
    struct str told = text_of(buf_str(shown), "client_secret");
    assert_true(told.len < SECRET_SIZE);
    memcpy(secret, told.at, told.len);
    secret[told.len] = '\0';
    *out = found(arena_copy(&arena, text_of(buf_str(shown), "client_id")).at);
    return OK;
}

static struct buf room(void)
{
    struct buf out;
    buf_init(&out, &arena, 256, 64 * 1024);
    return out;
}

static struct err add(const char *text, struct client *out, char secret[SECRET_SIZE])
{
    struct buf shown = room();
    struct str id;
    struct err err = client_admin_add(&service, &arena, &operator, json_of(text), 1000, &id, &shown);
    return take(err, &shown, out, secret);
}

static struct err change(const char *id, const char *patch, struct client *out)
{
    struct buf shown = room();
    char none[SECRET_SIZE];
    struct err err = client_admin_change(&service, &arena, &operator, str_of(id), json_of(patch), &shown);
    err = take(err, &shown, out, none);
    assert_true(err.code || none[0] == '\0');
    return err;
}

static struct err renew(const char *id, int64_t overlap_s, int64_t now_s, struct client *out, char secret[SECRET_SIZE])
{
    struct buf shown = room();
    struct err err = client_admin_renew_secret(&service, &arena, &operator, str_of(id), overlap_s, now_s, &shown);
    return take(err, &shown, out, secret);
}

static struct str shown(const char *id)
{
    struct buf out = room();
    assert_ok(client_admin_show(&service, &arena, str_of(id), &out));
    return buf_str(&out);
}

static bool says(struct str text, const char *part)
{
    return memmem(text.at, text.len, part, strlen(part)) != NULL;
}

/* As a loop sees it: in memory. */
static struct client in_memory(const char *id)
{
    struct client client = { .is_active = false };
    assert_true(clients_get(service.clients, &arena, str_of(id), 0, &client));
    return client;
}

static bool is_hash_of(const unsigned char hash[32], const char *secret)
{
    unsigned char of_secret[32];
    sha256(str_of(secret), of_secret);
    return memcmp(hash, of_secret, sizeof of_secret) == 0;
}

static bool is_empty(const unsigned char hash[32])
{
    static const unsigned char none[32] = { 0 };
    return memcmp(hash, none, sizeof none) == 0;
}

struct seen {
    struct str ids[4], objects[4];
    size_t count, wanted;
};

static bool see(void *context, struct str id, struct str object)
{
    struct seen *seen = context;
    seen->ids[seen->count] = id;
    seen->objects[seen->count++] = object;
    return seen->count < seen->wanted;
}

static void what_is_added_is_listed_without_its_secret(void **state)
{
    char secret[SECRET_SIZE] = "", none[SECRET_SIZE] = "x";
    struct client one, open;
    struct seen seen = { .wanted = 4 }, first = { .wanted = 1 };
    (void)state;
    assert_ok(add("{\"client_id\":\"one\",\"scope\":\"a b\",\"access_token_ttl\":60}", &one, secret));
    assert_int_equal(strlen(secret), SECRET_SIZE - 1);
    assert_ok(
        add("{\"client_id\":\"open\",\"token_endpoint_auth_method\":\"none\",\"client_name\":\"N\"}", &open, none));
    assert_string_equal(none, "");
    assert_code(add("{\"client_id\":\"one\"}", &one, none), ERR_CONFLICT, "the same id again");
    assert_str(one.name, "one");
    assert_str(one.scopes, "a b");
    assert_true(open.is_public && one.is_active && one.created_at == 1000 && one.access_ttl_s == 60);
    assert_true(is_hash_of(one.secret_hash, secret) && is_empty(open.secret_hash));
    assert_ok(client_admin_list(&service, &arena, STR(""), 10, see, &seen));
    assert_int_equal(seen.count, 2);
    assert_str(seen.ids[0], "one");
    assert_true(says(seen.objects[0], "\"access_token_ttl\":60") && !says(seen.objects[0], "client_secret\""));
    assert_str(seen.objects[1],
               "{\"client_id\":\"open\",\"client_name\":\"N\",\"client_type\":\"public\",\"scope\":\"\","
               "\"is_active\":true,\"created_at\":1000,\"application_type\":\"web\",\"redirect_uris\":[],"
               "\"grant_types\":[],\"response_types\":[],\"token_endpoint_auth_method\":\"none\",\"subject_type\":"
               "\"public\",\"id_token_signed_response_alg\":\"RS256\",\"require_pkce\":true}");
    assert_str(shown("open"), arena_copy(&arena, seen.objects[1]).at);
    assert_ok(client_admin_list(&service, &arena, STR("a"), 10, see, &first));
    assert_int_equal(first.count, 1);
}

/* OpenID Connect Dynamic Client Registration 1.0 section 2: what the metadata does not name is not to be had. */
static void what_is_signed_here_is_signed_by_one_algorithm(void **state)
{
    static const char *const members[] = { "id_token_signed_response_alg", "userinfo_signed_response_alg" };
    char secret[SECRET_SIZE] = "";
    struct client client;
    (void)state;
    settings.signing_alg = JWA_ES256;
    for (size_t i = 0; i < COUNT(members); i++) {
        const char *id = arena_printf(&arena, "alg-%zu", i).at;
        assert_code(add(arena_printf(&arena, "{\"%s\":\"PS256\"}", members[i]).at, &client, secret),
                    ERR_CLIENT_METADATA, members[i]);
        assert_ok(
            add(arena_printf(&arena, "{\"client_id\":\"%s\",\"%s\":\"ES256\"}", id, members[i]).at, &client, secret));
        settings.signing_alg = JWA_PS256; /* the operator has changed it: what was registered stays */
        assert_ok(change(id, "{\"client_name\":\"another\"}", &client));
        assert_ok(change(id, arena_printf(&arena, "{\"%s\":\"ES256\"}", members[i]).at, &client));
        assert_code(change(id, arena_printf(&arena, "{\"%s\":\"EdDSA\"}", members[i]).at, &client), ERR_CLIENT_METADATA,
                    members[i]);
        assert_ok(change(id, arena_printf(&arena, "{\"%s\":\"PS256\"}", members[i]).at, &client));
        settings.signing_alg = JWA_ES256;
    }
    settings.signing_alg = 0;
}

static void a_client_without_an_id_gets_one(void **state)
{
    char secret[SECRET_SIZE];
    struct client one, two;
    (void)state;
    assert_ok(add("{}", &one, secret));
    assert_ok(add("{\"client_id\":null}", &two, secret));
    assert_true(one.id.len == 22 && two.id.len == 22 && !str_eq(one.id, two.id));
    assert_str(found(arena_copy(&arena, one.id).at).metadata, one.metadata.at);
}

static void a_client_that_authenticates_with_a_key_has_no_secret(void **state)
{
    char secret[SECRET_SIZE] = "x";
    struct client one;
    (void)state;
    assert_ok(add("{\"client_id\":\"k\",\"token_endpoint_auth_method\":\"private_key_jwt\",\"jwks_uri\":"
                  "\"https://a.example/jwks\"}",
                  &one, secret));
    assert_string_equal(secret, "");
    assert_true(is_empty(found("k").secret_hash) && !one.is_public);
    assert_code(renew("k", 0, 1000, &one, secret), ERR_NOT_FOUND, "it has none");
    assert_ok(change("k", "{\"token_endpoint_auth_method\":\"client_secret_post\"}", &one));
    assert_ok(renew("k", 60, 1000, &one, secret));
    assert_true(is_empty(one.old_secret_hash) && one.old_secret_until == 0); /* there was none before */
    assert_ok(change("k", "{\"token_endpoint_auth_method\":\"private_key_jwt\"}", &one));
    assert_true(is_empty(found("k").secret_hash));
}

static void what_may_not_be_is_refused(void **state)
{
    static const struct {
        const char *text;
        enum err_code code;
    } rows[] = { { "{\"client_id\":\"\"}", ERR_INVALID_REQUEST },
                 { "{\"client_id\":\"a\\tb\"}", ERR_INVALID_REQUEST },
                 { "{\"client_id\":\"caf\\u00e9\"}", ERR_INVALID_REQUEST },
                 { "{\"client_id\":1}", ERR_INVALID_REQUEST },
                 { "{\"scope\":\"a\\\"b\"}", ERR_INVALID_REQUEST },
                 { "{\"scope\":\"a\\\\b\"}", ERR_INVALID_REQUEST },
                 { "{\"is_active\":1}", ERR_INVALID_REQUEST },
                 { "{\"access_token_ttl\":0}", ERR_INVALID_REQUEST },
                 { "{\"client_secret\":\"x\"}", ERR_INVALID_REQUEST },
                 { "{\"created_at\":1}", ERR_INVALID_REQUEST },
                 { "{\"old_secret_until\":1}", ERR_INVALID_REQUEST },
                 { "{\"redirect_uris\":[\"x\"]}", ERR_REDIRECT_URI },
                 { "{\"grant_types\":[\"password\"]}", ERR_CLIENT_METADATA },
                 { "[]", ERR_INVALID_REQUEST } };
    char secret[SECRET_SIZE];
    struct client one;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_code(add(rows[i].text, &one, secret), rows[i].code, rows[i].text);
    assert_ok(add("{\"client_id\":\"one\"}", &one, secret));
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_code(change("one", rows[i].text, &one), rows[i].code, rows[i].text);
    assert_code(change("one", "{\"client_id\":\"two\"}", &one), ERR_INVALID_REQUEST, "an id is for ever");
    assert_code(change("one", "{\"token_endpoint_auth_method\":\"none\"}", &one), ERR_CLIENT_METADATA, "public");
}

static void a_patch_changes_what_it_names_and_leaves_the_rest(void **state)
{
    char secret[SECRET_SIZE];
    struct client one;
    (void)state;
    assert_ok(add("{\"client_id\":\"one\",\"scope\":\"a\",\"client_name\":\"N\",\"refresh_token_ttl\":70,"
                  "\"redirect_uris\":[\"https://a.example/cb\"],\"contacts\":[\"x\"]}",
                  &one, secret));
    assert_ok(change("one", "{\"scope\":\"a b\",\"contacts\":null,\"tos_uri\":\"https://a.example/t\"}", &one));
    one = found("one");
    assert_str(one.scopes, "a b");
    assert_str(one.name, "N");
    assert_true(one.refresh_ttl_s == 70 && is_hash_of(one.secret_hash, secret));
    assert_true(says(one.metadata, "https://a.example/cb") && says(one.metadata, "/t"));
    assert_false(says(one.metadata, "contacts"));
    assert_ok(change("one", "{\"refresh_token_ttl\":null,\"scope\":null,\"client_name\":null}", &one));
    one = found("one");
    assert_true(one.refresh_ttl_s == 0 && one.scopes.len == 0 && one.name.len == 0);
    assert_ok(change("one", "{\"redirect_uris\":null,\"grant_types\":[\"client_credentials\"]}", &one));
    assert_true(says(found("one").metadata, "\"response_types\":[]"));
}

/* Else an operator could not disable a client before its metadata is in order. */
static void a_change_of_something_else_leaves_what_the_platform_wrote(void **state)
{
    const struct client platforms = { .id = STR("p"),
                                      .name = STR("P"),
                                      .scopes = STR("caf\xc3\xa9"),
                                      .is_active = true,
                                      .metadata = STR("{\"grant_types\":[\"implicit\"],\"own\":1}") };
    struct client one;
    (void)state;
    assert_ok(service.store->ops->add_client(service.store, &platforms));
    assert_ok(change("p", "{\"is_active\":false}", &one));
    one = found("p");
    assert_false(one.is_active);
    assert_str(one.metadata, platforms.metadata.at);
    assert_str(one.scopes, platforms.scopes.at);
    assert_ok(change("p", "{\"require_auth_time\":true}", &one));
    assert_false(says(one.metadata, "implicit"));
}

static void a_change_is_in_force_here_at_once(void **state)
{
    char first[SECRET_SIZE], second[SECRET_SIZE];
    struct client one, client;
    (void)state;
    assert_ok(add("{\"client_id\":\"one\"}", &one, first));
    assert_ok(clients_find(service.clients, &arena, STR("one"), 0, &client));
    assert_true(is_hash_of(client.secret_hash, first));
    assert_ok(renew("one", 0, 1000, &one, second));
    client = in_memory("one");
    assert_true(is_hash_of(client.secret_hash, second) && is_empty(client.old_secret_hash));
    assert_ok(change("one", "{\"is_active\":false}", &one));
    assert_false(in_memory("one").is_active);
    assert_ok(change("one", "{\"is_active\":true,\"tos_uri\":\"https://a.example/\"}", &one));
    assert_true(in_memory("one").is_active && says(in_memory("one").metadata, "tos_uri"));
    assert_ok(client_admin_delete(&service, &arena, &operator, STR("one")));
    assert_false(clients_get(service.clients, &arena, STR("one"), 0, &client));
}

static void two_secrets_overlap_and_no_third(void **state)
{
    char secrets[3][SECRET_SIZE];
    struct client one;
    (void)state;
    assert_ok(add("{\"client_id\":\"one\"}", &one, secrets[0]));
    assert_ok(renew("one", 60, 1000, &one, secrets[1]));
    one = found("one");
    assert_true(is_hash_of(one.secret_hash, secrets[1]) && is_hash_of(one.old_secret_hash, secrets[0]));
    assert_int_equal(one.old_secret_until, 1060);
    assert_true(says(shown("one"), "\"old_secret_until\":1060"));
    assert_ok(renew("one", 30, 1010, &one, secrets[2]));
    one = found("one");
    assert_true(is_hash_of(one.secret_hash, secrets[2]) && is_hash_of(one.old_secret_hash, secrets[1]));
    assert_int_equal(one.old_secret_until, 1040);
    assert_ok(change("one", "{\"old_secret_until\":null}", &one));
    one = found("one");
    assert_true(is_hash_of(one.secret_hash, secrets[2]) && is_empty(one.old_secret_hash) && one.old_secret_until == 0);
}

static void who_is_not_there_or_public_is_not_found(void **state)
{
    char secret[SECRET_SIZE];
    struct client out;
    (void)state;
    assert_ok(add("{\"client_id\":\"public\",\"token_endpoint_auth_method\":\"none\"}", &out, secret));
    assert_code(renew("public", 0, 1000, &out, secret), ERR_NOT_FOUND, "public");
    assert_code(renew("x", 0, 1000, &out, secret), ERR_NOT_FOUND, "nobody");
    assert_code(change("x", "{}", &out), ERR_NOT_FOUND, "nobody");
    struct buf nothing = room();
    assert_code(client_admin_show(&service, &arena, STR("x"), &nothing), ERR_NOT_FOUND, "nobody");
    assert_code(client_admin_delete(&service, &arena, &operator, STR("x")), ERR_NOT_FOUND, "nobody");
}

/* --- pairwise subjects ------------------------------------------------------------------------------------------- */

static struct {
    size_t asked; /* how often */
    bool refuses;
    char uri[64];
    size_t redirect_uris;
} sector;

static struct err look_at_sector(const struct service *asking, struct arena *in,
                                 const struct client_metadata *registered)
{
    assert_true(asking == &service && in != NULL);
    sector.asked++;
    sector.redirect_uris = registered->redirect_uris.count;
    snprintf(sector.uri, sizeof sector.uri, "%.*s", (int)registered->sector_identifier_uri.len,
             registered->sector_identifier_uri.at);
    return sector.refuses ? failed(ERR_CLIENT_METADATA, "it is refused") : OK;
}

static void pairwise_needs_the_salt(void **state)
{
    static const char pairwise[] = "{\"client_id\":\"one\",\"redirect_uris\":[\"https://a.example/cb\"],"
                                   "\"subject_type\":\"pairwise\"}";
    char secret[SECRET_SIZE];
    struct client one;
    (void)state;
    settings.pairwise_salt = "";
    struct err err = add(pairwise, &one, secret);
    assert_code(err, ERR_CLIENT_METADATA, "no salt");
    assert_non_null(strstr(err.why, "subject_type"));
    assert_code(change("one", "{}", &one), ERR_NOT_FOUND, "it was not added");
    assert_ok(add("{\"client_id\":\"two\",\"redirect_uris\":[\"https://a.example/cb\"]}", &one, secret));
    assert_code(change("two", "{\"subject_type\":\"pairwise\"}", &one), ERR_CLIENT_METADATA, "no salt");
    settings.pairwise_salt = "0123456789abcdef0123456789abcdef";
    assert_ok(add(pairwise, &one, secret));
    assert_true(says(shown("one"), "\"subject_type\":\"pairwise\""));
    assert_ok(change("two", "{\"subject_type\":\"pairwise\"}", &one));
    settings.pairwise_salt = ""; /* it is gone again: what has nothing to do with it goes on */
    assert_ok(change("one", "{\"is_active\":false,\"tos_uri\":\"https://a.example/\"}", &one));
    assert_code(change("one", "{\"redirect_uris\":[\"https://a.example/2\"]}", &one), ERR_CLIENT_METADATA, "no salt");
    assert_ok(change("one", "{\"redirect_uris\":[\"https://a.example/2\"],\"subject_type\":\"public\"}", &one));
}

static void a_sector_is_looked_at_whenever_it_may_have_changed(void **state)
{
    static const struct {
        const char *patch;
        bool is_asked;
    } rows[] = {
        { "{\"client_name\":\"N\",\"scope\":\"a\"}", false },
        { "{\"is_active\":false}", false },
        { "{\"contacts\":[\"a@a.example\"]}", false },
        { "{\"redirect_uris\":[\"https://a.example/1\",\"https://b.example/2\"]}", false }, /* as they are */
        { "{\"redirect_uris\":[\"https://b.example/2\",\"https://a.example/1\"]}", true },
        { "{\"redirect_uris\":[\"https://b.example/2\"]}", true },
        { "{\"redirect_uris\":[\"https://b.example/2\",\"https://c.example/3\"]}", true },
        { "{\"subject_type\":\"public\"}", true },
        { "{\"subject_type\":\"pairwise\"}", true },
        { "{\"sector_identifier_uri\":\"https://s.example/other\"}", true },
        { "{\"sector_identifier_uri\":null,\"subject_type\":\"public\"}", false }, /* there is none any more */
    };
    char secret[SECRET_SIZE];
    struct client one;
    (void)state;
    settings.pairwise_salt = "0123456789abcdef0123456789abcdef";
    service.check_sector = look_at_sector;
    sector.asked = 0;
    sector.refuses = false;
    assert_ok(add("{\"client_id\":\"one\",\"redirect_uris\":[\"https://a.example/1\",\"https://b.example/2\"],"
                  "\"subject_type\":\"pairwise\",\"sector_identifier_uri\":\"https://s.example/list\"}",
                  &one, secret));
    assert_true(sector.asked == 1 && sector.redirect_uris == 2);
    assert_string_equal(sector.uri, "https://s.example/list");
    for (size_t i = 0; i < COUNT(rows); i++) {
        sector.asked = 0;
        assert_ok(change("one", rows[i].patch, &one));
        assert_row(sector.asked == (rows[i].is_asked ? 1 : 0), rows[i].patch);
    }
}

static void a_sector_that_is_refused_refuses_the_client(void **state)
{
    static const char wanted[] = "{\"client_id\":\"one\",\"redirect_uris\":[\"https://a.example/1\"],"
                                 "\"sector_identifier_uri\":\"https://s.example/list\"}";
    char secret[SECRET_SIZE];
    struct client one;
    (void)state;
    assert_code(add(wanted, &one, secret), ERR_CLIENT_METADATA, "nobody can fetch it");
    service.check_sector = look_at_sector;
    sector.refuses = true;
    assert_code(add(wanted, &one, secret), ERR_CLIENT_METADATA, "it is refused");
    assert_code(change("one", "{}", &one), ERR_NOT_FOUND, "it was not added");
    sector.refuses = false;
    assert_ok(add(wanted, &one, secret));
    sector.refuses = true;
    assert_code(change("one", "{\"redirect_uris\":[\"https://a.example/2\"]}", &one), ERR_CLIENT_METADATA, "refused");
    assert_true(says(found("one").metadata, "https://a.example/1"));
}

/* --- others at the same time ------------------------------------------------------------------------------------- */

/* A store that somebody else changes before each of the first `hurries` changes here; with `loses`, the first change
 * is made, and its answer lost. */
static struct {
    struct store store;
    struct store *below;
    int hurries;
    bool loses;
} busy;

static struct err busy_find(struct store *store, struct arena *in, struct str id, struct client *out)
{
    (void)store;
    return busy.below->ops->find_client(busy.below, in, id, out);
}

static struct err busy_change(struct store *store, const struct client *client, int64_t version)
{
    struct client other;
    (void)store;
    if (busy.loses) {
        busy.loses = false;
        assert_ok(busy.below->ops->change_client(busy.below, client, version));
        return failed(ERR_CONFLICT, "as the second try of a call says");
    }
    if (busy.hurries-- > 0) {
        assert_ok(busy.below->ops->find_client(busy.below, &arena, client->id, &other));
        other.access_ttl_s++;
        assert_ok(busy.below->ops->change_client(busy.below, &other, other.version));
    }
    return busy.below->ops->change_client(busy.below, client, version);
}

static const struct store_ops busy_ops = { .name = "busy", .find_client = busy_find, .change_client = busy_change };

static void a_change_undoes_nobody_elses(void **state)
{
    char secret[SECRET_SIZE], renewed[SECRET_SIZE];
    struct client one;
    (void)state;
    assert_ok(add("{\"client_id\":\"one\",\"access_token_ttl\":10}", &one, secret));
    busy.below = service.store;
    busy.store.ops = &busy_ops;
    struct service other = { .store = &busy.store };
    struct buf out = room();
    busy.hurries = 3;
    assert_ok(client_admin_change(&other, &arena, &operator, STR("one"), json_of("{\"scope\":\"a\"}"), &out));
    one = found("one");
    assert_int_equal(one.access_ttl_s, 13);
    assert_str(one.scopes, "a");
    busy.hurries = 100;
    assert_code(client_admin_change(&other, &arena, &operator, STR("one"), json_of("{\"scope\":\"b\"}"), &out),
                ERR_UNAVAILABLE, "there is no end to it");
    assert_str(found("one").scopes, "a");
    busy.hurries = 0;
    busy.loses = true;
    out.len = 0;
    assert_ok(
        take(client_admin_renew_secret(&other, &arena, &operator, STR("one"), 60, 1000, &out), &out, &one, renewed));
    assert_true(is_hash_of(one.secret_hash, renewed) && is_hash_of(one.old_secret_hash, secret));
}

#define OF_ITS_OWN(function) cmocka_unit_test_setup_teardown(function, begin, finish)
RUN(OF_ITS_OWN(what_is_added_is_listed_without_its_secret), OF_ITS_OWN(a_client_without_an_id_gets_one),
    OF_ITS_OWN(what_is_signed_here_is_signed_by_one_algorithm),
    OF_ITS_OWN(a_client_that_authenticates_with_a_key_has_no_secret), OF_ITS_OWN(what_may_not_be_is_refused),
    OF_ITS_OWN(a_patch_changes_what_it_names_and_leaves_the_rest),
    OF_ITS_OWN(a_change_of_something_else_leaves_what_the_platform_wrote),
    OF_ITS_OWN(a_change_is_in_force_here_at_once), OF_ITS_OWN(two_secrets_overlap_and_no_third),
    OF_ITS_OWN(who_is_not_there_or_public_is_not_found), OF_ITS_OWN(pairwise_needs_the_salt),
    OF_ITS_OWN(a_sector_is_looked_at_whenever_it_may_have_changed),
    OF_ITS_OWN(a_sector_that_is_refused_refuses_the_client), OF_ITS_OWN(a_change_undoes_nobody_elses))
