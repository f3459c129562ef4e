/* test_store.c: one suite for every store (stores.h): what store.h promises, through its interface alone. What only
 * some have (positions that others give too; a file, a schema) comes after. Items are in test_store_items.c. */
#include "stores.h"
#include "base/json.h"
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What has a column of the platform's, and what has none. */
#define METADATA                                                                                                       \
    "{\"application_type\":\"native\",\"redirect_uris\":[\"https://a.example/cb\",\"com.example:/cb?x=%41\"],"         \
    "\"grant_types\":[\"authorization_code\",\"refresh_token\"],\"response_types\":[\"code\"],"                        \
    "\"token_endpoint_auth_method\":\"private_key_jwt\",\"jwks_uri\":\"https://a.example/jwks\","                      \
    "\"subject_type\":\"pairwise\",\"id_token_signed_response_alg\":\"ES256\",\"require_pkce\":false,"                 \
    "\"tos_uri\":\"https://a.example/\",\"contacts\":[\"\u00e4\\\"\\n@a.example\"],\"refresh_token_grace\":0}"

static struct client client_of(const char *id)
{
    struct client client = { .id = str_of(id),
                             .name = STR("A name"),
                             .scopes = STR("token:issue token:verify"),
                             .access_ttl_s = 60,
                             .refresh_ttl_s = 70,
                             .id_ttl_s = 80,
                             .is_active = true,
                             .created_at = 1800000000,
                             .metadata = STR(METADATA) };
    memset(client.secret_hash, 0x5a, sizeof client.secret_hash);
    return client;
}

/* A rule; its hash is for the store any 32 bytes. */
static struct record rule_of(uint64_t number, enum revocation_kind revokes, int64_t before, int64_t expires_at)
{
    struct record record = revocation_of(number, 0, expires_at);
    record.token_expires_at = 0;
    record.revokes = revokes;
    record.before = before;
    record.target = revokes == REVOKED_ALL ? STR("") : STR("target");
    return record;
}

static size_t since(struct store *store, int64_t after, int64_t now_s, size_t max, struct revocation **out)
{
    size_t count = 12345;
    struct sequence sequence = { 0, 0 };
    assert_ok(store->ops->revocations_since(store, &arena, after, now_s, max, out, &count, &sequence));
    assert_true(count <= max);
    assert_true(sequence.epoch != 0);
    for (size_t i = 0; i < count; i++)
        assert_true((*out)[i].position <= sequence.last);
    return count;
}

/* --- clients ----------------------------------------------------------------------------------------------------- */

static void a_client_is_found_as_it_was_added(void **state)
{
    OPEN(store);
    struct client got, wanted = client_of("one");
    (void)state;
    assert_ok(store->ops->add_client(store, &wanted));
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_str(got.id, "one");
    assert_str(got.name, "A name");
    assert_str(got.scopes, "token:issue token:verify");
    assert_int_equal(got.access_ttl_s, 60);
    assert_int_equal(got.refresh_ttl_s, 70);
    assert_int_equal(got.id_ttl_s, 80);
    assert_int_equal(got.created_at, 1800000000);
    assert_true(got.is_active);
    assert_false(got.is_public);
    assert_memory_equal(got.secret_hash, wanted.secret_hash, 32);
}

static void only_that_very_client_is_found(void **state)
{
    static const struct str others[] = { ROW(""),       ROW("On"),          ROW("one"),
                                         ROW("ONE"),    ROW("One "),        ROW("One\0"),
                                         ROW("One\0x"), ROW("%"),           ROW("O_e"),
                                         ROW("O*"),     ROW("' OR 1=1 --"), ROW("One'; DROP TABLE oauth_clients; --") };
    OPEN(store);
    struct client got, wanted = client_of("One");
    (void)state;
    assert_code(store->ops->find_client(store, &arena, STR("One"), &got), ERR_NOT_FOUND, "none yet");
    assert_ok(store->ops->add_client(store, &wanted));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_code(store->ops->find_client(store, &arena, others[i], &got), ERR_NOT_FOUND, others[i].at);
    assert_code(store->ops->find_client(store, &arena, (struct str){ NULL, 0 }, &got), ERR_NOT_FOUND, "NULL");
    assert_ok(store->ops->find_client(store, &arena, STR("One"), &got));
}

static void any_text_comes_back_byte_by_byte(void **state)
{
    static const struct str texts[] = { ROW("'; DROP TABLE oauth_clients; --"),
                                        ROW("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"),
                                        ROW("a\0b"),
                                        ROW("\"\\\r\n\t"),
                                        ROW(" "),
                                        ROW("%_*?") };
    OPEN(store);
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct client got, wanted = client_of("x");
        wanted.id = wanted.name = wanted.scopes = texts[i];
        if (str_has(texts[i], '\0') && kind > 0) { /* PostgreSQL has no such texts: refused, not cut short */
            assert_code(store->ops->add_client(store, &wanted), ERR_INVALID_REQUEST, "NUL");
            assert_code(store->ops->find_client(store, &arena, texts[i], &got), ERR_NOT_FOUND, "NUL");
            continue;
        }
        assert_code(store->ops->add_client(store, &wanted), ERR_OK, texts[i].at);
        assert_code(store->ops->find_client(store, &arena, texts[i], &got), ERR_OK, texts[i].at);
        assert_row(str_eq(got.id, texts[i]) && str_eq(got.name, texts[i]) && str_eq(got.scopes, texts[i]), texts[i].at);
    }
}

static void a_clients_id_is_taken_once(void **state)
{
    OPEN(store);
    struct client got, first = client_of("one"), second = client_of("one");
    (void)state;
    second.name = STR("Another");
    memset(second.secret_hash, 1, 32);
    assert_ok(store->ops->add_client(store, &first));
    assert_code(store->ops->add_client(store, &second), ERR_CONFLICT, "the same id");
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_str(got.name, "A name");
    assert_memory_equal(got.secret_hash, first.secret_hash, 32);
    got.is_active = false;
    assert_ok(store->ops->change_client(store, &got, got.version));
    assert_code(store->ops->add_client(store, &second), ERR_CONFLICT, "a disabled one's id");
}

static void a_public_client_has_no_secret(void **state)
{
    OPEN(store);
    struct client got, client = client_of("pub");
    (void)state;
    client.is_public = true;
    memset(client.secret_hash, 0, 32);
    assert_ok(store->ops->add_client(store, &client));
    assert_ok(store->ops->find_client(store, &arena, STR("pub"), &got));
    assert_true(got.is_public);
    assert_memory_equal(got.secret_hash, client.secret_hash, 32);
}

/* Changes it as it stands now. */
static struct err disable(struct store *store, struct str id, bool is_active)
{
    struct client client;
    struct err err = store->ops->find_client(store, &arena, id, &client);
    if (err.code)
        return err;
    client.is_active = is_active;
    return store->ops->change_client(store, &client, client.version);
}

static void a_disabled_client_is_found_and_says_so(void **state)
{
    OPEN(store);
    struct client got, client = client_of("one");
    (void)state;
    assert_code(store->ops->change_client(store, &client, 1), ERR_NOT_FOUND, "none yet");
    assert_ok(store->ops->add_client(store, &client));
    assert_ok(disable(store, STR("one"), false));
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_false(got.is_active);
    assert_ok(disable(store, STR("one"), true));
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_true(got.is_active);
}

static bool same_json(struct str a, struct str b)
{
    const struct json *of_a, *of_b;
    assert_ok(json_parse(&arena, a, &of_a));
    assert_ok(json_parse(&arena, b, &of_b));
    assert_int_equal(of_a->count, of_b->count);
    for (const struct json *member = of_a->child; member; member = member->next) {
        const struct json *other = json_member(of_b, member->name);
        struct buf texts[2];
        assert_row(other != NULL, arena_copy(&arena, member->name).at);
        for (size_t i = 0; i < 2; i++) {
            buf_init(&texts[i], &arena, 256, 4096);
            json_write(&texts[i], i ? other : member);
        }
        if (!str_eq(buf_str(&texts[0]), buf_str(&texts[1])))
            return false;
    }
    return true;
}

static void what_a_client_registered_comes_back(void **state)
{
    static const struct str least = ROW(
        "{\"redirect_uris\":[],\"grant_types\":[],\"response_types\":[],\"require_pkce\":true,"
        "\"token_endpoint_auth_method\":\"client_secret_basic\",\"subject_type\":\"public\","
        "\"id_token_signed_response_alg\":\"RS256\",\"application_type\":\"web\"}");
    OPEN(store);
    struct client got, client = client_of("one");
    (void)state;
    assert_ok(store->ops->add_client(store, &client));
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_true(same_json(got.metadata, client.metadata));
    got.metadata = least;
    assert_ok(store->ops->change_client(store, &got, got.version));
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_true(same_json(got.metadata, least));
    got.metadata = STR(METADATA);
    assert_ok(store->ops->change_client(store, &got, got.version));
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_true(same_json(got.metadata, STR(METADATA)));
}

static void a_change_replaces_all_that_a_client_has(void **state)
{
    OPEN(store);
    struct client got, wanted = client_of("one"), other = client_of("two");
    (void)state;
    assert_ok(store->ops->add_client(store, &wanted));
    assert_ok(store->ops->add_client(store, &other));
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_int_equal(got.old_secret_until, 0);
    wanted.name = STR("Another");
    wanted.scopes = STR("");
    wanted.access_ttl_s = 0;
    wanted.refresh_ttl_s = 71;
    wanted.id_ttl_s = 81;
    wanted.is_active = false;
    wanted.created_at = 5; /* this stays */
    wanted.old_secret_until = 1900000000;
    memset(wanted.secret_hash, 7, sizeof wanted.secret_hash);
    memset(wanted.old_secret_hash, 8, sizeof wanted.old_secret_hash);
    assert_ok(store->ops->change_client(store, &wanted, got.version));
    int64_t version = got.version;
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_int_equal(got.version, version + 1);
    assert_str(got.name, "Another");
    assert_str(got.scopes, "");
    assert_true(got.access_ttl_s == 0 && got.refresh_ttl_s == 71 && got.id_ttl_s == 81 && !got.is_active);
    assert_int_equal(got.created_at, 1800000000);
    assert_int_equal(got.old_secret_until, 1900000000);
    assert_memory_equal(got.secret_hash, wanted.secret_hash, 32);
    assert_memory_equal(got.old_secret_hash, wanted.old_secret_hash, 32);
    memset(wanted.secret_hash, 0, 32); /* it authenticates with a key now */
    memset(wanted.old_secret_hash, 0, 32);
    wanted.old_secret_until = 0;
    assert_ok(store->ops->change_client(store, &wanted, got.version));
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_memory_equal(got.secret_hash, wanted.secret_hash, 32);
    assert_memory_equal(got.old_secret_hash, wanted.secret_hash, 32);
    assert_true(got.old_secret_until == 0 && !got.is_public);
    assert_ok(store->ops->find_client(store, &arena, STR("two"), &got));
    assert_str(got.name, "A name");
}

static void a_change_meets_only_the_version_that_was_read(void **state)
{
    OPEN(store);
    struct client got, wanted = client_of("one");
    (void)state;
    assert_ok(store->ops->add_client(store, &wanted));
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    wanted.name = STR("First");
    assert_ok(store->ops->change_client(store, &wanted, got.version));
    wanted.name = STR("Second");
    assert_code(store->ops->change_client(store, &wanted, got.version), ERR_CONFLICT, "changed meanwhile");
    assert_code(store->ops->change_client(store, &wanted, got.version + 2), ERR_CONFLICT, "of the future");
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_str(got.name, "First");
    wanted.id = STR("another");
    assert_code(store->ops->change_client(store, &wanted, got.version), ERR_NOT_FOUND, "nobody");
}

