/* test_clients.c: clients in memory: only what the store said, and only for its time. */
#include "service/clients.h"
#include "service/client_metadata.h"
#include "unit.h"
#include <pthread.h>
#include <stdatomic.h>

#define METADATA                                                                                                       \
    "{\"grant_types\":[\"refresh_token\"],\"redirect_uris\":[\"https://a.example/\\u0063b\",\"https://b.example/\"],"  \
    "\"client_uri\":\"https://a.example/\",\"refresh_token_grace\":7}"

/* --- a store with one client by any name that begins with "c" ---------------------------------------------------- */

static struct told_store {
    struct store store;
    atomic_int asked;
    atomic_bool failing, gone, disabled, same; /* same: it says the same each time */
} told;

static struct err told_find(struct store *store, struct arena *in, struct str id, struct client *out)
{
    struct told_store *self = (struct told_store *)store;
    int asked = atomic_fetch_add(&self->asked, 1);
    if (atomic_load(&self->failing))
        return failed(ERR_UNAVAILABLE, "the store fails");
    if (atomic_load(&self->gone) || !str_has_prefix(id, STR("c")))
        return failed(ERR_NOT_FOUND, "there is no such client");
    *out = (struct client){ .id = arena_copy(in, id),
                            .name = arena_printf(in, "name %d", atomic_load(&self->same) ? 0 : asked),
                            .scopes = arena_copy(in, STR("a b")),
                            .metadata = arena_copy(in, STR(METADATA)),
                            .is_active = !atomic_load(&self->disabled) };
    return OK;
}

static const struct store_ops told_ops = { .name = "told", .find_client = told_find };

static int begin(void **state)
{
    memset(&told, 0, sizeof told);
    told.store.ops = &told_ops;
    return arena_begin(state);
}

enum { TTL = 60 };

/* --- tests ------------------------------------------------------------------------------------------------------- */

static void a_client_is_in_memory_once_it_was_found_and_for_its_time(void **state)
{
    struct clients *clients = clients_new(&told.store, TTL, 0);
    struct client got = { .is_active = false };
    (void)state;
    assert_false(clients_get(clients, &arena, STR("c1"), 1000, &got));
    assert_int_equal(atomic_load(&told.asked), 0);
    assert_ok(clients_find(clients, &arena, STR("c1"), 1000, &got));
    assert_int_equal(atomic_load(&told.asked), 1);
    got = (struct client){ .is_active = false };
    assert_true(clients_get(clients, &arena, STR("c1"), 1000 + TTL - 1, &got));
    assert_str(got.id, "c1");
    assert_str(got.name, "name 0");
    assert_str(got.scopes, "a b");
    assert_true(got.is_active);
    assert_false(clients_get(clients, &arena, STR("c1"), 1000 + TTL, &got));
    assert_false(clients_get(clients, &arena, STR("c"), 1000, &got));
    assert_false(clients_get(clients, &arena, STR("c11"), 1000, &got));
    assert_false(clients_get(clients, &arena, STR("c1\0"), 1000, &got));
    assert_ok(clients_find(clients, &arena, STR("c1"), 2000, &got)); /* asks again, and counts from then on */
    assert_int_equal(atomic_load(&told.asked), 2);
    assert_true(clients_get(clients, &arena, STR("c1"), 2000 + TTL - 1, &got));
    assert_str(got.name, "name 1");
    assert_int_equal(clients_count(clients), 1);
    clients_free(clients);
    clients_free(NULL);
}

static void what_was_copied_out_outlives_the_cache(void **state)
{
    struct clients *clients = clients_new(&told.store, TTL, 0);
    struct client found, got;
    struct arena other;
    (void)state;
    arena_init(&other, NULL, 0);
    assert_ok(clients_find(clients, &other, STR("c1"), 1000, &found));
    arena_release(&other);
    assert_ok(clients_find(clients, &arena, STR("c1"), 1000, &found));
    assert_true(clients_get(clients, &arena, STR("c1"), 1000, &got));
    clients_free(clients);
    assert_str(got.id, "c1");
    assert_str(got.scopes, "a b");
    assert_str(got.metadata, METADATA);
    assert_int_equal(got.registered->grants, GRANT_REFRESH_TOKEN);
    assert_int_equal(got.registered->refresh_token_grace_s, 7);
    assert_int_equal(got.registered->redirect_uris.count, 2);
    assert_str(got.registered->redirect_uris.at[0], "https://a.example/cb");
    assert_str(got.registered->client_uri, "https://a.example/");
    assert_ptr_equal(client_metadata_of(&arena, &got), got.registered);
    assert_int_equal(client_metadata_of(&arena, &found)->grants, GRANT_REFRESH_TOKEN);
}

