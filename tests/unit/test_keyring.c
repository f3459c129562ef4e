/* test_keyring.c: the keys in force, over the real store and the real signer; keys change their states as a rotation by
 * another instance would change them: in the store. */
#include "keys.h"
#include <pthread.h>
#include <stdatomic.h>

/* Whether the token that the view signs verifies with what its JWKS publishes under its kid, and whose kid that is. */
static struct err signed_kid(const struct keyring_view *view, struct str *kid)
{
    struct buf token;
    struct jws_parts parts;
    struct jws_header header;
    const struct json *jwks;
    buf_init(&token, &arena, 512, 8192);
    TRY(keyring_sign(ring, view, SIGN_INTERACTIVE, STR("at+jwt"), STR("{\"a\":1}"), &token));
    TRY(jws_split(buf_str(&token), &parts));
    TRY(jws_read_header(&arena, parts.header, &header));
    *kid = header.kid;
    TRY(json_parse(&arena, view->jwks, &jwks));
    const struct json *keys = json_member(jwks, STR("keys"));
    for (const struct json *each = keys ? keys->child : NULL; each; each = each->next) {
        AUTO(jwk_freep) struct jwk *public = NULL;
        if (!str_eq(json_member(each, STR("kid"))->text, header.kid))
            continue;
        TRY(jwk_parse_public(&arena, each->text, &public));
        return jws_verify(public, &parts, &header);
    }
    return failed(ERR_TOKEN_KEY, "the JWKS does not have the kid");
}

static size_t published(const struct keyring_view *view)
{
    const struct json *jwks;
    assert_ok(json_parse(&arena, view->jwks, &jwks));
    return json_member(jwks, STR("keys"))->count;
}

/* --- the first key ----------------------------------------------------------------------------------------------- */

static void the_first_start_makes_a_key_that_is_published_and_signs(void **state)
{
    struct str kid;
    ACQUIRE(view);
    (void)state;
    assert_int_equal(view->count, 1);
    assert_int_equal(view->active->state, KEY_ACTIVE);
    assert_int_equal(view->active->jwk->alg, JWA_ES256);
    assert_int_equal(view->active->created_at, 1000);
    assert_false(view->active->jwk->has_private); /* the ring never has the private half */
    assert_ok(signed_kid(view, &kid));
    assert_true(str_eq(kid, view->active->kid));
    assert_ptr_equal(keyring_find(view, kid), view->active);
    assert_int_equal(view->etag.at[0], '"');
    assert_int_equal(view->etag.at[view->etag.len - 1], '"');
    assert_true(view->etag.len > 10);
    assert_null(strstr(arena_copy(&arena, view->jwks).at, "\"d\""));
}

static void the_next_start_finds_the_same_key_and_the_same_document(void **state)
{
    (void)state;
    ACQUIRE(before);
    struct str kid = arena_copy(&arena, before->active->kid), etag = arena_copy(&arena, before->etag);
    struct signer *other_signer = NULL;
    struct keyring *other = NULL;
    assert_ok(signer_local_open(&settings, &other_signer));
    assert_ok(
        keyring_open(store, other_signer, JWA_RS256, 9000, &arena, &other)); /* another algorithm: for the next key */
    const struct keyring_view *view = keyring_acquire(other);
    assert_true(str_eq(view->active->kid, kid));
    assert_true(str_eq(view->etag, etag));
    keyring_release(view);
    keyring_close(other);
    other_signer->ops->close(other_signer);
}

struct starter {
    pthread_t thread;
    struct store *store;
    struct signer *signer;
    struct keyring *ring;
    struct arena arena;
    struct err err;
};

static void *start(void *arg)
{
    struct starter *starter = arg;
    starter->err = keyring_open(starter->store, starter->signer, JWA_EDDSA, 1000, &starter->arena, &starter->ring);
    return NULL;
}