static void a_deleted_client_is_gone_and_its_id_is_free(void **state)
{
    OPEN(store);
    struct client got, client = client_of("one"), other = client_of("two");
    (void)state;
    assert_code(store->ops->delete_client(store, STR("one")), ERR_NOT_FOUND, "none yet");
    assert_ok(store->ops->add_client(store, &client));
    assert_ok(store->ops->add_client(store, &other));
    assert_ok(store->ops->delete_client(store, STR("one")));
    assert_code(store->ops->find_client(store, &arena, STR("one"), &got), ERR_NOT_FOUND, "deleted");
    assert_code(store->ops->delete_client(store, STR("one")), ERR_NOT_FOUND, "deleted");
    assert_code(store->ops->delete_client(store, STR("tw\0")), ERR_NOT_FOUND, "another");
    assert_ok(store->ops->find_client(store, &arena, STR("two"), &got));
    client.name = STR("A successor");
    assert_ok(store->ops->add_client(store, &client));
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_str(got.name, "A successor");
}

static void clients_are_listed_by_id_up_to_a_maximum(void **state)
{
    OPEN(store);
    struct client *list = NULL;
    size_t count = 77;
    (void)state;
    assert_ok(store->ops->list_clients(store, &arena, STR(""), 10, &list, &count));
    assert_int_equal(count, 0);
    for (int i = 49; i >= 0; i--) {
        struct client client = client_of(arena_printf(&arena, "c%02d", i).at);
        assert_ok(store->ops->add_client(store, &client));
    }
    assert_ok(store->ops->list_clients(store, &arena, STR(""), 1000, &list, &count));
    assert_int_equal(count, 50);
    for (size_t i = 0; i < count; i++)
        assert_str(list[i].id, arena_printf(&arena, "c%02zu", i).at);
    assert_ok(store->ops->list_clients(store, &arena, STR(""), 7, &list, &count));
    assert_int_equal(count, 7);
    assert_str(list[6].id, "c06");
    assert_ok(store->ops->list_clients(store, &arena, list[6].id, 7, &list, &count));
    assert_int_equal(count, 7);
    assert_str(list[0].id, "c07");
    assert_ok(store->ops->list_clients(store, &arena, STR("c475"), 7, &list, &count));
    assert_int_equal(count, 2);
    assert_str(list[0].id, "c48");
    assert_ok(store->ops->list_clients(store, &arena, STR("c49"), 7, &list, &count));
    assert_int_equal(count, 0);
}

/* --- keys -------------------------------------------------------------------------------------------------------- */

static struct key key_of(const char *kid)
{
    return (struct key){ .kid = str_of(kid),
                         .alg = STR("RS256"),
                         .public_jwk = STR("{\"kty\":\"RSA\"}"),
                         .private_ref = STR("file:x"),
                         .state = KEY_ACTIVE,
                         .created_at = 1000,
                         .activated_at = 1001 };
}

static void the_first_key_is_kept_and_a_second_is_a_conflict(void **state)
{
    OPEN(store);
    struct key *keys = NULL, first = key_of("one"), second = key_of("two");
    size_t count = 77;
    (void)state;
    assert_ok(store->ops->list_keys(store, &arena, &keys, &count));
    assert_int_equal(count, 0);
    assert_ok(store->ops->add_first_key(store, &first));
    assert_code(store->ops->add_first_key(store, &second), ERR_CONFLICT, "another");
    assert_code(store->ops->add_first_key(store, &first), ERR_CONFLICT, "the same");
    assert_ok(store->ops->list_keys(store, &arena, &keys, &count));
    assert_int_equal(count, 1);
    assert_str(keys[0].kid, "one");
    assert_str(keys[0].alg, "RS256");
    assert_str(keys[0].public_jwk, "{\"kty\":\"RSA\"}");
    assert_str(keys[0].private_ref, "file:x");
    assert_int_equal(keys[0].state, KEY_ACTIVE);
    assert_int_equal(keys[0].created_at, 1000);
    assert_int_equal(keys[0].activated_at, 1001);
    assert_int_equal(keys[0].retired_at, 0);
}

static const struct key_terms terms = { .lifetime_s = 300, .retiring_s = 0, .margin_s = 12 };

static struct key pending_of(const char *kid)
{
    struct key key = key_of(kid);
    key.state = KEY_PENDING;
    key.published_at = 1500;
    key.activated_at = 0;
    return key;
}

static struct key found(struct store *store, const char *kid)
{
    struct key key;
    assert_ok(store->ops->find_key(store, &arena, str_of(kid), &key));
    return key;
}

static size_t keys_in(struct store *store)
{
    struct key *keys = NULL;
    size_t count = 0;
    assert_ok(store->ops->list_keys(store, &arena, &keys, &count));
    return count;
}

static size_t past_keys_in(struct store *store, bool undisposed)
{
    struct key *keys = NULL;
    size_t count = 0;
    assert_ok(store->ops->list_past_keys(store, &arena, undisposed, 10, &keys, &count));
    return count;
}

static void a_key_goes_through_its_states_and_keeps_the_times(void **state)
{
    OPEN(store);
    struct key first = key_of("one"), next = pending_of("two"), third = pending_of("three"), nobody;
    (void)state;
    first.lifetime_s = 400;
    assert_ok(store->ops->add_first_key(store, &first));
    assert_ok(store->ops->add_pending_key(store, &next));
    assert_code(store->ops->add_pending_key(store, &third), ERR_CONFLICT, "one is pending at most");
    assert_int_equal(found(store, "two").state, KEY_PENDING);
    assert_int_equal(found(store, "two").published_at, 1500);
    assert_ok(store->ops->request_rotation(store, STR("one"), 1600));
    assert_ok(store->ops->request_rotation(store, STR("one"), 1700));
    assert_int_equal(found(store, "one").rotate_requested_at, 1600);
    assert_code(store->ops->request_rotation(store, STR("two"), 1600), ERR_CONFLICT, "not active");

    assert_ok(store->ops->activate_key(store, STR("two"), STR("one"), 2000, &terms));
    struct key old = found(store, "one"), active = found(store, "two");
    assert_int_equal(old.state, KEY_RETIRING);
    assert_int_equal(old.retiring_at, 2000);
    assert_int_equal(old.retire_after, 2412); /* by its own lifetime, not by the terms of today */
    assert_int_equal(active.state, KEY_ACTIVE);
    assert_int_equal(active.activated_at, 2000);
    assert_int_equal(active.lifetime_s, 300);
    assert_str(active.rotated_from_kid, "one");
    assert_int_equal(keys_in(store), 2);

    assert_code(store->ops->retire_key(store, STR("one"), 2411), ERR_CONFLICT, "too early");
    assert_code(store->ops->retire_key(store, STR("two"), 9999), ERR_CONFLICT, "it signs");
    assert_ok(store->ops->retire_key(store, STR("one"), 2412));
    assert_code(store->ops->retire_key(store, STR("one"), 2413), ERR_CONFLICT, "again");
    assert_int_equal(found(store, "one").retired_at, 2412);
    assert_int_equal(keys_in(store), 1);
    assert_int_equal(past_keys_in(store, true), 1);
    assert_ok(store->ops->mark_key_disposed(store, STR("one"), 2500));
    assert_code(store->ops->mark_key_disposed(store, STR("two"), 2500), ERR_CONFLICT, "it lives");
    assert_int_equal(past_keys_in(store, true), 0);
    assert_int_equal(past_keys_in(store, false), 1);
    assert_int_equal(found(store, "one").disposed_at, 2500);
    assert_code(store->ops->find_key(store, &arena, STR("three"), &nobody), ERR_NOT_FOUND, "never kept");
}

static void a_transition_that_does_not_fit_changes_nothing(void **state)
{
    OPEN(store);
    const struct key first = key_of("one"), next = pending_of("two");
    (void)state;
    assert_ok(store->ops->add_first_key(store, &first));
    assert_ok(store->ops->add_pending_key(store, &next));
    static const struct {
        const char *kid, *previous;
    } bad[] = {
        { "two", "two" }, { "one", "one" }, { "one", "two" }, { "two", "none" }, { "none", "one" }, { "", "" }
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_code(store->ops->activate_key(store, str_of(bad[i].kid), str_of(bad[i].previous), 2000, &terms),
                    ERR_CONFLICT, bad[i].kid);
    assert_code(store->ops->revoke_key(store, STR("one"), STR("none"), STR(""), 2000, &terms), ERR_CONFLICT,
                "no such successor");
    assert_code(store->ops->revoke_key(store, STR("one"), STR("one"), STR(""), 2000, &terms), ERR_CONFLICT, "itself");
    assert_code(store->ops->revoke_key(store, STR("none"), STR("two"), STR(""), 2000, &terms), ERR_NOT_FOUND, "none");
    assert_int_equal(found(store, "one").state, KEY_ACTIVE);
    assert_int_equal(found(store, "two").state, KEY_PENDING);
    assert_int_equal(found(store, "one").retiring_at, 0);
}

static void a_revoked_active_key_is_followed_in_the_same_breath(void **state)
{
    OPEN(store);
    const struct key first = key_of("one"), next = pending_of("two"), third = pending_of("three");
    (void)state;
    assert_ok(store->ops->add_first_key(store, &first));
    assert_ok(store->ops->add_pending_key(store, &next));
    assert_ok(store->ops->revoke_key(store, STR("one"), STR("two"), STR("stolen"), 2000, &terms));
    assert_int_equal(found(store, "one").state, KEY_REVOKED);
    assert_int_equal(found(store, "one").revoked_at, 2000);
    assert_str(found(store, "one").revocation_reason, "stolen");
    assert_int_equal(found(store, "two").state, KEY_ACTIVE);
    assert_str(found(store, "two").rotated_from_kid, "one");
    assert_ok(store->ops->revoke_key(store, STR("one"), STR(""), STR("again"), 2100, &terms)); /* it is, already */
    assert_int_equal(found(store, "one").revoked_at, 2000);
    assert_ok(store->ops->add_pending_key(store, &third));
    assert_ok(store->ops->revoke_key(store, STR("three"), STR(""), STR("'; DROP TABLE oauth_jwks; --"), 2200, &terms));
    assert_int_equal(found(store, "two").state, KEY_ACTIVE);
    assert_int_equal(past_keys_in(store, true), 2);
    assert_code(store->ops->add_pending_key(store, &third), ERR_CONFLICT, "a kid lives once");
}

static void the_lifetime_of_the_active_key_is_only_raised(void **state)
{
    OPEN(store);
    struct client client = client_of("one");
    const struct key first = key_of("one"), next = pending_of("two");
    (void)state;
    client.access_ttl_s = 10;
    client.refresh_ttl_s = 20;
    client.id_ttl_s = 900;
    assert_ok(store->ops->add_first_key(store, &first));
    assert_ok(store->ops->raise_key_lifetime(store, 500));
    assert_ok(store->ops->raise_key_lifetime(store, 400));
    assert_int_equal(found(store, "one").lifetime_s, 500);
    assert_ok(store->ops->add_client(store, &client));
    assert_int_equal(found(store, "one").lifetime_s, 900);
    assert_ok(store->ops->add_pending_key(store, &next));
    assert_ok(store->ops->activate_key(store, STR("two"), STR("one"), 2000, &terms));
    assert_int_equal(found(store, "one").retire_after, 2912);
    assert_int_equal(found(store, "two").lifetime_s, 900);
}

static void a_lifetime_that_a_client_gets_raises_the_active_keys(void **state)
{
    OPEN(store);
    struct client client = client_of("one");
    const struct key first = key_of("one");
    (void)state;
    assert_ok(store->ops->add_first_key(store, &first));
    assert_ok(store->ops->add_client(store, &client));
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &client));
    client.refresh_ttl_s = 7000;
    assert_ok(store->ops->change_client(store, &client, client.version));
    assert_int_equal(found(store, "one").lifetime_s, 7000);
    client.refresh_ttl_s = 8000;
    assert_code(store->ops->change_client(store, &client, client.version), ERR_CONFLICT, "not what was read");
    assert_int_equal(found(store, "one").lifetime_s, 7000);
}

struct racer {
    struct store *store;
    char id[8];
    struct err err;
};

static void *race_for_the_key(void *arg)
{
    struct racer *racer = arg;
    const struct key key = key_of(racer->id);
    racer->err = racer->store->ops->add_first_key(racer->store, &key);
    return NULL;
}

static void *race_for_the_client(void *arg)
{
    struct racer *racer = arg;
    const struct client client = client_of("contested");
    racer->err = racer->store->ops->add_client(racer->store, &client);
    return NULL;
}