static void a_reading_stands_until_the_client_changes_or_its_time_is_up(void **state)
{
    struct clients *clients = clients_new(&told.store, TTL, 0);
    struct client found, first, again;
    (void)state;
    atomic_store(&told.same, true);
    assert_ok(clients_find(clients, &arena, STR("c1"), 1000, &found));
    assert_false(clients_still_has(clients, &found, 1000)); /* it is the store's, and not from memory */
    assert_true(clients_get(clients, &arena, STR("c1"), 1000, &first));
    assert_true(clients_still_has(clients, &first, 1000 + TTL - 1));
    assert_false(clients_still_has(clients, &first, 1000 + TTL));
    clients_refresh(clients, 1010);
    assert_true(clients_still_has(clients, &first, 1010 + TTL - 1));
    atomic_store(&told.disabled, true);
    clients_refresh(clients, 1020);
    assert_false(clients_still_has(clients, &first, 1020));
    assert_true(clients_get(clients, &arena, STR("c1"), 1020, &again));
    assert_true(clients_still_has(clients, &again, 1020) && !again.is_active);
    assert_str(first.registered->redirect_uris.at[1], "https://b.example/");
    atomic_store(&told.gone, true);
    clients_refresh(clients, 1030);
    assert_false(clients_still_has(clients, &again, 1030));
    clients_free(clients);
}

static void clients_that_do_not_exist_are_not_kept(void **state)
{
    struct clients *clients = clients_new(&told.store, TTL, 0);
    struct client got;
    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct str id = arena_printf(&arena, "x%d", i);
        assert_code(clients_find(clients, &arena, id, 1000, &got), ERR_NOT_FOUND, id.at);
        assert_false(clients_get(clients, &arena, id, 1000, &got));
    }
    assert_int_equal(clients_count(clients), 0);
    clients_free(clients);
}

static void a_client_that_is_gone_is_forgotten_and_one_that_is_disabled_says_so(void **state)
{
    struct clients *clients = clients_new(&told.store, TTL, 0);
    struct client got;
    (void)state;
    assert_ok(clients_find(clients, &arena, STR("c1"), 1000, &got));
    assert_ok(clients_find(clients, &arena, STR("c2"), 1000, &got));
    atomic_store(&told.disabled, true);
    clients_refresh(clients, 1010);
    assert_true(clients_get(clients, &arena, STR("c1"), 1010, &got));
    assert_false(got.is_active);
    assert_true(clients_get(clients, &arena, STR("c2"), 1010 + TTL - 1, &got)); /* read anew, so counted anew */
    atomic_store(&told.gone, true);
    clients_refresh(clients, 1020);
    assert_false(clients_get(clients, &arena, STR("c1"), 1020, &got));
    assert_int_equal(clients_count(clients), 0);
    clients_free(clients);
}

static void while_the_store_fails_what_is_known_stays_good_for_its_time_only(void **state)
{
    struct clients *clients = clients_new(&told.store, TTL, 0);
    struct client got;
    (void)state;
    assert_ok(clients_find(clients, &arena, STR("c1"), 1000, &got));
    atomic_store(&told.failing, true);
    clients_refresh(clients, 1030);
    assert_code(clients_find(clients, &arena, STR("c2"), 1030, &got), ERR_UNAVAILABLE, "one that is not known");
    assert_ok(clients_find(clients, &arena, STR("c1"), 1030, &got));
    assert_true(clients_get(clients, &arena, STR("c1"), 1000 + TTL - 1, &got));
    assert_false(clients_get(clients, &arena, STR("c1"), 1000 + TTL, &got));
    assert_code(clients_find(clients, &arena, STR("c1"), 1000 + TTL, &got), ERR_UNAVAILABLE, "its time is up");
    clients_free(clients);
}

