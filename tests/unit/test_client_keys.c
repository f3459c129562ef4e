/* test_client_keys.c: clients' keys: which ones are asked, when a set is fetched and when it is not. The fetches are
 * the test's own; time is an argument. */
#include "oauth/client_keys.h"
#include "base/clock.h"
#include "client_key.h"
#include "net/fetch.h"
#include <pthread.h>
#include <stdatomic.h>

enum { SECOND = 1000, DAY = 24 * 3600 * SECOND };

/* The client's server. */
static struct {
    struct str body; /* at == NULL: it can't be reached */
    int64_t lifetime_s;
    atomic_int fetches, inside, most_inside;
    atomic_bool is_slow; /* until it is told otherwise */
} there;

static struct jwk *a, *b;
static struct client_keys *keys;

static struct err fetch_there(void *arg, struct arena *where, struct str url, struct fetched *out)
{
    assert_ptr_equal(arg, &there);
    atomic_fetch_add(&there.fetches, 1);
    int inside = atomic_fetch_add(&there.inside, 1) + 1;
    if (inside > atomic_load(&there.most_inside))
        atomic_store(&there.most_inside, inside);
    while (atomic_load(&there.is_slow))
        clock_sleep_ms(1);
    atomic_fetch_sub(&there.inside, 1);
    if (!there.body.at || !str_has_prefix(url, STR("https://client.example/")))
        return failed(ERR_UNAVAILABLE, "it can't be reached");
    *out = (struct fetched){ arena_copy(where, there.body), there.lifetime_s };
    return OK;
}

static int begin(void **state)
{
    keys = client_keys_new((struct client_keys_way){ fetch_there, &there }, 4);
    there.lifetime_s = 300;
    there.body = (struct str){ 0, 0 };
    atomic_store(&there.fetches, 0);
    atomic_store(&there.most_inside, 0);
    return arena_begin(state);
}

static int finish(void **state)
{
    client_keys_free(keys);
    return arena_finish(state);
}

static int make_keys(void **state)
{
    (void)state;
    return (int)(jwk_generate(JWA_ES256, &a).code | jwk_generate(JWA_ES256, &b).code);
}

static int free_keys(void **state)
{
    (void)state;
    jwk_free(a);
    jwk_free(b);
    return 0;
}

static struct err verify_in(struct arena *where, struct str token, struct client_keys_source source, int64_t now_ms)
{
    struct jws_parts parts;
    struct jws_header header;
    assert_ok(jws_split(token, &parts));
    assert_ok(jws_read_header(where, parts.header, &header));
    return client_keys_verify(keys, where, &source, &parts, &header, now_ms);
}

static struct err verify(struct str token, int64_t now_ms)
{
    const struct client_keys_source source = { STR("c1"), STR(""), STR("https://client.example/jwks") };
    return verify_in(&arena, token, source, now_ms);
}

static struct err verify_with(struct str token, struct str set)
{
    const struct client_keys_source source = { STR("c1"), set, STR("https://client.example/jwks") };
    return verify_in(&arena, token, source, 0);
}

static struct str by(const struct jwk *key, const char *kid)
{
    const char *header = kid ? arena_printf(&arena, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid).at
                             : "{\"alg\":\"ES256\"}";
    return signed_by(key, header, "{}");
}

static struct str set_with(const struct jwk *key, const char *kid)
{
    return set_of(jwk_of(arena_printf(&arena, "\"kid\":\"%s\",", kid).at, key), NULL);
}

static int fetches(void)
{
    return atomic_load(&there.fetches);
}

/* --- which keys are asked ---------------------------------------------------------------------------------------- */