/* Many instances at once: each with its own handle, as if each were another process. */
static void of_many_who_are_first_one_wins_and_the_others_are_told(void **state)
{
    enum { RACERS = 6 };
    struct racer racers[RACERS];
    pthread_t threads[RACERS];
    void *(*const races[])(void *) = { race_for_the_key, race_for_the_client };
    (void)state;
    for (size_t race = 0; race < COUNT(races); race++) {
        size_t won = 0, lost = 0;
        for (size_t i = 0; i < RACERS; i++) {
            racers[i].store = open_store();
            snprintf(racers[i].id, sizeof racers[i].id, "k%zu", i);
        }
        for (size_t i = 0; i < RACERS; i++)
            assert_int_equal(pthread_create(&threads[i], NULL, races[race], &racers[i]), 0);
        for (size_t i = 0; i < RACERS; i++) {
            pthread_join(threads[i], NULL);
            won += racers[i].err.code == ERR_OK;
            lost += racers[i].err.code == ERR_CONFLICT;
        }
        for (size_t i = 0; i < RACERS; i++)
            store_closep(&racers[i].store);
        assert_int_equal(won, 1);
        assert_int_equal(lost, RACERS - 1);
    }
}

/* --- records ----------------------------------------------------------------------------------------------------- */

static void revocations_come_back_in_order_from_a_position_on(void **state)
{
    enum { MANY = 100 };
    OPEN(store);
    struct revocation *found = NULL;
    unsigned char hash[32];
    (void)state;
    assert_int_equal(since(store, 0, 1000, 10, &found), 0);
    for (uint64_t i = 0; i < MANY; i++) {
        const struct record record = revocation_of(i * 7 % MANY, TOKEN_ACCESS, 5000 - (int64_t)i);
        assert_ok(record_one(store, &record));
    }
    assert_int_equal(since(store, 0, 1000, 1000, &found), MANY);
    const struct revocation *all = found;
    for (uint64_t i = 0; i < MANY; i++) {
        hash_of(i * 7 % MANY, hash);
        assert_memory_equal(all[i].hash, hash, 32);
        assert_int_equal(all[i].expires_at, 5000 - (int64_t)i);
        assert_true(i == 0 ? all[i].position > 0 : all[i].position > all[i - 1].position);
    }
    int64_t position = 0;
    for (size_t seen = 0; seen < MANY;) { /* page by page: nothing twice, nothing left out */
        size_t count = since(store, position, 1000, 7, &found);
        assert_true(count > 0);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(found[i].position, all[seen++].position);
        position = found[count - 1].position;
    }
    assert_int_equal(since(store, position, 1000, 7, &found), 0);
    assert_int_equal(since(store, INT64_MAX, 1000, 7, &found), 0);
}

static void expired_revocations_are_left_out(void **state)
{
    OPEN(store);
    struct revocation *found = NULL;
    const struct record early = revocation_of(1, TOKEN_ACCESS, 2000), late = revocation_of(2, TOKEN_REFRESH, 3000);
    (void)state;
    assert_ok(record_one(store, &early));
    assert_ok(record_one(store, &late));
    assert_int_equal(since(store, 0, 1999, 10, &found), 2);
    assert_int_equal(since(store, 0, 2001, 10, &found), 1);
    assert_int_equal(found[0].expires_at, 3000);
    assert_str(found[0].reason, "lost");
    assert_int_equal(since(store, 0, 3001, 10, &found), 0);
}

static void the_same_token_may_be_revoked_again_and_keeps_the_later_expiry(void **state)
{
    OPEN(store);
    struct revocation *found = NULL;
    struct record record = revocation_of(1, TOKEN_REFRESH, 2000);
    (void)state;
    assert_ok(record_one(store, &record));
    assert_ok(record_one(store, &record));
    assert_int_equal(since(store, 0, 1000, 10, &found), 1);
    int64_t position = found[0].position;
    record.expires_at = 1500; /* earlier */
    assert_ok(record_one(store, &record));
    assert_int_equal(since(store, 0, 1000, 10, &found), 1);
    assert_int_equal(found[0].expires_at, 2000);
    record.expires_at = 3000; /* later: and those who have read on already must hear of it */
    assert_ok(record_one(store, &record));
    assert_int_equal(since(store, 0, 1000, 10, &found), 1);
    assert_int_equal(found[0].expires_at, 3000);
    assert_int_equal(since(store, position, 1000, 10, &found), 1);
}

static void the_same_refresh_token_may_be_recorded_again(void **state)
{
    OPEN(store);
    size_t deleted = 0;
    const struct record record = token_of(1, TOKEN_REFRESH, 2000);
    (void)state;
    assert_ok(record_one(store, &record));
    assert_ok(record_one(store, &record));
    assert_ok(store->ops->purge(store, 2001 + STORE_TOKEN_KEPT_S, 100, &deleted, NULL));
    assert_int_equal(deleted, 1);
}

static void a_reason_comes_back_whatever_is_in_it(void **state)
{
    static const char *const reasons[] = { "", " ", "a b", "a\nb \"c\" \\", "\xc3\xa4\xe2\x82\xac", "'; --" };
    OPEN(store);
    struct revocation *found = NULL;
    (void)state;
    for (size_t i = 0; i < COUNT(reasons); i++) {
        struct record record = revocation_of(i, TOKEN_ACCESS, 2000);
        record.reason = str_of(reasons[i]);
        assert_ok(record_one(store, &record));
    }
    assert_int_equal(since(store, 0, 1000, 10, &found), COUNT(reasons));
    for (size_t i = 0; i < COUNT(reasons); i++)
        assert_row(str_eq(found[i].reason, str_of(reasons[i])), reasons[i]);
}

static void a_token_may_be_revoked_that_was_never_recorded(void **state)
{
    static const enum token_kind token_kinds[] = { TOKEN_ACCESS, TOKEN_REFRESH, TOKEN_ID };
    OPEN(store);
    struct revocation *found = NULL;
    (void)state;
    for (size_t i = 0; i < COUNT(token_kinds); i++) {
        const struct record record = revocation_of(i, token_kinds[i], 2000);
        assert_ok(record_one(store, &record));
    }
    assert_int_equal(since(store, 0, 1000, 10, &found), COUNT(token_kinds));
}

static void many_requests_and_their_lists_are_one_batch(void **state)
{
    enum { LISTS = 300, EACH = 3 };
    OPEN(store);
    static struct record records[LISTS][EACH];
    const struct record *lists[LISTS];
    struct revocation *found = NULL;
    size_t deleted = 0;
    (void)state;
    for (size_t i = 0; i < LISTS; i++) {
        records[i][0] = token_of(i, TOKEN_ACCESS, 2000);
        records[i][1] = token_of(i + LISTS, TOKEN_REFRESH, 2000);
        records[i][2] = revocation_of(i, TOKEN_ACCESS, 2000);
        records[i][0].next = &records[i][1];
        records[i][1].next = &records[i][2];
        lists[i] = &records[i][0];
    }
    assert_ok(record_many(store, lists, LISTS));
    assert_int_equal(since(store, 0, 1000, 1000, &found), LISTS);
    assert_ok(store->ops->purge(store, 3000 + STORE_REVOCATION_KEPT_S, 10000, &deleted, NULL));
    assert_int_equal(deleted, LISTS * EACH);
    assert_ok(record_many(store, lists, 0)); /* none is fine too */
}

/* From now on the store takes no revocation whose reason is "poison"; or it does again. */
static void poison(bool on)
{
    if (kind == 0)
        sql(on ? "CREATE TRIGGER poison BEFORE INSERT ON revocations WHEN NEW.reason = 'poison' BEGIN SELECT "
                 "RAISE(ABORT, 'poisoned'); END"
               : "DROP TRIGGER poison");
    else
        pg(on ? "ALTER TABLE token_service_revocations ADD CONSTRAINT poison CHECK (reason <> 'poison')"
              : "ALTER TABLE token_service_revocations DROP CONSTRAINT poison");
}

static int64_t records_kept(void)
{
    return kind == 0 ? sql("SELECT (SELECT count(*) FROM oauth_refresh_tokens) + (SELECT count(*) FROM revocations)")
                     : pg("SELECT (SELECT count(*) FROM token_service_unlinked_tokens) + (SELECT count(*) FROM "
                          "token_service_revocations)");
}

/* Each list is a token and a revocation: both are kept, or neither. */
static void of_a_batch_bad_lists_fail_alone_and_the_others_are_kept(void **state)
{
    enum { LISTS = 100 };
    static const size_t bad[][3] = { { 0, 0, 0 }, { 99, 99, 99 }, { 41, 42, 43 }, { 0, 50, 99 } };
    static struct record records[LISTS][2];
    const struct record *lists[LISTS];
    struct err verdicts[LISTS];
    OPEN(store);
    (void)state;
    poison(true);
    int64_t kept = 0;
    for (size_t row = 0; row < COUNT(bad); row++) {
        for (size_t i = 0; i < LISTS; i++) {
            bool is_bad = i == bad[row][0] || i == bad[row][1] || i == bad[row][2];
            records[i][0] = token_of(row * 1000 + i, TOKEN_REFRESH, 2000);
            records[i][1] = revocation_of(row * 1000 + i, TOKEN_REFRESH, 2000);
            records[i][0].next = &records[i][1];
            records[i][1].reason = is_bad ? STR("poison") : STR("good");
            kept += is_bad ? 0 : 2;
            lists[i] = &records[i][0];
        }
        store->ops->record(store, lists, LISTS, verdicts);
        for (size_t i = 0; i < LISTS; i++)
            assert_int_equal(verdicts[i].code != ERR_OK, str_eq(records[i][1].reason, STR("poison")));
        assert_int_equal(records_kept(), kept);
    }
    poison(false);
    assert_ok(record_many(store, lists, LISTS)); /* and the store goes on */
}

static void rules_and_revoked_tokens_come_back_in_one_order(void **state)
{
    OPEN(store);
    struct revocation *found = NULL;
    unsigned char hash[32];
    (void)state;
    for (size_t i = 0; i < REVOCATION_KINDS; i++) {
        const struct record rule = i == REVOKED_TOKEN
                                       ? revocation_of(i, TOKEN_ACCESS, 3000)
                                       : rule_of(i, (enum revocation_kind)i, 1700 + (int64_t)i, 3000 + (int64_t)i);
        assert_ok(record_one(store, &rule));
    }
    assert_int_equal(since(store, 0, 1000, 10, &found), REVOCATION_KINDS);
    for (size_t i = 0; i < REVOCATION_KINDS; i++) {
        hash_of(i, hash);
        assert_memory_equal(found[i].hash, hash, 32);
        assert_int_equal(found[i].kind, i);
        assert_int_equal(found[i].before, i == REVOKED_TOKEN ? 0 : 1700 + (int64_t)i);
        assert_int_equal(found[i].expires_at, 3000 + (int64_t)i);
        assert_str(found[i].reason, "lost");
        assert_true(i == 0 || found[i].position > found[i - 1].position);
    }
    assert_int_equal(since(store, found[2].position, 1000, 10, &found), 2);
}

static void a_rule_again_keeps_the_later_times_and_is_heard_of_when_they_grow(void **state)
{
    static const struct {
        int64_t before, expires_at, kept_before, kept_until;
        bool is_heard;
    } rows[] = {
        { 1500, 3000, 1500, 3000, true },  { 1500, 3000, 1500, 3000, false }, { 1400, 2900, 1500, 3000, false },
        { 1400, 3000, 1500, 3000, false }, { 1600, 3100, 1600, 3100, true },  { 1700, 2000, 1700, 3100, true },
        { 1700, 4000, 1700, 4000, true },  { 1000, 5000, 1700, 5000, true },
    };
    OPEN(store);
    struct revocation *found = NULL;
    int64_t position = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct record rule = rule_of(1, REVOKED_CLIENT, rows[i].before, rows[i].expires_at);
        assert_ok(record_one(store, &rule));
        assert_int_equal(since(store, position, 1000, 10, &found), rows[i].is_heard);
        assert_int_equal(since(store, 0, 1000, 10, &found), 1);
        assert_int_equal(found[0].kind, REVOKED_CLIENT);
        assert_int_equal(found[0].before, rows[i].kept_before);
        assert_int_equal(found[0].expires_at, rows[i].kept_until);
        position = found[0].position;
    }
}