static void of_many_first_starts_at_once_all_get_one_key(void **state)
{
    struct starter starters[6];
    const struct settings elsewhere = { .data_dir = in_folder("other") };
    struct str kid = { 0, 0 };
    (void)state;
    for (size_t i = 0; i < COUNT(starters); i++) {
        starters[i] = (struct starter){ .ring = NULL };
        arena_init(&starters[i].arena, NULL, 0);
        assert_ok(store_sqlite_open(&elsewhere, &starters[i].store));
        assert_ok(signer_local_open(&elsewhere, &starters[i].signer));
    }
    for (size_t i = 0; i < COUNT(starters); i++)
        assert_int_equal(pthread_create(&starters[i].thread, NULL, start, &starters[i]), 0);
    for (size_t i = 0; i < COUNT(starters); i++) {
        pthread_join(starters[i].thread, NULL);
        assert_ok(starters[i].err);
        const struct keyring_view *view = keyring_acquire(starters[i].ring);
        if (!kid.at)
            kid = arena_copy(&arena, view->active->kid);
        assert_true(str_eq(view->active->kid, kid));
        assert_int_equal(view->count, 1);
        keyring_release(view);
    }
    for (size_t i = 0; i < COUNT(starters); i++) {
        keyring_close(starters[i].ring);
        starters[i].signer->ops->close(starters[i].signer);
        store_closep(&starters[i].store);
        arena_release(&starters[i].arena);
    }
}

static void a_start_without_its_key_file_fails_and_names_it(void **state)
{
    struct signer *other_signer = NULL;
    struct keyring *other = NULL;
    (void)state;
    ACQUIRE(view);
    struct str name = arena_printf(&arena, "signing-key-%.*s.pem", (int)view->active->kid.len, view->active->kid.at);
    assert_int_equal(unlink(in_folder(name.at)), 0);
    assert_ok(signer_local_open(&settings, &other_signer));
    struct err err = keyring_open(store, other_signer, JWA_ES256, 9000, &arena, &other);
    assert_true(err.code != ERR_OK);
    assert_non_null(strstr(err.why, name.at));
    assert_null(other); /* and no second key was made in its stead */
    other_signer->ops->close(other_signer);
    struct key *keys = NULL;
    size_t count = 0;
    assert_ok(store->ops->list_keys(store, &arena, &keys, &count));
    assert_int_equal(count, 1);
}

/* --- a key's life ------------------------------------------------------------------------------------------------ */

static void a_pending_key_is_published_before_it_signs_and_a_retiring_one_verifies_after_that(void **state)
{
    struct str kid;
    (void)state;
    ACQUIRE(first);
    struct str old = arena_copy(&arena, first->active->kid);
    uint64_t serial = first->active->jwk->serial;
    const struct key next = pending(JWA_EDDSA);
    assert_ok(keyring_reload(ring));
    ACQUIRE(second);
    assert_int_equal(second->count, 2);
    assert_int_equal(published(second), 2);
    assert_false(str_eq(first->etag, second->etag));
    assert_non_null(keyring_find(second, next.kid));
    assert_null(keyring_find(first, next.kid)); /* a view never changes */
    assert_int_equal(first->count, 1);
    assert_ok(signed_kid(second, &kid));
    assert_true(str_eq(kid, old));
    assert_int_equal(keyring_find(second, old)->jwk->serial, serial); /* so that verified tokens stay verified */

    set_state(old, KEY_RETIRING);
    set_state(next.kid, KEY_ACTIVE);
    assert_ok(keyring_reload(ring));
    ACQUIRE(third);
    assert_int_equal(published(third), 2);
    assert_true(str_eq(third->active->kid, next.kid));
    assert_ok(signed_kid(third, &kid));
    assert_true(str_eq(kid, next.kid));
    assert_int_equal(keyring_find(third, old)->state, KEY_RETIRING);
    assert_int_equal(keyring_find(third, old)->jwk->serial, serial);
}

static void a_revoked_and_a_retired_key_verify_nothing_and_are_not_published(void **state)
{
    static const enum key_state over[] = { KEY_REVOKED, KEY_RETIRED };
    (void)state;
    const struct key next = pending(JWA_RS256);
    ACQUIRE(first);
    struct str old = arena_copy(&arena, first->active->kid);
    set_state(old, KEY_RETIRING);
    set_state(next.kid, KEY_ACTIVE);
    for (size_t i = 0; i < COUNT(over); i++) {
        set_state(old, over[i]);
        assert_ok(keyring_reload(ring));
        ACQUIRE(view);
        assert_int_equal(view->count, 1);
        assert_int_equal(published(view), 1);
        assert_null(keyring_find(view, old));
        assert_non_null(keyring_find(view, next.kid));
        assert_null(strstr(arena_copy(&arena, view->jwks).at, arena_copy(&arena, old).at));
    }
}