static void registered_keys_are_used_and_nothing_is_fetched(void **state)
{
    (void)state;
    assert_ok(verify_with(by(a, "a"), set_with(a, "a")));
    assert_code(verify_with(by(b, "a"), set_with(a, "a")), ERR_TOKEN_SIGNATURE, "another's signature");
    assert_code(verify_with(by(a, "b"), set_with(a, "a")), ERR_TOKEN_KEY, "another kid");
    assert_code(verify_with(by(a, "a"), STR("{\"keys\":[]}")), ERR_TOKEN_KEY, "an empty set");
    assert_code(verify_with(by(a, "a"), STR("[]")), ERR_TOKEN_KEY, "no set");
    assert_code(verify_in(&arena, by(a, "a"), (struct client_keys_source){ STR("c1"), STR(""), STR("") }, 0),
                ERR_TOKEN_KEY, "no keys at all");
    assert_int_equal(fetches(), 0);
}

static void a_kid_need_be_on_neither_side(void **state)
{
    const struct str unnamed = set_of(jwk_of("", a), NULL);
    const struct str mixed = set_of(jwk_of("\"kid\":\"b\",", b), jwk_of("", a), NULL);
    (void)state;
    assert_ok(verify_with(by(a, NULL), set_with(a, "a")));
    assert_ok(verify_with(by(a, "any"), unnamed));
    assert_ok(verify_with(by(a, NULL), unnamed));
    assert_ok(verify_with(by(a, "b"), mixed)); /* b's key does not fit, the unnamed one does */
    assert_ok(verify_with(by(b, "b"), mixed));
    assert_code(verify_with(by(b, "a"), mixed), ERR_TOKEN_SIGNATURE, "b's key under another kid");
}

static void one_signature_is_compared_with_four_keys_at_most(void **state)
{
    AUTO(jwk_freep) struct jwk *of_another_type = key_new(JWA_EDDSA);
    const char *other = jwk_of("", b), *own = jwk_of("", a), *okp = jwk_of("", of_another_type);
    (void)state;
    assert_ok(verify_with(by(a, NULL), set_of(other, other, other, own, NULL)));
    assert_code(verify_with(by(a, NULL), set_of(other, other, other, other, own, NULL)), ERR_TOKEN_SIGNATURE, "fifth");
    assert_ok(verify_with(by(a, NULL), set_of(okp, okp, okp, okp, own, NULL))); /* which are not asked */
    assert_ok(verify_with(by(a, "a"),
                          set_of(jwk_of("\"kid\":\"b\",", b), jwk_of("\"kid\":\"c\",", b), jwk_of("\"kid\":\"d\",", b),
                                 jwk_of("\"kid\":\"e\",", b), jwk_of("\"kid\":\"a\",", a), NULL)));
}

static void an_algorithm_that_is_none_of_ours_fetches_nothing(void **state)
{
    static const char *const names[] = { "none", "HS256", "ES384", "es256", "" };
    (void)state;
    there.body = set_with(a, "a");
    for (size_t i = 0; i < COUNT(names); i++) {
        const char *header = arena_printf(&arena, "{\"alg\":\"%s\"}", names[i]).at;
        assert_code(verify(signed_by(a, header, "{}"), 0), ERR_TOKEN_ALGORITHM, names[i]);
    }
    assert_int_equal(fetches(), 0);
}

/* --- when a set is fetched --------------------------------------------------------------------------------------- */

static void a_set_is_fetched_once_and_again_when_its_time_is_over(void **state)
{
    (void)state;
    there.body = set_with(a, "a");
    for (int64_t now_ms = 0; now_ms < 300 * SECOND; now_ms += 10 * SECOND)
        assert_ok(verify(by(a, "a"), now_ms));
    assert_int_equal(fetches(), 1);
    assert_ok(verify(by(a, "a"), 300 * SECOND));
    assert_int_equal(fetches(), 2);
    assert_ok(verify(by(a, "a"), 599 * SECOND));
    assert_int_equal(fetches(), 2);
}