/* Whoever asks first within a batch doesn't win: the later times do, each for itself. */
static void of_rules_for_the_same_in_one_batch_the_later_times_are_kept(void **state)
{
    OPEN(store);
    struct revocation *found = NULL;
    const struct record records[] = { rule_of(1, REVOKED_SUBJECT, 1800, 3000), rule_of(1, REVOKED_SUBJECT, 1700, 4000),
                                      rule_of(2, REVOKED_SUBJECT, 1600, 3000) };
    const struct record *lists[] = { &records[0], &records[1], &records[2] };
    (void)state;
    assert_ok(record_many(store, lists, COUNT(lists)));
    assert_int_equal(since(store, 0, 1000, 10, &found), 2);
    const struct revocation *one = found[0].before == 1800 ? &found[0] : &found[1];
    assert_int_equal(one->before, 1800);
    assert_int_equal(one->expires_at, 4000);
}

/* What a rule is about may be any text; a shared store keeps what it can hold of it. */
static void a_rules_target_may_be_any_text(void **state)
{
    static const char *const targets[] = { "", "a\nb \"c\" \\", "'); DROP TABLE revocations; --",
                                           "\xc3\xa4\xe2\x82\xac", "\xff\xfe" };
    OPEN(store);
    struct revocation *found = NULL;
    (void)state;
    for (size_t i = 0; i < COUNT(targets); i++) {
        struct record rule = rule_of(i, REVOKED_SESSION, 1500, 3000);
        rule.target = str_of(targets[i]);
        assert_ok(record_one(store, &rule));
    }
    struct record rule = rule_of(COUNT(targets), REVOKED_SESSION, 1500, 3000);
    rule.target = (struct str){ "a\0b", 3 };
    assert_ok(record_one(store, &rule));
    assert_int_equal(since(store, 0, 1000, 10, &found), COUNT(targets) + 1);
}

static void a_rule_is_purged_and_marks_no_token(void **state)
{
    OPEN(store);
    struct revocation *found = NULL;
    size_t deleted = 0;
    const struct record token = token_of(1, TOKEN_REFRESH, 900000), rule = rule_of(1, REVOKED_ALL, 1500, 3000);
    (void)state;
    assert_ok(
        record_one(store, &token)); /* of the same hash, which only a store that confuses them takes for its own */
    assert_ok(record_one(store, &rule));
    assert_ok(store->ops->purge(store, 3000 + STORE_REVOCATION_KEPT_S, 100, &deleted, NULL));
    assert_int_equal(deleted, 0);
    assert_ok(store->ops->purge(store, 3001 + STORE_REVOCATION_KEPT_S, 100, &deleted, NULL));
    assert_int_equal(deleted, 1);
    assert_int_equal(since(store, 0, 1000, 10, &found), 0);
    if (kind == 0)
        assert_int_equal(sql("SELECT count(*) FROM oauth_refresh_tokens WHERE revoked_at IS NULL"), 1);
    else
        assert_int_equal(pg("SELECT count(*) FROM token_service_unlinked_tokens WHERE revoked_at IS NULL"), 1);
}

/* --- purge ------------------------------------------------------------------------------------------------------- */

static void a_purge_deletes_what_expired_in_steps_of_at_most_so_many_rows(void **state)
{
    enum { KEPT = STORE_REVOCATION_KEPT_S, LATER = STORE_REVOCATION_KEPT_S - STORE_TOKEN_KEPT_S };
    OPEN(store);
    size_t deleted = 77, total = 0;
    struct revocation *found = NULL;
    (void)state;
    assert_ok(store->ops->purge(store, 5000, 10, &deleted, NULL));
    assert_int_equal(deleted, 0);
    for (uint64_t i = 0; i < 60; i++) {
        const struct record access = token_of(i, TOKEN_ACCESS, 1000 + LATER + (int64_t)i),
                            refresh = token_of(i + 100, TOKEN_REFRESH, 1000 + LATER + (int64_t)i),
                            revocation = revocation_of(i + 200, TOKEN_ID, 1000 + (int64_t)i);
        assert_ok(record_one(store, &access));
        assert_ok(record_one(store, &refresh));
        assert_ok(record_one(store, &revocation));
    }
    assert_ok(store->ops->purge(store, 1000 + KEPT, 10, &deleted, NULL));
    assert_int_equal(deleted, 0); /* expires_at 1000 is not before 1000 */
    do {
        assert_ok(store->ops->purge(store, 1030 + KEPT, 7, &deleted, NULL));
        assert_true(deleted <= 7);
        total += deleted;
    } while (deleted > 0);
    assert_int_equal(total, 3 * 30);
    assert_int_equal(since(store, 0, 0, 1000, &found), 30);
    for (size_t i = 0; i < 30; i++)
        assert_true(found[i].expires_at >= 1030);
    assert_ok(store->ops->purge(store, INT64_MAX, 1000, &deleted, NULL));
    assert_int_equal(deleted, 3 * 30);
}

/* A clock may be wrong by hours: what has just expired by it is kept, and a revocation for longer than its token. */
static void a_purge_keeps_what_has_only_just_expired(void **state)
{
    static const int64_t ends_s = 2000;
    OPEN(store);
    size_t deleted = 0;
    struct revocation *found = NULL;
    const struct record access = token_of(1, TOKEN_ACCESS, ends_s), refresh = token_of(2, TOKEN_REFRESH, ends_s),
                        revocation = revocation_of(3, TOKEN_ACCESS, ends_s);
    (void)state;
    assert_ok(record_one(store, &access));
    assert_ok(record_one(store, &refresh));
    assert_ok(record_one(store, &revocation));
    assert_ok(store->ops->purge(store, ends_s + STORE_TOKEN_KEPT_S, 100, &deleted, NULL));
    assert_int_equal(deleted, 0);
    assert_ok(store->ops->purge(store, ends_s + STORE_REVOCATION_KEPT_S, 100, &deleted, NULL));
    assert_int_equal(deleted, 2);
    assert_int_equal(since(store, 0, 1000, 10, &found), 1);
    assert_true(STORE_REVOCATION_KEPT_S >= 12 * 3600 && STORE_TOKEN_KEPT_S > 0);
}

/* In the place of the C library's, SQLite's too. */
static atomic_size_t flushes;

static int flush(long call, int fd)
{
    atomic_fetch_add(&flushes, 1);
    return (int)syscall(call, fd);
}