static void a_kid_is_found_whole_or_not_at_all(void **state)
{
    static const struct str bad[] = { ROW(""), ROW("../../etc/passwd"), ROW("' OR '1'='1"), ROW("\0"), ROW("*"),
                                      ROW("%") };
    (void)state;
    ACQUIRE(view);
    struct str kid = view->active->kid;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_null(keyring_find(view, bad[i]));
    assert_null(keyring_find(view, (struct str){ NULL, 0 }));
    for (size_t len = 0; len < kid.len; len++)
        assert_null(keyring_find(view, (struct str){ kid.at, len }));
    assert_null(keyring_find(view, arena_printf(&arena, "%.*s ", (int)kid.len, kid.at)));
    assert_null(keyring_find(view, (struct str){ arena_copy(&arena, kid).at, kid.len + 1 }));
}

static void a_reload_without_a_change_keeps_the_view(void **state)
{
    (void)state;
    ACQUIRE(before);
    for (int i = 0; i < 10; i++)
        assert_ok(keyring_reload(ring));
    ACQUIRE(after);
    assert_ptr_equal(before, after);
}

/* --- when a reload can't ----------------------------------------------------------------------------------------- */

static void what_the_store_says_wrongly_is_not_taken_over(void **state)
{
    static const char *const changes[] = {
        "UPDATE oauth_jwks SET public_key = '{}', activated_at = activated_at + 1 WHERE kid =",
        "UPDATE oauth_jwks SET public_key = 'no JSON', activated_at = activated_at + 1 WHERE kid =",
        "UPDATE oauth_jwks SET alg = 'none', activated_at = activated_at + 1 WHERE kid =",
        "UPDATE oauth_jwks SET alg = 'HS256', activated_at = activated_at + 1 WHERE kid =",
        "UPDATE oauth_jwks SET private_key_ref = 'file:../x', activated_at = activated_at + 1 WHERE kid =",
        "UPDATE oauth_jwks SET kid = 'other' WHERE kid =",
        "DELETE FROM oauth_jwks WHERE kid =",
    };
    ACQUIRE(before);
    struct str good = before->active->kid, kid;
    (void)state;
    for (size_t i = 0; i < COUNT(changes); i++) {
        const struct key next = pending(JWA_ES256);
        set_state(good, KEY_RETIRING);
        set_state(next.kid, KEY_ACTIVE);
        sql(changes[i], next.kid);
        assert_code(keyring_reload(ring), ERR_UNAVAILABLE, changes[i]);
        ACQUIRE(after);
        assert_ptr_equal(before, after);
        assert_code(signed_kid(after, &kid), ERR_OK, changes[i]); /* and what is in force goes on signing */
        sql("DELETE FROM oauth_jwks WHERE kid <>", good);
        set_state(good, KEY_ACTIVE);
        assert_ok(keyring_reload(ring));
    }
}

/* The same with the old key listed first: the newest comes first. */
static void a_failed_reload_leaves_the_old_key_signing_whatever_the_order(void **state)
{
    ACQUIRE(before);
    struct str good = before->active->kid, kid;
    (void)state;
    const struct key next = pending(JWA_ES256);
    sql("UPDATE oauth_jwks SET created_at = 1 WHERE kid =", next.kid);
    set_state(good, KEY_RETIRING);
    set_state(next.kid, KEY_ACTIVE);
    sql("UPDATE oauth_jwks SET private_key_ref = 'file:none' WHERE kid =", next.kid);
    signer->ops->unload(signer, next.kid);
    assert_code(keyring_reload(ring), ERR_UNAVAILABLE, "not a file");
    ACQUIRE(after);
    assert_ptr_equal(before, after);
    assert_ok(signed_kid(after, &kid));
}

/* Better no signature for a while than a revoked key whose tokens pass. */
static void a_revoked_key_goes_even_when_the_next_one_cannot_be_loaded(void **state)
{
    struct str kid;
    (void)state;
    const struct key next = pending(JWA_ES256);
    const char *name = arena_printf(&arena, "signing-key-%.*s.pem", (int)next.kid.len, next.kid.at).at;
    ACQUIRE(before);
    struct str old = arena_copy(&arena, before->active->kid), pem = read_text(name);
    signer->ops->unload(signer, next.kid);
    assert_int_equal(unlink(in_folder(name)), 0);
    set_state(old, KEY_REVOKED);
    set_state(next.kid, KEY_ACTIVE);
    assert_ok(keyring_reload(ring));
    ACQUIRE(after);
    assert_null(keyring_find(after, old));
    assert_code(signed_kid(after, &kid), ERR_UNAVAILABLE, "not loaded");
    assert_code(keyring_reload(ring), ERR_UNAVAILABLE, "still");
    write_text(name, pem, 0600);
    assert_ok(keyring_reload(ring));
    assert_ok(signed_kid(after, &kid));
    assert_true(str_eq(kid, next.kid));
}

