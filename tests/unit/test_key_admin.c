/* test_key_admin.c: what an administrator asks of keys, over the real store, signer and ring. What a rotation is:
 * test_rotation.c. */
#include "service/key_admin.h"
#include "keys.h"
#include "keys/rotation.h"
#include "service/service.h"

enum { NOW = 5000 };

static struct service service;

static int begin(void **state)
{
    if (keys_begin(state))
        return -1;
    settings.access_ttl_s = settings.access_ttl_max_s = 60;
    service = (struct service){ .settings = &settings,
                                .store = store,
                                .signer = signer,
                                .keyring = ring,
                                .rotation = rotation_new(store, signer, &settings) };
    return 0;
}

static int finish(void **state)
{
    rotation_free(service.rotation);
    return keys_finish(state);
}

static struct str active_here(void)
{
    ACQUIRE(view);
    return arena_copy(&arena, view->active->kid);
}

static void a_rotation_is_in_force_here_and_listed(void **state)
{
    const struct key_move move = { .immediate = true };
    struct str old = active_here();
    struct key_moved moved;
    struct key_entry *keys = NULL;
    size_t count = 0;
    (void)state;
    assert_ok(key_admin_move(&service, &arena, &move, NOW, &moved));
    assert_true(str_eq(moved.old_kid, old) && str_eq(moved.new_kid, active_here()));
    assert_ok(key_admin_list(&service, &arena, 0, &keys, &count));
    for (size_t i = 0; i < count; i++)
        if (str_eq(keys[i].kid, old))
            assert_string_equal(keys[i].state, "retiring");
}

/* Or an empty kid, meant for one to be revoked, would rotate. */
static void an_empty_kid_is_no_rotation(void **state)
{
    const struct key_move moves[] = { { .revoke = { "", 0 } }, { .revoke = { "x", 1 } } };
    struct str before = active_here();
    struct key_moved moved;
    (void)state;
    for (size_t i = 0; i < COUNT(moves); i++)
        assert_code(key_admin_move(&service, &arena, &moves[i], NOW, &moved), ERR_NOT_FOUND, moves[i].revoke.at);
    assert_true(str_eq(active_here(), before));
}

static void a_revoked_key_is_past_and_says_why(void **state)
{
    const struct key_move move = { .revoke = active_here(), .reason = STR("lost") };
    struct key_moved moved;
    struct key_entry key, *keys = NULL;
    struct str text;
    size_t live = 0, all = 0;
    (void)state;
    assert_ok(key_admin_move(&service, &arena, &move, NOW, &moved));
    assert_false(str_eq(active_here(), move.revoke));
    assert_ok(key_admin_explain(&service, &arena, move.revoke, NOW, &key, &text));
    assert_string_equal(key.state, "revoked");
    assert_str(key.revocation_reason, "lost");
    assert_int_equal(key.revoked_at, NOW);
    assert_true(text.len > 0);
    assert_false(exists(arena_printf(&arena, "signing-key-%.*s.pem", (int)key.kid.len, key.kid.at).at));
    assert_ok(key_admin_list(&service, &arena, 0, &keys, &live));
    assert_ok(key_admin_list(&service, &arena, 10, &keys, &all));
    assert_int_equal(all, live + 1);
    assert_code(key_admin_find(&service, &arena, STR("x"), &key), ERR_NOT_FOUND, "no such kid");
}

#define OF_ITS_OWN(function) cmocka_unit_test_setup_teardown(function, begin, finish)
RUN(OF_ITS_OWN(a_rotation_is_in_force_here_and_listed), OF_ITS_OWN(an_empty_kid_is_no_rotation),
    OF_ITS_OWN(a_revoked_key_is_past_and_says_why))