int fsync(int fd)
{
    return flush(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return flush(SYS_fdatasync, fd);
}

static size_t flushes_of_a_record(struct store *store, uint64_t number)
{
    const struct record record = token_of(number, TOKEN_REFRESH, 5000);
    const size_t before = atomic_load(&flushes);
    assert_ok(record_one(store, &record));
    return atomic_load(&flushes) - before;
}

/* What a purge has done may come back, but nothing that is acknowledged after it may go. */
static void a_purge_waits_for_no_disk_and_what_is_recorded_after_it_does(void **state)
{
    OPEN(store);
    size_t deleted = 0;
    const struct record old = token_of(1, TOKEN_ACCESS, 1000);
    (void)state;
    assert_ok(record_one(store, &old));
    assert_true(flushes_of_a_record(store, 2) > 0);
    const size_t before = atomic_load(&flushes);
    assert_ok(store->ops->purge(store, 1001 + STORE_TOKEN_KEPT_S, 100, &deleted, NULL));
    assert_int_equal(deleted, 1);
    assert_int_equal(atomic_load(&flushes), before);
    assert_true(flushes_of_a_record(store, 3) > 0);
}

/* Whoever follows continues after a position: were one used twice, a revocation might never be heard of. */
static void a_position_is_never_given_twice(void **state)
{
    struct revocation *found = NULL;
    size_t deleted = 0;
    int64_t last = 0;
    (void)state;
    for (uint64_t i = 0; i < 5; i++) {
        OPEN(store); /* opened anew each time: a restart must not forget it */
        const struct record record = revocation_of(i, TOKEN_ACCESS, 2000);
        assert_ok(record_one(store, &record));
        assert_int_equal(since(store, last, 1000, 10, &found), 1);
        assert_true(found[0].position > last);
        last = found[0].position;
        assert_ok(store->ops->purge(store, 3000 + STORE_REVOCATION_KEPT_S, 100, &deleted, NULL));
        assert_int_equal(since(store, 0, 1000, 10, &found), 0);
    }
}

/* --- several handles --------------------------------------------------------------------------------------------- */

static void what_one_handle_wrote_another_reads(void **state)
{
    OPEN(a);
    OPEN(b);
    struct client got, client = client_of("one");
    struct key *keys = NULL, key = key_of("one");
    struct revocation *found = NULL;
    size_t count = 0;
    const struct record record = revocation_of(1, TOKEN_ACCESS, 2000);
    (void)state;
    assert_ok(a->ops->add_client(a, &client));
    assert_ok(b->ops->find_client(b, &arena, STR("one"), &got));
    assert_ok(disable(b, STR("one"), false));
    assert_ok(a->ops->find_client(a, &arena, STR("one"), &got));
    assert_false(got.is_active);
    assert_ok(a->ops->add_first_key(a, &key));
    assert_ok(b->ops->list_keys(b, &arena, &keys, &count));
    assert_int_equal(count, 1);
    assert_ok(record_one(b, &record));
    assert_int_equal(since(a, 0, 1000, 10, &found), 1);
    assert_ok(a->ops->check(a));
    assert_ok(b->ops->check(b));
}

static void a_handle_hears_of_others_writes_once_and_not_of_its_own(void **state)
{
    OPEN(a);
    OPEN(b);
    struct client client = client_of("one");
    const struct record record = revocation_of(1, TOKEN_ACCESS, 2000);
    (void)state;
    (void)a->ops->has_changed(a);
    assert_false(a->ops->has_changed(a));
    assert_ok(record_one(a, &record));
    assert_ok(a->ops->check(a));
    assert_false(a->ops->has_changed(a));
    for (int i = 0; i < 2; i++) {
        assert_ok(i ? disable(b, STR("one"), false) : b->ops->add_client(b, &client));
        assert_true(a->ops->has_changed(a));
        assert_false(a->ops->has_changed(a));
    }
}

static void *record_racing(void *arg)
{
    struct racer *racer = arg;
    uint64_t first = (uint64_t)racer->id[0] * 1000;
    for (uint64_t i = 0; i < 50 && !racer->err.code; i++) {
        const struct record record = revocation_of(first + i, TOKEN_ACCESS, 2000);
        racer->err = record_one(racer->store, &record);
    }
    return NULL;
}

/* One follower reads on while others write, on their own handles and on one that they share. */
static void a_follower_misses_nothing_while_others_write(void **state)
{
    enum { WRITERS = 4, ALL = WRITERS * 50 };
    OPEN(shared);
    OPEN(own);
    OPEN(follower);
    struct racer racers[WRITERS];
    pthread_t threads[WRITERS];
    struct revocation *found = NULL;
    size_t seen = 0;
    int64_t position = 0;
    (void)state;
    for (size_t i = 0; i < WRITERS; i++) {
        racers[i] = (struct racer){ .store = i < 2 ? shared : i == 2 ? own : follower, .id = { (char)(i + 1) } };
        assert_int_equal(pthread_create(&threads[i], NULL, record_racing, &racers[i]), 0);
    }
    for (int tries = 0; seen < ALL && tries < 20000; tries++) {
        size_t count = since(follower, position, 1000, 1000, &found);
        for (size_t i = 0; i < count; i++) {
            assert_true(found[i].position > position);
            position = found[i].position;
        }
        seen += count;
        if (count == 0)
            usleep(500);
    }
    for (size_t i = 0; i < WRITERS; i++) {
        pthread_join(threads[i], NULL);
        assert_ok(racers[i].err);
    }
    assert_int_equal(seen, ALL);
}

static void everything_is_there_again_after_a_restart(void **state)
{
    struct client got, client = client_of("one");
    struct key *keys = NULL, key = key_of("one");
    struct revocation *found = NULL;
    size_t count = 0;
    const struct record record = revocation_of(1, TOKEN_ACCESS, 2000);
    (void)state;
    struct store *store = open_store();
    assert_ok(store->ops->add_client(store, &client));
    assert_ok(store->ops->add_first_key(store, &key));
    assert_ok(record_one(store, &record));
    store_closep(&store);
    assert_null(store);
    store_closep(&store);
    OPEN(again);
    assert_ok(again->ops->find_client(again, &arena, STR("one"), &got));
    assert_ok(again->ops->list_keys(again, &arena, &keys, &count));
    assert_int_equal(count, 1);
    assert_int_equal(since(again, 0, 1000, 10, &found), 1);
}

/* --- stores that instances share ---------------------------------------------------------------------------------- */

static void a_lease_is_held_by_one_until_it_ends(void **state)
{
    OPEN(a);
    OPEN(b);
    (void)state;
    assert_ok(a->ops->take_lease(a, STR("standby"), 600));
    assert_ok(a->ops->take_lease(a, STR("standby"), 600));
    assert_code(b->ops->take_lease(b, STR("standby"), 600), ERR_CONFLICT, "held");
    assert_ok(b->ops->take_lease(b, STR("another"), 600));
    assert_ok(b->ops->drop_lease(b, STR("standby"))); /* not its own: stays */
    assert_code(b->ops->take_lease(b, STR("standby"), 600), ERR_CONFLICT, "still held");
    pg("UPDATE token_service_leases SET expires_at = now() WHERE name = 'standby'"); /* as if time had gone by */
    assert_ok(b->ops->take_lease(b, STR("standby"), 600));
    assert_code(a->ops->take_lease(a, STR("standby"), 600), ERR_CONFLICT, "lost");
    assert_ok(b->ops->drop_lease(b, STR("standby")));
    assert_ok(a->ops->take_lease(a, STR("standby"), 600));
}

/* Whatever an instance's clock says: else one that is ahead would take the others' revocations away. */
static void what_has_not_ended_by_the_databases_clock_is_there_for_all(void **state)
{
    OPEN(store);
    const int64_t now_s = pg("SELECT extract(epoch FROM now())::bigint"), ahead_s = now_s + 100 * 24 * 3600;
    struct revocation *revocations = NULL;
    const struct record token = token_of(1, TOKEN_REFRESH, now_s + 600),
                        revocation = revocation_of(2, TOKEN_ACCESS, now_s + 600),
                        ended = revocation_of(3, TOKEN_ACCESS, now_s - STORE_REVOCATION_KEPT_S - 600);
    const struct key first = key_of("one"), next = pending_of("two");
    size_t deleted = 77;
    (void)state;
    assert_ok(record_one(store, &token));
    assert_ok(record_one(store, &revocation));
    assert_ok(record_one(store, &ended));
    assert_ok(store->ops->purge(store, ahead_s, 100, &deleted, NULL));
    assert_int_equal(deleted, 1);
    assert_int_equal(since(store, 0, ahead_s, 10, &revocations), 1);
    assert_ok(store->ops->purge(store, now_s - 7200, 100, &deleted, NULL));
    assert_int_equal(deleted, 0);
    assert_ok(store->ops->add_first_key(store, &first));
    assert_ok(store->ops->add_pending_key(store, &next));
    assert_ok(store->ops->activate_key(store, STR("two"), STR("one"), now_s, &terms));
    assert_code(store->ops->retire_key(store, STR("one"), ahead_s), ERR_CONFLICT, "its tokens are good yet");
}

#define USER "6f1b0f5e-2c3a-4d21-9c52-1d1f0a5be001"

static void tokens_of_users_and_clients_are_in_the_platforms_tables(void **state)
{
    OPEN(store);
    const struct client client = client_of("client");
    struct record records[] = { token_of(1, TOKEN_ACCESS, 2000),      token_of(2, TOKEN_REFRESH, 2000),
                                token_of(3, TOKEN_ACCESS, 2000),      token_of(4, TOKEN_REFRESH, 2000),
                                revocation_of(1, TOKEN_ACCESS, 2061), revocation_of(2, TOKEN_REFRESH, 2061),
                                revocation_of(3, TOKEN_ACCESS, 2061) };
    (void)state;
    assert_ok(store->ops->add_client(store, &client));
    pg("INSERT INTO auth.users (id) VALUES ('" USER "')");
    records[0].subject = records[1].subject = STR(USER);
    records[0].audience = STR("[\"client\",\"a \\\"b\\\"\"]");
    records[3].subject = STR("6f1b0f5e-2c3a-4d21-9c52-1d1f0a5be002"); /* a uuid, and no user */
    for (size_t i = 0; i + 1 < COUNT(records); i++)
        records[i].next = &records[i + 1];
    assert_ok(record_one(store, records));
    records[4].reason = STR("again");
    records[4].next = NULL;
    assert_ok(record_one(store, &records[4]));
    assert_int_equal(pg("SELECT count(*) FROM oauth_access_tokens WHERE user_id = '" USER "' AND client_id = 'client' "
                        "AND token_hash = '0100000000000000' || repeat('ab', 24) AND scope = 'a b' AND jti = 'jti' "
                        "AND audience = ARRAY['client', 'a \"b\"'] AND issued_at = to_timestamp(1000) "
                        "AND expires_at = to_timestamp(2000) AND revoked_at = to_timestamp(1500) "
                        "AND revoked_by = 'client' AND revocation_reason = 'lost'"),
                     1);
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens WHERE user_id = '" USER "' AND revoked_at = "
                        "to_timestamp(1500) AND token_hash = '0200000000000000' || repeat('ab', 24)"),
                     1);
    assert_int_equal(pg("SELECT count(*) FROM oauth_access_tokens"), 1);
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens"), 1);
    assert_int_equal(pg("SELECT count(*) FROM token_service_unlinked_tokens WHERE subject IN ('sub', "
                        "'6f1b0f5e-2c3a-4d21-9c52-1d1f0a5be002')"),
                     2);
    assert_int_equal(pg("SELECT count(*) FROM token_service_unlinked_tokens WHERE revoked_at IS NOT NULL"), 1);
}

static struct token_use use_of(uint64_t number, enum token_kind token_kind, int64_t times, int64_t last_used_at)
{
    struct token_use use = { .kind = token_kind, .times = times, .last_used_at = last_used_at };
    hash_of(number, use.token_hash);
    return use;
}

static void uses_are_added_to_the_tokens_rows(void **state)
{
    OPEN(store);
    const struct client client = client_of("client");
    struct record records[] = { token_of(1, TOKEN_ACCESS, 2000), token_of(2, TOKEN_REFRESH, 2000),
                                token_of(3, TOKEN_ACCESS, 2000) };
    const struct token_use first[] = { use_of(1, TOKEN_ACCESS, 3, 1100), use_of(2, TOKEN_REFRESH, 7, 1200),
                                       use_of(1, TOKEN_ACCESS, 2, 1050), use_of(9, TOKEN_ACCESS, 1, 1100) };
    const struct token_use later[] = { use_of(1, TOKEN_ACCESS, INT32_MAX - 1, 1090) };
    (void)state;
    assert_ok(store->ops->add_client(store, &client));
    pg("INSERT INTO auth.users (id) VALUES ('" USER "')");
    for (size_t i = 0; i < COUNT(records); i++) {
        records[i].subject = STR(USER);
        records[i].next = i + 1 < COUNT(records) ? &records[i + 1] : NULL;
    }
    assert_ok(record_one(store, records));
    assert_ok(store->ops->count_uses(store, first, COUNT(first)));
    assert_ok(store->ops->count_uses(store, first, 0));
    assert_int_equal(pg("SELECT use_count FROM oauth_access_tokens WHERE last_used_at = to_timestamp(1100) AND "
                        "token_hash = '0100000000000000' || repeat('ab', 24)"),
                     5);
    assert_int_equal(pg("SELECT use_count FROM oauth_access_tokens WHERE last_used_at IS NULL"), 0);
    assert_int_equal(pg("SELECT count(*) FROM oauth_refresh_tokens WHERE last_used_at = to_timestamp(1200)"), 1);
    assert_ok(store->ops->count_uses(store, later, COUNT(later)));
    assert_int_equal(pg("SELECT use_count FROM oauth_access_tokens WHERE last_used_at = to_timestamp(1100)"),
                     INT32_MAX);
    assert_int_equal(pg("SELECT count(*) FROM oauth_access_tokens"), 2);
}

static void secrets_of_old_are_compared_and_hashes_of_others_are_none(void **state)
{
    static const char of_secret[] = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";
    static const struct {
        const char *column;
        bool is_usable; /* with "secret" */
    } rows[] = {
        { "'secret'", true },
        { "'sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'", true },
        { "NULL", false },
        { "''", false },
        { "'sha256:2bb8'", false },
        { "'$2b$12$abcdefghijklmnopqrstuuJ1Z7N5o5vHb3WsWcS3kFfXzL5qk9K0e'", false },
        { "'$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA'", false },
        { "'{SHA256}abc'", false },
    };
    OPEN(store);
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct client got;
        char hash[65] = "";
        unsigned bits = 0;
        pg(arena_printf(&arena,
                        "INSERT INTO oauth_clients (client_id, client_name, client_type, redirect_uris, client_secret) "
                        "VALUES ('c%zu', 'n', 'confidential', '{}', %s)",
                        i, rows[i].column)
               .at);
        assert_ok(store->ops->find_client(store, &arena, arena_printf(&arena, "c%zu", i), &got));
        for (size_t j = 0; j < 32; j++) {
            snprintf(hash + 2 * j, 3, "%02x", got.secret_hash[j]);
            bits |= got.secret_hash[j];
        }
        assert_row(rows[i].is_usable ? strcmp(hash, of_secret) == 0 : bits == 0, rows[i].column);
        assert_false(got.is_public);
        assert_int_equal(got.access_ttl_s, 3600);
    }
    assert_int_equal(pg("SELECT token_service_hash_secrets()"), 1);
    assert_int_equal(pg("SELECT count(*) FROM oauth_clients WHERE client_secret = "
                        "'sha256:2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'"),
                     2);
    assert_int_equal(pg("SELECT token_service_hash_secrets()"), 0);
}

static void the_platforms_own_changes_to_clients_are_heard_of(void **state)
{
    OPEN(store);
    const struct client client = client_of("one");
    const struct key key = key_of("one");
    (void)state;
    assert_ok(store->ops->add_first_key(store, &key));
    assert_ok(store->ops->add_client(store, &client));
    (void)store->ops->has_changed(store);
    pg("UPDATE oauth_clients SET allowed_code_challenge_methods = '{S256}'"); /* nothing that matters here */
    assert_false(store->ops->has_changed(store));
    pg("UPDATE oauth_clients SET jwks_uri = 'https://client.example/jwks'");
    assert_true(store->ops->has_changed(store));
    pg("UPDATE oauth_clients SET refresh_token_ttl = 5000");
    assert_true(store->ops->has_changed(store));
    assert_int_equal(found(store, "one").lifetime_s, 5000); /* the key must outlive those tokens */
    pg("DELETE FROM oauth_clients");
    assert_true(store->ops->has_changed(store));
    assert_false(store->ops->has_changed(store));
}

/* Else what the platform wrote would be undone by who read before it. */
static void the_platforms_own_change_is_a_change(void **state)
{
    OPEN(store);
    struct client got, client = client_of("one");
    (void)state;
    assert_ok(store->ops->add_client(store, &client));
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    pg("UPDATE oauth_clients SET redirect_uris = '{https://b.example/cb}'");
    assert_code(store->ops->change_client(store, &got, got.version), ERR_CONFLICT, "the platform was faster");
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_non_null(memmem(got.metadata.at, got.metadata.len, "b.example", 9));
}