/* A request takes the view, and signs a moment later; a rotation between the two may not fail it. */
static void a_request_that_holds_the_old_view_still_signs_with_it(void **state)
{
    struct str kid;
    ACQUIRE(before);
    (void)state;
    const struct key next = pending(JWA_ES256);
    set_state(before->active->kid, KEY_RETIRING);
    set_state(next.kid, KEY_ACTIVE);
    assert_ok(keyring_reload(ring));
    assert_ok(signed_kid(before, &kid));
    assert_true(str_eq(kid, before->active->kid));
}

/* --- threads ----------------------------------------------------------------------------------------------------- */

static atomic_bool over;

static void *read_on(void *arg)
{
    size_t *wrong = arg;
    while (!atomic_load(&over)) {
        const struct keyring_view *view = keyring_acquire(ring);
        *wrong += !view->active || !keyring_find(view, view->active->kid) || view->count == 0 ||
                  view->jwks.at[0] != '{' || view->jwks.at[view->jwks.len - 1] != '}';
        keyring_release(view);
    }
    return NULL;
}

static void readers_never_meet_half_a_view(void **state)
{
    pthread_t threads[3];
    size_t wrong[COUNT(threads)] = { 0 };
    (void)state;
    const struct key next = pending(JWA_ES256);
    atomic_store(&over, false);
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &wrong[i]), 0);
    for (int i = 0; i < 30; i++) {
        set_state(next.kid, i % 2 ? KEY_PENDING : KEY_REVOKED);
        assert_ok(keyring_reload(ring));
    }
    atomic_store(&over, true);
    for (size_t i = 0; i < COUNT(threads); i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(wrong[i], 0);
    }
}

static void a_token_too_large_is_said_by_its_buffer(void **state)
{
    struct buf token;
    ACQUIRE(view);
    (void)state;
    buf_init(&token, &arena, 16, 4096);
    assert_ok(
        keyring_sign(ring, view, SIGN_INTERACTIVE, STR("at+jwt"), STR("{\"a\":\"xxxxxxxxxxxxxxxxxxxx\"}"), &token));
    const size_t whole = token.len;
    for (size_t max = 0; max <= whole + 1; max++) {
        buf_init(&token, &arena, 16, max);
        assert_ok(
            keyring_sign(ring, view, SIGN_INTERACTIVE, STR("at+jwt"), STR("{\"a\":\"xxxxxxxxxxxxxxxxxxxx\"}"), &token));
        assert_int_equal(token.overflowed, max < whole);
    }
    keyring_close(NULL);
}

#define WITH_RING(function) cmocka_unit_test_setup_teardown(function, keys_begin, keys_finish)
RUN(WITH_RING(the_first_start_makes_a_key_that_is_published_and_signs),
    WITH_RING(the_next_start_finds_the_same_key_and_the_same_document),
    WITH_RING(of_many_first_starts_at_once_all_get_one_key), WITH_RING(a_start_without_its_key_file_fails_and_names_it),
    WITH_RING(a_pending_key_is_published_before_it_signs_and_a_retiring_one_verifies_after_that),
    WITH_RING(a_revoked_and_a_retired_key_verify_nothing_and_are_not_published),
    WITH_RING(a_kid_is_found_whole_or_not_at_all), WITH_RING(a_reload_without_a_change_keeps_the_view),
    WITH_RING(what_the_store_says_wrongly_is_not_taken_over),
    WITH_RING(a_failed_reload_leaves_the_old_key_signing_whatever_the_order),
    WITH_RING(a_revoked_key_goes_even_when_the_next_one_cannot_be_loaded),
    WITH_RING(a_request_that_holds_the_old_view_still_signs_with_it), WITH_RING(readers_never_meet_half_a_view),
    WITH_RING(a_token_too_large_is_said_by_its_buffer))
