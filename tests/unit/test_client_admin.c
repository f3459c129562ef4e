/* test_client_admin.c: changes to clients, which this process acts on at once. (The command line over them:
 * tests/integration/test_cli.py.) */
#include "service/client_admin.h"
#include "folder.h"
#include "jose/jws.h"
#include "observe/log.h"
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

static struct client_entry wanted(const char *id)
{
    return (struct client_entry){
        .id = str_of(id), .name = STR("A name"), .scopes = STR("a b"), .is_active = true, .created_at = 1000
    };
}

/* As a loop sees it: in memory. */
static struct client in_memory(const char *id)
{
    struct client client = { .is_active = false };
    assert_true(clients_get(service.clients, &arena, str_of(id), 0, &client));
    return client;
}

static bool has_secret(const struct client *client, const char *secret)
{
    unsigned char hash[32];
    sha256(str_of(secret), hash);
    return memcmp(hash, client->secret_hash, sizeof hash) == 0;
}

static void what_is_added_is_listed_without_its_secret(void **state)
{
    char secret[CLIENT_SECRET_SIZE] = "";
    struct client_entry one = wanted("one"), public = wanted("public"), *list = NULL;
    size_t count = 0;
    (void)state;
    public.is_public = true;
    assert_ok(client_admin_add(&service, &one, secret));
    assert_int_equal(strlen(secret), CLIENT_SECRET_SIZE - 1);
    assert_ok(client_admin_add(&service, &public, secret));
    assert_code(client_admin_add(&service, &one, secret), ERR_CONFLICT, "the same id again");
    assert_ok(client_admin_list(&service, &arena, 10, &list, &count));
    assert_int_equal(count, 2);
    assert_str(list[0].id, "one");
    assert_str(list[0].scopes, "a b");
    assert_true(list[1].is_public && list[0].is_active);
}

static void an_id_a_scope_or_a_name_of_other_characters_is_refused(void **state)
{
    static const struct client_entry rows[] = { { .id = ROW("") },
                                                { .id = ROW("a\tb") },
                                                { .id = ROW("caf\xc3\xa9") },
                                                { .id = ROW("a"), .scopes = ROW("a\"b") },
                                                { .id = ROW("a"), .scopes = ROW("a\\b") },
                                                { .id = ROW("a"), .name = ROW("\xff") } };
    char secret[CLIENT_SECRET_SIZE];
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        assert_code(client_admin_add(&service, &rows[i], secret), ERR_INVALID_REQUEST, rows[i].id.at);
}

static void a_change_is_in_force_here_at_once(void **state)
{
    char first[CLIENT_SECRET_SIZE], second[CLIENT_SECRET_SIZE];
    struct client_entry one = wanted("one");
    struct client client;
    (void)state;
    assert_ok(client_admin_add(&service, &one, first));
    assert_ok(clients_find(service.clients, &arena, STR("one"), 0, &client));
    assert_true(has_secret(&client, first));
    assert_ok(client_admin_renew_secret(&service, &arena, STR("one"), &one, second));
    client = in_memory("one");
    assert_true(has_secret(&client, second) && !has_secret(&client, first));
    assert_ok(client_admin_set_active(&service, STR("one"), false));
    assert_false(in_memory("one").is_active);
    assert_ok(client_admin_set_active(&service, STR("one"), true));
    assert_true(in_memory("one").is_active);
}

static void who_is_not_there_or_public_is_not_found(void **state)
{
    char secret[CLIENT_SECRET_SIZE];
    struct client_entry public = wanted("public"), out;
    (void)state;
    public.is_public = true;
    assert_ok(client_admin_add(&service, &public, secret));
    assert_code(client_admin_renew_secret(&service, &arena, STR("public"), &out, secret), ERR_NOT_FOUND, "public");
    assert_code(client_admin_renew_secret(&service, &arena, STR("x"), &out, secret), ERR_NOT_FOUND, "nobody");
    assert_code(client_admin_set_active(&service, STR("x"), true), ERR_NOT_FOUND, "nobody");
}

#define OF_ITS_OWN(function) cmocka_unit_test_setup_teardown(function, begin, finish)
RUN(OF_ITS_OWN(what_is_added_is_listed_without_its_secret),
    OF_ITS_OWN(an_id_a_scope_or_a_name_of_other_characters_is_refused), OF_ITS_OWN(a_change_is_in_force_here_at_once),
    OF_ITS_OWN(who_is_not_there_or_public_is_not_found))