/* Whatever stands in its row; and what a change does not mean stays as it stands. */
static void a_client_of_the_platforms_is_read_and_changed(void **state)
{
    OPEN(store);
    struct client got;
    (void)state;
    pg("INSERT INTO oauth_clients (client_id, client_name, client_type, redirect_uris, client_secret, "
       "token_service_metadata, allowed_grant_types) VALUES ('c', 'n', 'confidential', '{x,NULL}', 'plain', '[1]', "
       "'{implicit}'), ('d', 'n', 'public', '{}', NULL, jsonb_build_object('tos_uri', repeat('x', 70000)), '{}')");
    assert_ok(store->ops->find_client(store, &arena, STR("d"), &got));
    assert_str(got.metadata, "{}");
    assert_ok(store->ops->find_client(store, &arena, STR("c"), &got));
    got.is_active = false;
    assert_ok(store->ops->change_client(store, &got, got.version));
    assert_int_equal(pg("SELECT count(*) FROM oauth_clients WHERE client_secret = 'plain' AND NOT is_active AND "
                        "allowed_grant_types = '{implicit}' AND application_type = 'web' AND client_id = 'c'"),
                     1);
    memset(got.secret_hash, 3, sizeof got.secret_hash);
    assert_ok(store->ops->change_client(store, &got, got.version + 1));
    assert_int_equal(pg("SELECT count(*) FROM oauth_clients WHERE client_secret = 'sha256:' || repeat('03', 32)"), 1);
}

static void a_client_that_something_else_refers_to_is_not_deleted(void **state)
{
    OPEN(store);
    struct client got, client = client_of("one");
    (void)state;
    assert_ok(store->ops->add_client(store, &client));
    pg("CREATE TABLE refers (client_id text REFERENCES oauth_clients (client_id)); INSERT INTO refers VALUES ('one')");
    struct err err = store->ops->delete_client(store, STR("one"));
    pg("DROP TABLE refers");
    assert_code(err, ERR_CONFLICT, "a foreign key");
    assert_ok(store->ops->find_client(store, &arena, STR("one"), &got));
    assert_ok(store->ops->delete_client(store, STR("one")));
}

static void a_text_that_cannot_be_held_poisons_no_batch(void **state)
{
    OPEN(store);
    struct record records[] = { token_of(1, TOKEN_ACCESS, 2000), revocation_of(2, TOKEN_ACCESS, 2000) };
    struct revocation *revocations = NULL;
    (void)state;
    records[0].subject = STR("a\0b\xff");
    records[1].reason = STR("'); DROP TABLE oauth_clients; --\0\xc0");
    records[0].next = &records[1];
    assert_ok(record_one(store, records));
    assert_int_equal(since(store, 0, 1000, 10, &revocations), 1);
    assert_int_equal(pg("SELECT count(*) FROM token_service_unlinked_tokens WHERE subject = U&'a\\FFFDb\\FFFD'"), 1);
    assert_int_equal(pg("SELECT count(*) FROM token_service_revocations WHERE reason LIKE '%DROP TABLE%'"), 1);
}

/* A transaction that took its position first and ends last: whoever reads meanwhile must not be led past it. */
static void no_position_becomes_visible_behind_a_reader(void **state)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    static const unsigned char zero[32] = { 0 };
    OPEN(store);
    struct revocation *revocations = NULL;
    struct racer racer = { .store = store, .id = { 1 } };
    pthread_t thread;
    (void)state;
    PGconn *slow = PQconnectdb(environment("TOKEN_TEST_DATABASE_URL"));
    PQclear(PQexec(slow, "BEGIN"));
    PGresult *result =
        PQexec(slow, arena_printf(&arena,
                                  "SELECT token_service_record('{\"tokens\": [], \"revocations\": [{\"kind\": \"id\", "
                                  "\"hash\": \"%s\", \"reason\": \"\", \"revoked_by\": \"\", \"at\": 1, \"expires\": "
                                  "2000}]}')",
                                  zeros)
                         .at);
    assert_int_equal(PQresultStatus(result), PGRES_TUPLES_OK);
    PQclear(result);
    assert_int_equal(pthread_create(&thread, NULL, record_racing, &racer), 0);
    usleep(300000);
    assert_int_equal(since(store, 0, 1000, 1000, &revocations), 0); /* the others wait: none is ahead of the slow one */
    PQclear(PQexec(slow, "COMMIT"));
    PQfinish(slow);
    pthread_join(thread, NULL);
    assert_ok(racer.err);
    assert_int_equal(since(store, 0, 1000, 1000, &revocations), 51);
    assert_memory_equal(revocations[0].hash, zero, 32);
}

static void keys_of_the_service_before_are_left_alone(void **state)
{
    OPEN(store);
    const struct key key = key_of("one");
    struct key nobody;
    (void)state;
    assert_int_equal(pg("SELECT count(*) FROM oauth_jwks WHERE kid = 'old-service-key' AND is_active"), 1);
    assert_int_equal(keys_in(store), 0);
    assert_int_equal(past_keys_in(store, false), 0);
    assert_code(store->ops->find_key(store, &arena, STR("old-service-key"), &nobody), ERR_NOT_FOUND, "not ours");
    assert_code(store->ops->revoke_key(store, STR("old-service-key"), STR(""), STR(""), 1, &terms), ERR_NOT_FOUND, "");
    assert_ok(store->ops->add_first_key(store, &key));
    assert_int_equal(pg("SELECT count(*) FROM oauth_jwks WHERE kid = 'one' AND is_active AND kty = 'RSA' AND use = "
                        "'sig' "
                        "AND valid_from = to_timestamp(1001) AND valid_until IS NULL"),
                     1);
}

/* --- SQLite alone ------------------------------------------------------------------------------------------------ */

static void the_files_are_their_owners_alone(void **state)
{
    mode_t before = umask(0);
    (void)state;
    snprintf(folder + strlen(folder), sizeof folder - strlen(folder), "/data");
    OPEN(store);
    struct client client = client_of("one");
    assert_ok(store->ops->add_client(store, &client));
    umask(before);
    assert_int_equal(mode_of(folder), 0700);
    assert_int_equal(mode_of(in_folder(DATABASE)), 0600);
    assert_int_equal(mode_of(in_folder(DATABASE "-wal")), 0600);
    assert_int_equal(mode_of(in_folder(DATABASE "-shm")), 0600);
    *strrchr(folder, '/') = '\0';
}

static void the_schema_has_a_version_and_a_second_start_changes_nothing(void **state)
{
    (void)state;
    struct store *store = open_store();
    store_closep(&store);
    int64_t version = sql("PRAGMA user_version"), schema = sql("PRAGMA schema_version");
    assert_true(version >= 1);
    assert_int_equal(sql("SELECT count(*) FROM sqlite_schema WHERE name IN ('oauth_clients', 'oauth_jwks', "
                         "'oauth_access_tokens', 'oauth_refresh_tokens', 'revocations')"),
                     5);
    store = open_store();
    store_closep(&store);
    assert_int_equal(sql("PRAGMA user_version"), version);
    assert_int_equal(sql("PRAGMA schema_version"), schema);
}

/* As version 1 of the schema left it: a key that signed, a client and a refresh token with lifetimes of their own. */
static void a_database_of_the_first_version_is_brought_up_to_date(void **state)
{
    static const char *const made_by_version_1[] = {
        "DROP TABLE oauth_jwks",
        "DROP TABLE events",
        "DROP TABLE identity",
        "DROP TABLE items",
        "DROP TABLE revocations",
        ("CREATE TABLE revocations(position INTEGER PRIMARY KEY AUTOINCREMENT, token_hash BLOB NOT NULL UNIQUE, "
         "expires_at INTEGER NOT NULL, reason TEXT NOT NULL, revoked_by TEXT NOT NULL, revoked_at INTEGER NOT NULL) "
         "STRICT"),
        "CREATE INDEX revocations_expiry ON revocations(expires_at)",
        "INSERT INTO revocations VALUES (7, zeroblob(32), 9001, 'lost', 'client', 1500)",
        ("CREATE TABLE oauth_jwks(kid TEXT PRIMARY KEY, alg TEXT NOT NULL, public_key TEXT NOT NULL, private_key_ref "
         "TEXT NOT NULL, state INTEGER NOT NULL CHECK (state BETWEEN 1 AND 5), created_at INTEGER NOT NULL, "
         "activated_at INTEGER NOT NULL, retired_at INTEGER NOT NULL) STRICT"),
        "CREATE UNIQUE INDEX oauth_jwks_one_active ON oauth_jwks(state) WHERE state = 2",
        "INSERT INTO oauth_jwks VALUES ('one', 'RS256', '{}', 'file:x', 2, 1000, 1001, 0)",
        ("INSERT INTO oauth_refresh_tokens(token_hash, expires_at, jti, subject, client_id, scope, audience, "
         "issued_at) "
         "VALUES (x'00', 9001, '', '', '', '', '', 8000)"),
        "DROP TABLE oauth_access_tokens",
        ("CREATE TABLE oauth_access_tokens(expires_at INTEGER NOT NULL, token_hash BLOB NOT NULL, jti TEXT NOT NULL, "
         "subject TEXT NOT NULL, client_id TEXT NOT NULL, scope TEXT NOT NULL, audience TEXT NOT NULL, issued_at "
         "INTEGER NOT NULL, revoked_at INTEGER, revoked_by TEXT, revocation_reason TEXT, id INTEGER PRIMARY KEY) "
         "STRICT"),
        "CREATE INDEX oauth_access_tokens_expiry ON oauth_access_tokens(expires_at)",
        ("INSERT INTO oauth_access_tokens VALUES (7000, x'01', 'a', 's', 'c', '', '[]', 6000, NULL, NULL, NULL, 2), "
         "(7000, x'02', 'b', 's', 'c', '', '[]', 6000, 6500, 'c', 'lost', 3), "
         "(6900, x'03', 'c', 's', 'c', '', '[]', 6000, NULL, NULL, NULL, 4)"),
        "ALTER TABLE oauth_clients DROP COLUMN metadata",
        "ALTER TABLE oauth_clients DROP COLUMN old_secret_hash",
        "ALTER TABLE oauth_clients DROP COLUMN old_secret_until",
        "ALTER TABLE oauth_clients DROP COLUMN version",
        "PRAGMA user_version = 1",
    };
    (void)state;
    struct store *store = open_store();
    struct client client = client_of("one");
    assert_ok(store->ops->add_client(store, &client));
    store_closep(&store);
    for (size_t i = 0; i < COUNT(made_by_version_1); i++)
        sql(made_by_version_1[i]);
    assert_int_equal(unlink(in_folder("database-id")), 0);
    OPEN(again);
    assert_true(exists("database-id"));
    struct revocation *revoked = NULL;
    assert_int_equal(sql("PRAGMA user_version"), 8);
    assert_ok(again->ops->find_client(again, &arena, STR("one"), &client));
    assert_str(client.metadata, "{}");
    assert_true(client.version == 1 && client.old_secret_until == 0 && client.refresh_ttl_s == 70);
    assert_ok(disable(again, STR("one"), false));
    assert_int_equal(since(again, 0, 1000, 10, &revoked), 1);
    assert_int_equal(revoked[0].kind, REVOKED_TOKEN);
    assert_int_equal(revoked[0].before, 0);
    assert_int_equal(sql("SELECT count(*) FROM oauth_access_tokens WHERE expires_at = 7000 AND issued_at = 6000"), 2);
    assert_int_equal(sql("SELECT count(*) FROM oauth_access_tokens WHERE token_hash = x'02' AND jti = 'b' AND "
                         "revoked_at = 6500 AND revocation_reason = 'lost'"),
                     1);
    assert_int_equal(sql("SELECT count(*) FROM oauth_access_tokens WHERE token_hash = x'03' AND expires_at = 6900"), 1);
    assert_int_equal(found(again, "one").state, KEY_ACTIVE);
    assert_int_equal(found(again, "one").published_at, 1000);
    assert_int_equal(found(again, "one").lifetime_s, 8000); /* whenever it stops signing, its last token has expired */
    const struct key next = pending_of("two");
    assert_ok(again->ops->add_pending_key(again, &next));
    assert_ok(again->ops->activate_key(again, STR("two"), STR("one"), 2000, &terms));
}