static void while_the_store_fails_a_known_client_stays_known_up_to_the_bound(void **state)
{
    enum { BOUND = 500 };
    struct clients *clients = clients_new(&told.store, TTL, BOUND);
    struct client got;
    (void)state;
    assert_ok(clients_find(clients, &arena, STR("c1"), 1000, &got));
    assert_false(clients_get(clients, &arena, STR("c1"), 1000 + TTL, &got)); /* the store may be asked */
    atomic_store(&told.failing, true);
    assert_ok(clients_find(clients, &arena, STR("c1"), 1000 + TTL, &got)); /* it can't be: what is known counts */
    assert_str(got.name, "name 0");
    assert_true(clients_get(clients, &arena, STR("c1"), 1000 + BOUND - 1, &got)); /* and nobody waits for it again */
    assert_false(clients_get(clients, &arena, STR("c1"), 1000 + BOUND, &got));
    assert_code(clients_find(clients, &arena, STR("c1"), 1000 + BOUND, &got), ERR_UNAVAILABLE, "the bound");
    assert_code(clients_find(clients, &arena, STR("c2"), 1000 + TTL, &got), ERR_UNAVAILABLE, "one that is not known");
    atomic_store(&told.failing, false);
    atomic_store(&told.disabled, true);
    clients_refresh(clients, 1000 + TTL + 1); /* it answers again: what it says counts, and no old reading */
    assert_true(clients_get(clients, &arena, STR("c1"), 1000 + TTL + 1, &got));
    assert_false(got.is_active);
    assert_false(clients_get(clients, &arena, STR("c1"), 1000 + 2 * TTL + 1, &got));
    clients_free(clients);
}

static void the_cache_is_bounded_and_drops_the_oldest_reading(void **state)
{
    enum { MAX = 8192 };
    struct clients *clients = clients_new(&told.store, 1000000, 0);
    struct client got;
    (void)state;
    for (int i = 0; i < MAX + 20; i++) {
        struct str id = arena_printf(&arena, "c%d", i);
        assert_ok(clients_find(clients, &arena, id, 1000 + i, &got));
    }
    assert_int_equal(clients_count(clients), MAX);
    for (int i = 0; i < 20; i++)
        assert_false(clients_get(clients, &arena, arena_printf(&arena, "c%d", i), 20000, &got));
    assert_true(clients_get(clients, &arena, STR("c20"), 20000, &got));
    assert_true(clients_get(clients, &arena, arena_printf(&arena, "c%d", MAX + 19), 20000, &got));
    clients_free(clients);
}

static void *use(void *arg)
{
    size_t wrong = 0;
    for (int i = 0; i < 3000; i++) {
        struct arena own;
        struct client got;
        arena_init(&own, NULL, 0);
        struct str id = arena_printf(&own, "c%d", i % 40);
        if (!clients_get(arg, &own, id, 1000, &got) && clients_find(arg, &own, id, 1000, &got).code)
            wrong++;
        else
            wrong += !str_eq(got.id, id) || !str_eq(got.scopes, STR("a b"));
        if (i % 500 == 0)
            clients_refresh(arg, 1000);
        arena_release(&own);
    }
    return (void *)(uintptr_t)wrong;
}

static void threads_share_it(void **state)
{
    struct clients *clients = clients_new(&told.store, TTL, 0);
    pthread_t threads[4];
    (void)state;
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use, clients), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_int_equal(clients_count(clients), 40);
    clients_free(clients);
}

#define WITH_STORE(function) cmocka_unit_test_setup_teardown(function, begin, arena_finish)
RUN(WITH_STORE(a_client_is_in_memory_once_it_was_found_and_for_its_time),
    WITH_STORE(what_was_copied_out_outlives_the_cache),
    WITH_STORE(a_reading_stands_until_the_client_changes_or_its_time_is_up),
    WITH_STORE(clients_that_do_not_exist_are_not_kept),
    WITH_STORE(a_client_that_is_gone_is_forgotten_and_one_that_is_disabled_says_so),
    WITH_STORE(while_the_store_fails_what_is_known_stays_good_for_its_time_only),
    WITH_STORE(while_the_store_fails_a_known_client_stays_known_up_to_the_bound),
    WITH_STORE(the_cache_is_bounded_and_drops_the_oldest_reading), WITH_STORE(threads_share_it))