static void an_unknown_kid_has_the_set_fetched_again_at_most_every_30_seconds(void **state)
{
    (void)state;
    there.body = set_with(a, "a");
    assert_ok(verify(by(a, "a"), 0));
    there.body = set_with(b, "b");
    assert_code(verify(by(b, "b"), 29 * SECOND), ERR_TOKEN_KEY, "within the cool-down");
    assert_int_equal(fetches(), 1);
    assert_ok(verify(by(b, "b"), 30 * SECOND));
    assert_int_equal(fetches(), 2);
    for (int64_t now_ms = 30 * SECOND; now_ms < 60 * SECOND; now_ms += SECOND)
        assert_code(verify(by(a, "invented"), now_ms), ERR_TOKEN_KEY, "an invented kid");
    assert_int_equal(fetches(), 2);
    assert_code(verify(by(a, "a"), 60 * SECOND), ERR_TOKEN_KEY, "a key that was taken away");
    assert_int_equal(fetches(), 3);
    assert_ok(verify(by(b, "b"), 61 * SECOND));
    assert_int_equal(fetches(), 3);
}

static void a_key_that_is_replaced_under_its_kid_is_found_too(void **state)
{
    (void)state;
    there.body = set_with(a, "key");
    assert_ok(verify(by(a, "key"), 0));
    there.body = set_with(b, "key");
    assert_code(verify(by(b, "key"), 10 * SECOND), ERR_TOKEN_SIGNATURE, "within the cool-down");
    assert_ok(verify(by(b, "key"), 40 * SECOND));
    assert_int_equal(fetches(), 2);
}

static void what_could_not_be_fetched_is_not_asked_for_again_at_once(void **state)
{
    (void)state;
    for (int64_t now_ms = 0; now_ms < 30 * SECOND; now_ms += SECOND)
        assert_code(verify(by(a, "a"), now_ms), ERR_TOKEN_KEY, "it can't be reached");
    assert_int_equal(fetches(), 1);
    there.body = STR("<html>");
    assert_code(verify(by(a, "a"), 30 * SECOND), ERR_TOKEN_KEY, "no set");
    there.body = set_of("{\"kty\":\"oct\",\"k\":\"AA\"}", jwk_of("", a), NULL);
    assert_code(verify(by(a, "a"), 60 * SECOND), ERR_TOKEN_KEY, "a set with a secret");
    there.body = set_with(a, "a");
    assert_ok(verify(by(a, "a"), 90 * SECOND));
    assert_int_equal(fetches(), 4);
}

static void a_set_stays_in_use_for_a_day_while_it_cannot_be_fetched(void **state)
{
    (void)state;
    there.body = set_with(a, "a");
    assert_ok(verify(by(a, "a"), 0));
    there.body = (struct str){ 0, 0 };
    assert_ok(verify(by(a, "a"), 400 * SECOND));
    assert_int_equal(fetches(), 2);
    assert_ok(verify(by(a, "a"), 429 * SECOND)); /* it is tried no more often than otherwise */
    assert_int_equal(fetches(), 2);
    assert_ok(verify(by(a, "a"), DAY - 1));
    assert_code(verify(by(a, "a"), DAY + 30 * SECOND), ERR_TOKEN_KEY, "a day is over");
    there.body = set_with(a, "a");
    assert_ok(verify(by(a, "a"), DAY + 60 * SECOND));
}

static void a_set_in_use_is_not_replaced_by_a_bad_one(void **state)
{
    (void)state;
    there.body = set_with(a, "a");
    assert_ok(verify(by(a, "a"), 0));
    there.body = STR("{\"keys\":null}");
    assert_code(verify(by(b, "b"), 100 * SECOND), ERR_TOKEN_KEY, "b");
    assert_int_equal(fetches(), 2);
    assert_ok(verify(by(a, "a"), 101 * SECOND));
}

static void a_change_in_the_registration_counts_at_once(void **state)
{
    const struct client_keys_source moved = { STR("c1"), STR(""), STR("https://client.example/other") };
    const struct client_keys_source another = { STR("c2"), STR(""), STR("https://client.example/jwks") };
    (void)state;
    there.body = set_with(a, "a");
    assert_ok(verify(by(a, "a"), 0));
    there.body = set_with(b, "b");
    assert_code(verify_in(&arena, by(a, "a"), moved, 1), ERR_TOKEN_KEY, "the old key");
    assert_ok(verify_in(&arena, by(b, "b"), moved, 1));
    assert_ok(verify_in(&arena, by(b, "b"), another, 1)); /* each client has a cool-down of its own */
    assert_int_equal(fetches(), 3);
    assert_ok(verify_with(by(a, "a"), set_with(a, "a")));
    assert_code(verify_with(by(a, "a"), set_with(b, "a")), ERR_TOKEN_SIGNATURE, "a new registered key");
}