static void each_transition_has_its_event_and_events_are_purged(void **state)
{
    OPEN(store);
    const struct key first = key_of("one"), next = pending_of("two"), third = pending_of("three");
    size_t deleted;
    (void)state;
    assert_ok(store->ops->add_first_key(store, &first));
    assert_ok(store->ops->add_pending_key(store, &next));
    assert_ok(store->ops->activate_key(store, STR("two"), STR("one"), 2000, &terms));
    assert_code(store->ops->activate_key(store, STR("two"), STR("one"), 2000, &terms), ERR_CONFLICT, "again");
    assert_ok(store->ops->retire_key(store, STR("one"), 9000));
    assert_ok(store->ops->add_pending_key(store, &third));
    assert_ok(store->ops->revoke_key(store, STR("two"), STR("three"), STR("a \"reason\""), 9100, &terms));
    static const char *const events[] = {
        "{\"newKeyId\":\"one\",\"transition\":\"activated\"}",
        "{\"newKeyId\":\"two\",\"transition\":\"published\"}",
        "{\"newKeyId\":\"two\",\"oldKeyId\":\"one\",\"transition\":\"activated\"}",
        "{\"oldKeyId\":\"one\",\"transition\":\"retired\"}",
        "{\"newKeyId\":\"three\",\"transition\":\"published\"}",
        "{\"newKeyId\":\"three\",\"oldKeyId\":\"two\",\"transition\":\"revoked\",\"reason\":\"a \\\"reason\\\"\"}",
    };
    assert_int_equal(sql("SELECT count(*) FROM events WHERE type = 'keys_rotated'"), COUNT(events));
    for (size_t i = 0; i < COUNT(events); i++)
        assert_row(sql(arena_printf(&arena,
                                    "SELECT count(*) FROM events WHERE id = %zu AND json_remove(detail, '$.eventId') = "
                                    "'%s' AND detail ->> 'eventId' GLOB '[0-9a-f]*' AND length(detail ->> 'eventId') = "
                                    "32",
                                    i + 1, events[i])
                           .at) == 1,
                   events[i]);
    assert_ok(store->ops->purge(store, 9100 + 30 * 24 * 3600 + STORE_TOKEN_KEPT_S, 100, &deleted, NULL));
    assert_int_equal(sql("SELECT count(*) FROM events"), 1);
    assert_int_equal(deleted, COUNT(events) - 1);
}

static void a_database_of_a_newer_version_is_refused_and_left_as_it_is(void **state)
{
    const struct settings settings = { .data_dir = folder };
    (void)state;
    struct store *store = open_store();
    struct client client = client_of("one");
    assert_ok(store->ops->add_client(store, &client));
    store_closep(&store);
    sql("PRAGMA user_version = 9999");
    struct err err = store_sqlite_open(&settings, &store);
    assert_code(err, ERR_UNAVAILABLE, "a newer version");
    assert_non_null(strstr(err.why, "newer"));
    assert_null(store);
    assert_int_equal(sql("PRAGMA user_version"), 9999);
    assert_int_equal(sql("SELECT count(*) FROM oauth_clients"), 1);
}

static void what_is_no_database_is_refused_and_left_as_it_is(void **state)
{
    const struct settings settings = { .data_dir = folder };
    struct store *store = NULL;
    char text[8192];
    (void)state;
    memset(text, 'x', sizeof text);
    write_text(DATABASE, (struct str){ text, sizeof text }, 0600);
    assert_code(store_sqlite_open(&settings, &store), ERR_UNAVAILABLE, "no database");
    assert_null(store);
    assert_true(str_eq(read_text(DATABASE), (struct str){ text, sizeof text }));
}

static void a_data_directory_that_cannot_be_is_an_error_that_names_it(void **state)
{
    char longest[5000];
    const char *const bad[] = { in_folder("no/such/parent"), in_folder("file"), longest };
    struct store *store = NULL;
    (void)state;
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    write_text("file", STR("x"), 0600);
    for (size_t i = 0; i < COUNT(bad); i++) {
        const struct settings settings = { .data_dir = bad[i] };
        struct err err = store_sqlite_open(&settings, &store);
        assert_code(err, ERR_INVALID_REQUEST, bad[i]);
        assert_non_null(strstr(err.why, "TOKEN_DATA_DIR"));
    }
}

/* A data directory on another disk, or below /var/run, is often reached through a link. */
static void a_data_directory_may_be_reached_through_a_symbolic_link(void **state)
{
    const struct settings settings = { .data_dir = in_folder("link") };
    AUTO(store_closep) struct store *store = NULL;
    (void)state;
    assert_int_equal(mkdir(in_folder("real"), 0700), 0);
    assert_int_equal(symlink("real", in_folder("link")), 0);
    assert_ok(store_sqlite_open(&settings, &store));
    assert_true(exists("real/" DATABASE));
}

static void a_database_that_is_itself_a_link_is_refused(void **state)
{
    const struct settings settings = { .data_dir = folder };
    struct store *store = NULL;
    (void)state;
    assert_int_equal(symlink("elsewhere", in_folder(DATABASE)), 0);
    assert_code(store_sqlite_open(&settings, &store), ERR_UNAVAILABLE, "a link");
    assert_false(exists("elsewhere"));
}

/* Two processes number the tokens that expire in the same second, each from a place of its own. */
static void a_token_whose_place_is_taken_gets_the_next(void **state)
{
    enum { TAKEN = 50 };
    OPEN(store);
    const struct record first = token_of(1, TOKEN_ACCESS, 2000), second = token_of(2, TOKEN_ACCESS, 2000);
    (void)state;
    assert_ok(record_one(store, &first));
    sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) INSERT INTO "
        "oauth_access_tokens(id, token_hash, jti, subject, client_id, scope, audience, issued_at) SELECT (2000 << 24) "
        "| (id + i & 0xffffff), x'00', '', '', '', '', '', 0 FROM n, oauth_access_tokens");
    assert_ok(record_one(store, &second));
    assert_int_equal(sql("SELECT count(*) FROM oauth_access_tokens WHERE expires_at = 2000"), TAKEN + 2);
    assert_int_equal(sql("SELECT count(*) FROM oauth_access_tokens WHERE jti <> ''"), 2);
}

static void a_revocation_marks_the_tokens_own_row_once(void **state)
{
    OPEN(store);
    const struct record access = token_of(1, TOKEN_ACCESS, 2000), other = token_of(2, TOKEN_ACCESS, 2000),
                        refresh = token_of(3, TOKEN_REFRESH, 2000);
    struct record revocations[] = { revocation_of(1, TOKEN_ACCESS, 2061), revocation_of(3, TOKEN_REFRESH, 2061) };
    (void)state;
    assert_ok(record_one(store, &access));
    assert_ok(record_one(store, &other));
    assert_ok(record_one(store, &refresh));
    for (size_t i = 0; i < COUNT(revocations); i++) {
        revocations[i].token_expires_at = 2000;
        assert_ok(record_one(store, &revocations[i]));
        revocations[i].issued_at = 1900; /* again, later and with another reason: the first stays */
        revocations[i].reason = STR("again");
        assert_ok(record_one(store, &revocations[i]));
    }
    assert_int_equal(sql("SELECT count(*) FROM oauth_access_tokens WHERE revoked_at IS NULL"), 1);
    assert_int_equal(sql("SELECT count(*) FROM oauth_access_tokens WHERE revoked_at = 1500 AND revoked_by = 'client' "
                         "AND "
                         "revocation_reason = 'lost'"),
                     1);
    assert_int_equal(
        sql("SELECT count(*) FROM oauth_refresh_tokens WHERE revoked_at = 1500 AND revocation_reason = 'lost'"), 1);
}

/* No write goes through while a file may not grow: what a full disk does. */
static void a_full_disk_is_an_error_and_the_store_recovers(void **state)
{
    OPEN(store);
    const struct record first = revocation_of(1, TOKEN_ACCESS, 2000), second = revocation_of(2, TOKEN_ACCESS, 2000);
    struct rlimit limit, none;
    struct revocation *found = NULL;
    (void)state;
    assert_ok(record_one(store, &first));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    none = limit;
    none.rlim_cur = 1;
    void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    struct err err = record_one(store, &second), check = store->ops->check(store);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    (void)signal(SIGXFSZ, before);
    assert_code(err, ERR_UNAVAILABLE, "a full disk");
    assert_code(check, ERR_UNAVAILABLE, "a full disk, checked");
    assert_int_equal(since(store, 0, 1000, 10, &found), 1);
    assert_ok(record_one(store, &second));
    assert_ok(store->ops->check(store));
    assert_int_equal(since(store, 0, 1000, 10, &found), 2);
}

/* Of its own accord nothing would fail: SQLite writes on to what has no name any more. */
static void a_database_that_is_replaced_while_it_is_open_takes_no_write(void **state)
{
    static const char *const names[] = { DATABASE, DATABASE "-wal" };
    OPEN(store);
    const struct record record = revocation_of(1, TOKEN_ACCESS, 2000);
    const struct client client = client_of("one");
    struct err verdict;
    (void)state;
    assert_ok(record_one(store, &record));
    assert_ok(store->ops->add_client(store, &client));
    for (size_t i = 0; i < 2 * COUNT(names); i++) {
        const char *name = names[i / 2];
        assert_int_equal(rename(in_folder(name), arena_printf(&arena, "%s/moved", folder).at), 0);
        if (i % 2) /* another one is in its place */
            write_text(name, STR("x"), 0600);
        store->ops->record(store, &(const struct record *){ &record }, 1, &verdict);
        assert_code(verdict, ERR_UNAVAILABLE, name);
        assert_code(disable(store, STR("one"), i % 2), ERR_UNAVAILABLE, name);
        struct err check = store->ops->check(store);
        assert_code(check, ERR_UNAVAILABLE, name);
        assert_non_null(strstr(check.why, "restart"));
        assert_non_null(strstr(check.why, folder));
        const char *moved = arena_printf(&arena, "%s/moved", folder).at;
        assert_int_equal(rename(moved, in_folder(name)), 0);
        assert_ok(store->ops->check(store)); /* it is back */
        assert_ok(record_one(store, &record));
    }
}

static void lose(const char *name)
{
    (void)unlink(in_folder(name));
}

/* What was revoked would be good again, with the keys that signed it. */
static void a_database_that_is_not_the_keys_own_is_refused(void **state)
{
    const struct settings settings = { .data_dir = folder };
    struct store *store = open_store();
    (void)state;
    store_closep(&store);
    write_text("signing-key-x.pem", STR("x"), 0600);
    store = open_store(); /* as it was */
    store_closep(&store);
    const struct str id = read_text("database-id");
    assert_int_equal(id.len, 33);
    for (int i = 0; i < 4; i++) {
        if (i < 2)
            lose(DATABASE);
        if (i == 1)
            lose("database-id"); /* as in a directory of before there were ids */
        if (i == 2) {
            lose("signing-key-x.pem");
            store = open_store(); /* another one, */
            store_closep(&store);
            write_text("database-id", id, 0600); /* beside the keys of the first */
        }
        struct err err = store_sqlite_open(&settings, &store);
        assert_code(err, ERR_INVALID_REQUEST, "another database");
        assert_non_null(strstr(err.why, "TOKEN_DATA_DIR"));
        assert_non_null(strstr(err.why, "database-id"));
        assert_null(store);
        assert_int_equal(exists(DATABASE), i >= 2); /* none is made meanwhile */
    }
    lose("database-id"); /* whoever begins anew takes this away, and the keys */
    store = open_store();
    store_closep(&store);
    assert_true(exists("database-id"));
}

/* Cut off between the database and the file beside the keys, or while that is written. */
static void a_first_start_that_was_cut_off_is_gone_on_with(void **state)
{
    struct store *store = open_store();
    (void)state;
    store_closep(&store);
    const struct str id = read_text("database-id");
    lose("database-id");
    write_text(".database-id.1", STR("half"), 0600);
    store = open_store();
    store_closep(&store);
    assert_true(str_eq(read_text("database-id"), id));
    assert_false(exists(".database-id.1"));
}

static void *hold_the_file(void *arg)
{
    sqlite3 *db = NULL;
    if (sqlite3_open_v2(in_folder(DATABASE), &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK) {
        atomic_store((atomic_bool *)arg, true);
        usleep(700000);
        (void)sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    }
    sqlite3_close(db);
    return NULL;
}

static void a_write_waits_for_another_processs_write(void **state)
{
    OPEN(store);
    const struct record record = revocation_of(1, TOKEN_ACCESS, 2000);
    struct revocation *found = NULL;
    struct client got;
    pthread_t thread;
    static atomic_bool held;
    (void)state;
    atomic_store(&held, false);
    assert_int_equal(pthread_create(&thread, NULL, hold_the_file, &held), 0);
    while (!atomic_load(&held))
        usleep(1000);
    assert_code(store->ops->find_client(store, &arena, STR("one"), &got), ERR_NOT_FOUND, "reads don't wait");
    assert_ok(record_one(store, &record));
    pthread_join(thread, NULL);
    assert_int_equal(since(store, 0, 1000, 10, &found), 1);
}

/* --- other processes --------------------------------------------------------------------------------------------- */

/* This program again, as the command line beside a running server: `add ID` adds a client, `count` exits with the
 * number of revocations it sees. */
static int be_another_process(char **argv)
{
    snprintf(folder, sizeof folder, "%s", argv[2]);
    const struct settings settings = { .data_dir = folder };
    struct store *store = NULL;
    struct revocation *found = NULL;
    size_t count = 0;
    arena_init(&arena, NULL, 0);
    struct err err = store_sqlite_open(&settings, &store);
    if (!err.code && strcmp(argv[1], "add") == 0) {
        const struct client client = client_of(argv[3]);
        err = store->ops->add_client(store, &client);
    } else if (!err.code) {
        struct sequence sequence;
        err = store->ops->revocations_since(store, &arena, 0, 1000, 100, &found, &count, &sequence);
    }
    store_closep(&store);
    arena_release(&arena);
    return err.code ? 120 : (int)count;
}

static int run_another_process(const char *what, const char *id)
{
    char *argv[] = { (char *)(uintptr_t) "test_store", (char *)(uintptr_t)what, folder, (char *)(uintptr_t)id, NULL };
    pid_t child = 0;
    int status = 0;
    assert_int_equal(posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environ), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static ino_t inode_of(const char *name)
{
    struct stat about;
    return stat(in_folder(name), &about) == 0 ? about.st_ino : 0;
}

/* SQLite holds a POSIX lock on its file for as long as it is open. A process loses all its locks on a file when it
 * closes any descriptor of it; then another process that ends takes itself for the last one and deletes the write-ahead
 * log under the first one's hands, and what is committed after that is lost. */
static void another_process_that_comes_and_goes_takes_nothing_away(void **state)
{
    OPEN(store);
    struct client got;
    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        const struct record record = revocation_of(i, TOKEN_ACCESS, 2000);
        assert_ok(record_one(store, &record));
        ino_t log = inode_of(DATABASE "-wal");
        assert_true(log != 0);
        struct str id = arena_printf(&arena, "c%d", (int)i);
        assert_int_equal(run_another_process("add", id.at), 0);
        assert_ok(store->ops->find_client(store, &arena, id, &got));
        assert_int_equal(inode_of(DATABASE "-wal"), log);
        assert_int_equal(run_another_process("count", ""), (int)i + 1);
    }
}

/* The same with a second handle opened and closed in this process, as a command within a server might do. */
static void a_handle_of_this_process_that_is_closed_takes_nothing_away(void **state)
{
    OPEN(store);
    const struct record first = revocation_of(1, TOKEN_ACCESS, 2000), second = revocation_of(2, TOKEN_ACCESS, 2000);
    (void)state;
    assert_ok(record_one(store, &first));
    struct store *other = open_store();
    store_closep(&other);
    assert_int_equal(run_another_process("add", "one"), 0);
    assert_ok(record_one(store, &second));
    assert_int_equal(run_another_process("count", ""), 2);
}

#define ADA "6b29fc40-ca47-1067-b31d-00dd010662da"

/* Claim by claim is kept_claims.h's. */
static void what_the_platform_knows_of_a_user_is_read(void **state)
{
    (void)state;
    const struct json *columns = NULL;
    OPEN(store);
    static const char *const nobody[] = { "",
                                          "ada",
                                          "6b29fc40-ca47-1067-b31d-00dd010662db",
                                          "6b29fc40-ca47-1067-b31d-00dd010662d",
                                          "6b29fc40-ca47-1067-b31d-00dd010662daa",
                                          "6b29fc40xca47-1067-b31d-00dd010662da",
                                          "6b29fc40-ca47-1067-b31d-00dd010662dg",
                                          "' OR true --" };
    pg("INSERT INTO auth.users (id) VALUES ('" ADA "'), ('6b29fc40-ca47-1067-b31d-00dd010662dc')");
    assert_code(store->ops->find_user_claims(store, &arena, STR(ADA), &columns), ERR_NOT_FOUND, "a user without a row");
    pg("INSERT INTO oauth_id_token_claims (user_id, preferred_username, profile_url, email_verified, website, "
       "address_street, gender) VALUES ('" ADA
       "', 'zo\u00eb \"quoted\"', 'https://a.example/', false, '', 'Wall 1', NULL), "
       "('6b29fc40-ca47-1067-b31d-00dd010662dc', 'another', NULL, NULL, NULL, NULL, NULL)");
    assert_ok(store->ops->find_user_claims(store, &arena, STR(ADA), &columns));
    assert_int_equal(columns->count, 5); /* neither what is null, nor the user's id */
    assert_str(json_member(columns, STR("preferred_username"))->text, "zo\u00eb \"quoted\"");
    assert_str(json_member(columns, STR("profile_url"))->text, "https://a.example/");
    assert_str(json_member(columns, STR("address_street"))->text, "Wall 1");
    assert_str(json_member(columns, STR("website"))->text, "");
    assert_int_equal(json_member(columns, STR("email_verified"))->kind, JSON_FALSE);
    assert_ok(store->ops->find_user_claims(store, &arena, STR("6B29FC40-CA47-1067-B31D-00DD010662DA"), &columns));
    for (size_t i = 0; i < COUNT(nobody); i++)
        assert_code(store->ops->find_user_claims(store, &arena, str_of(nobody[i]), &columns), ERR_NOT_FOUND, nobody[i]);
    pg("UPDATE oauth_id_token_claims SET locale = repeat('x', 100000), zoneinfo = repeat('y', 2048) WHERE user_id = "
       "'" ADA "'");
    assert_ok(store->ops->find_user_claims(store, &arena, STR(ADA), &columns));
    assert_null(json_member(columns, STR("locale")));
    assert_int_equal(json_member(columns, STR("zoneinfo"))->text.len, 2048);
    pg("UPDATE oauth_id_token_claims SET preferred_username = NULL, profile_url = NULL, email_verified = NULL, website "
       "= "
       "NULL, address_street = NULL, locale = NULL, zoneinfo = NULL WHERE user_id = '" ADA "'");
    assert_ok(store->ops->find_user_claims(store, &arena, STR(ADA), &columns));
    assert_int_equal(columns->count, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest conformance[] = {
        IN_EACH(a_client_is_found_as_it_was_added),
        IN_EACH(only_that_very_client_is_found),
        IN_EACH(any_text_comes_back_byte_by_byte),
        IN_EACH(a_clients_id_is_taken_once),
        IN_EACH(a_public_client_has_no_secret),
        IN_EACH(a_disabled_client_is_found_and_says_so),
        IN_EACH(what_a_client_registered_comes_back),
        IN_EACH(a_change_replaces_all_that_a_client_has),
        IN_EACH(a_change_meets_only_the_version_that_was_read),
        IN_EACH(a_deleted_client_is_gone_and_its_id_is_free),
        IN_EACH(a_lifetime_that_a_client_gets_raises_the_active_keys),
        IN_EACH(clients_are_listed_by_id_up_to_a_maximum),
        IN_EACH(the_first_key_is_kept_and_a_second_is_a_conflict),
        IN_EACH(a_key_goes_through_its_states_and_keeps_the_times),
        IN_EACH(a_transition_that_does_not_fit_changes_nothing),
        IN_EACH(a_revoked_active_key_is_followed_in_the_same_breath),
        IN_EACH(the_lifetime_of_the_active_key_is_only_raised),
        IN_EACH(of_many_who_are_first_one_wins_and_the_others_are_told),
        IN_EACH(revocations_come_back_in_order_from_a_position_on),
        IN_EACH(expired_revocations_are_left_out),
        IN_EACH(the_same_token_may_be_revoked_again_and_keeps_the_later_expiry),
        IN_EACH(the_same_refresh_token_may_be_recorded_again),
        IN_EACH(a_reason_comes_back_whatever_is_in_it),
        IN_EACH(a_token_may_be_revoked_that_was_never_recorded),
        IN_EACH(many_requests_and_their_lists_are_one_batch),
        IN_EACH(of_a_batch_bad_lists_fail_alone_and_the_others_are_kept),
        IN_EACH(rules_and_revoked_tokens_come_back_in_one_order),
        IN_EACH(a_rule_again_keeps_the_later_times_and_is_heard_of_when_they_grow),
        IN_EACH(of_rules_for_the_same_in_one_batch_the_later_times_are_kept),
        IN_EACH(a_rules_target_may_be_any_text),
        IN_EACH(a_rule_is_purged_and_marks_no_token),
        IN_EACH(a_purge_deletes_what_expired_in_steps_of_at_most_so_many_rows),
        IN_EACH(a_purge_keeps_what_has_only_just_expired),
        IN_EACH(a_position_is_never_given_twice),
        IN_EACH(what_one_handle_wrote_another_reads),
        IN_EACH(a_handle_hears_of_others_writes_once_and_not_of_its_own),
        IN_EACH(a_follower_misses_nothing_while_others_write),
        IN_EACH(everything_is_there_again_after_a_restart),
    };
    const struct CMUnitTest sqlite[] = {
        IN_EACH(the_files_are_their_owners_alone),
        IN_EACH(the_schema_has_a_version_and_a_second_start_changes_nothing),
        IN_EACH(a_database_of_the_first_version_is_brought_up_to_date),
        IN_EACH(each_transition_has_its_event_and_events_are_purged),
        IN_EACH(a_database_of_a_newer_version_is_refused_and_left_as_it_is),
        IN_EACH(what_is_no_database_is_refused_and_left_as_it_is),
        IN_EACH(a_data_directory_that_cannot_be_is_an_error_that_names_it),
        IN_EACH(a_data_directory_may_be_reached_through_a_symbolic_link),
        IN_EACH(a_database_that_is_itself_a_link_is_refused),
        IN_EACH(a_token_whose_place_is_taken_gets_the_next),
        IN_EACH(a_purge_waits_for_no_disk_and_what_is_recorded_after_it_does),
        IN_EACH(a_revocation_marks_the_tokens_own_row_once),
        IN_EACH(a_full_disk_is_an_error_and_the_store_recovers),
        IN_EACH(a_database_that_is_replaced_while_it_is_open_takes_no_write),
        IN_EACH(a_database_that_is_not_the_keys_own_is_refused),
        IN_EACH(a_first_start_that_was_cut_off_is_gone_on_with),
        IN_EACH(a_write_waits_for_another_processs_write),
        IN_EACH(another_process_that_comes_and_goes_takes_nothing_away),
        IN_EACH(a_handle_of_this_process_that_is_closed_takes_nothing_away),
    };
    const struct CMUnitTest shared[] = {
        IN_EACH(a_lease_is_held_by_one_until_it_ends),
        IN_EACH(what_has_not_ended_by_the_databases_clock_is_there_for_all),
        IN_EACH(tokens_of_users_and_clients_are_in_the_platforms_tables),
        IN_EACH(uses_are_added_to_the_tokens_rows),
        IN_EACH(secrets_of_old_are_compared_and_hashes_of_others_are_none),
        IN_EACH(the_platforms_own_changes_to_clients_are_heard_of),
        IN_EACH(the_platforms_own_change_is_a_change),
        IN_EACH(a_client_of_the_platforms_is_read_and_changed),
        IN_EACH(a_client_that_something_else_refers_to_is_not_deleted),
        IN_EACH(a_text_that_cannot_be_held_poisons_no_batch),
        IN_EACH(no_position_becomes_visible_behind_a_reader),
        IN_EACH(keys_of_the_service_before_are_left_alone),
        IN_EACH(what_the_platform_knows_of_a_user_is_read),
    };
    if (argc == 4)
        return be_another_process(argv);
    const int bad = RUN_OVER_STORES(conformance, shared);
    kind = 0; /* sqlite's row */
    return bad + cmocka_run_group_tests(sqlite, NULL, NULL);
}