static void memory_is_bounded_and_the_client_that_was_away_for_longest_goes(void **state)
{
    (void)state;
    there.body = set_with(a, "a");
    there.lifetime_s = 3600;
    const struct str token = by(a, "a");
    for (int i = 0; i <= CLIENT_KEYS_MAX; i++) {
        const struct str id = arena_printf(&arena, "c%d", i);
        const struct client_keys_source source = { id, STR(""), STR("https://client.example/jwks") };
        assert_ok(verify_in(&arena, token, source, i));
    }
    assert_int_equal(fetches(), CLIENT_KEYS_MAX + 1);
    const struct client_keys_source second = { STR("c1"), STR(""), STR("https://client.example/jwks") };
    assert_ok(verify_in(&arena, token, second, 5000));
    assert_int_equal(fetches(), CLIENT_KEYS_MAX + 1);
    const struct client_keys_source first = { STR("c0"), STR(""), STR("https://client.example/jwks") };
    assert_ok(verify_in(&arena, token, first, 5000));
    assert_int_equal(fetches(), CLIENT_KEYS_MAX + 2);
}

/* --- many at once ------------------------------------------------------------------------------------------------ */

struct caller {
    pthread_t thread;
    struct str token;
    int64_t now_ms;
    struct client_keys_source source;
    enum err_code code;
    atomic_bool is_done;
};

static void *call(void *arg)
{
    struct caller *caller = arg;
    struct arena own;
    arena_init(&own, NULL, 0);
    caller->code = verify_in(&own, caller->token, caller->source, caller->now_ms).code;
    arena_release(&own);
    atomic_store(&caller->is_done, true);
    return NULL;
}

static void call_begin(struct caller *caller, struct str token, int64_t now_ms, const char *client)
{
    *caller = (struct caller){ .token = token,
                               .now_ms = now_ms,
                               .source = { str_of(client), STR(""), STR("https://client.example/jwks") } };
    assert_int_equal(pthread_create(&caller->thread, NULL, call, caller), 0);
}

static enum err_code call_end(struct caller *caller)
{
    pthread_join(caller->thread, NULL);
    return caller->code;
}

static void wait_for_fetches(int count)
{
    while (fetches() < count)
        clock_sleep_ms(1);
}

static void one_fetches_for_a_client_and_the_others_wait_for_it(void **state)
{
    struct caller callers[4];
    (void)state;
    there.body = set_with(a, "a");
    atomic_store(&there.is_slow, true);
    for (size_t i = 0; i < COUNT(callers); i++)
        call_begin(&callers[i], by(a, "a"), 0, "c1");
    wait_for_fetches(1);
    atomic_store(&there.is_slow, false);
    for (size_t i = 0; i < COUNT(callers); i++)
        assert_int_equal(call_end(&callers[i]), ERR_OK);
    assert_int_equal(fetches(), 1);
}

static void a_set_that_is_too_old_is_used_while_one_caller_fetches_it_again(void **state)
{
    struct caller slow;
    (void)state;
    there.body = set_with(a, "a");
    assert_ok(verify(by(a, "a"), 0));
    atomic_store(&there.is_slow, true);
    call_begin(&slow, by(a, "a"), 301 * SECOND, "c1");
    wait_for_fetches(2);
    for (int i = 0; i < 100; i++)
        assert_ok(verify(by(a, "a"), 302 * SECOND));
    assert_false(atomic_load(&slow.is_done));
    atomic_store(&there.is_slow, false);
    assert_int_equal(call_end(&slow), ERR_OK);
    assert_int_equal(fetches(), 2);
}

static void slow_servers_hold_only_as_many_callers_as_may_wait(void **state)
{
    static const char *const clients[] = { "c1", "c2", "c3", "c4" };
    struct caller callers[COUNT(clients)];
    const struct client_keys_source fifth = { STR("c5"), STR(""), STR("https://client.example/jwks") };
    (void)state;
    there.body = set_with(a, "a");
    const struct client_keys_source known = { STR("known"), STR(""), STR("https://client.example/jwks") };
    assert_ok(verify_in(&arena, by(a, "a"), known, 0));
    atomic_store(&there.is_slow, true);
    for (size_t i = 0; i < COUNT(clients); i++)
        call_begin(&callers[i], by(a, "a"), 0, clients[i]);
    wait_for_fetches(5);
    assert_code(verify_in(&arena, by(a, "a"), fifth, 0), ERR_UNAVAILABLE, "no room to wait");
    assert_ok(verify_in(&arena, by(a, "a"), known, 0));
    assert_ok(verify_in(&arena, by(a, "a"), known, 400 * SECOND)); /* too old, but nobody can fetch it now */
    assert_code(verify_in(&arena, by(b, "b"), known, 400 * SECOND), ERR_UNAVAILABLE, "a newer set can't be had now");
    assert_ok(verify_with(by(a, "a"), set_with(a, "a"))); /* nothing to wait for */
    atomic_store(&there.is_slow, false);
    for (size_t i = 0; i < COUNT(callers); i++)
        assert_int_equal(call_end(&callers[i]), ERR_OK);
    assert_int_equal(atomic_load(&there.most_inside), 4);
    assert_ok(verify_in(&arena, by(a, "a"), fifth, 0));
}

static void *call_often(void *arg)
{
    struct arena own;
    const struct client_keys_source source = { STR("c1"), STR(""), STR("https://client.example/jwks") };
    for (int64_t i = 0; i < 300; i++) {
        arena_init(&own, NULL, 0);
        if (verify_in(&own, *(struct str *)arg, source, i * 31 * SECOND).code != ERR_OK)
            return arg;
        arena_release(&own);
    }
    return NULL;
}

/* For the sanitizers: a set is replaced while others read it. */
static void sets_are_replaced_under_their_readers(void **state)
{
    pthread_t threads[4];
    struct str token = by(a, "a");
    (void)state;
    there.body = set_with(a, "a");
    there.lifetime_s = 60;
    for (size_t i = 0; i < COUNT(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &token), 0);
    for (size_t i = 0; i < COUNT(threads); i++) {
        void *failed_with = NULL;
        pthread_join(threads[i], &failed_with);
        assert_null(failed_with);
    }
    assert_true(fetches() > 1);
}

#define KEYS_TEST(function) cmocka_unit_test_setup_teardown(function, begin, finish)

RUN_WITH(make_keys, free_keys, KEYS_TEST(registered_keys_are_used_and_nothing_is_fetched),
         KEYS_TEST(a_kid_need_be_on_neither_side), KEYS_TEST(one_signature_is_compared_with_four_keys_at_most),
         KEYS_TEST(an_algorithm_that_is_none_of_ours_fetches_nothing),
         KEYS_TEST(a_set_is_fetched_once_and_again_when_its_time_is_over),
         KEYS_TEST(an_unknown_kid_has_the_set_fetched_again_at_most_every_30_seconds),
         KEYS_TEST(a_key_that_is_replaced_under_its_kid_is_found_too),
         KEYS_TEST(what_could_not_be_fetched_is_not_asked_for_again_at_once),
         KEYS_TEST(a_set_stays_in_use_for_a_day_while_it_cannot_be_fetched),
         KEYS_TEST(a_set_in_use_is_not_replaced_by_a_bad_one), KEYS_TEST(a_change_in_the_registration_counts_at_once),
         KEYS_TEST(memory_is_bounded_and_the_client_that_was_away_for_longest_goes),
         KEYS_TEST(one_fetches_for_a_client_and_the_others_wait_for_it),
         KEYS_TEST(a_set_that_is_too_old_is_used_while_one_caller_fetches_it_again),
         KEYS_TEST(slow_servers_hold_only_as_many_callers_as_may_wait),
         KEYS_TEST(sets_are_replaced_under_their_readers))
