/* test_once.c: who is first, over the real store. */
#include "service/once.h"
#include "keys.h"
#include "service/service.h"
#include "store/commit.h"
#include <pthread.h>
#include <stdatomic.h>

enum { NOW = 1000000 };

static struct service service;

static int begin(void **state)
{
    if (keys_begin(state))
        return -1;
    service = (struct service){ .settings = &settings, .store = store };
    assert_ok(commit_open(store, &service.commit));
    return 0;
}

static int finish(void **state)
{
    commit_close(service.commit);
    return keys_finish(state);
}

static struct once named(const char *name, int64_t now_s)
{
    return (struct once){ .name = str_of(name), .now_s = now_s, .until_s = now_s + 50, .remembered_s = now_s + 9000 };
}

static void what_was_done_is_done_for_everybody(void **state)
{
    struct once first = named("a", NOW), second = named("a", NOW + 100), other = named("b", NOW);
    enum once_state was;
    (void)state;
    assert_ok(once_claim(&service, &arena, &first, &was));
    assert_int_equal(was, ONCE_CLAIMED);
    assert_ok(commit_wait(service.commit, once_done(&arena, &first)));
    assert_ok(once_claim(&service, &arena, &second, &was));
    assert_int_equal(was, ONCE_DONE);
    assert_ok(once_claim(&service, &arena, &other, &was));
    assert_int_equal(was, ONCE_CLAIMED);
}

static void a_claim_holds_until_its_time_is_over(void **state)
{
    struct once first = named("a", NOW), second = named("a", NOW + 49), third = named("a", NOW + 50);
    enum once_state was;
    (void)state;
    assert_ok(once_claim(&service, &arena, &first, &was));
    assert_code(once_claim(&service, &arena, &second, &was), ERR_UNAVAILABLE, "while it is claimed");
    assert_ok(once_claim(&service, &arena, &third, &was));
    assert_int_equal(was, ONCE_CLAIMED);
    assert_code(commit_wait(service.commit, once_done(&arena, &first)), ERR_CONFLICT, "by the one that was too slow");
    assert_ok(commit_wait(service.commit, once_done(&arena, &third)));
}

static void a_claim_that_was_given_back_can_be_taken(void **state)
{
    struct once first = named("a", NOW), second = named("a", NOW);
    enum once_state was;
    (void)state;
    assert_ok(once_claim(&service, &arena, &first, &was));
    once_give_back(&service, &arena, &first);
    assert_ok(once_claim(&service, &arena, &second, &was));
    assert_int_equal(was, ONCE_CLAIMED);
    assert_ok(commit_wait(service.commit, once_done(&arena, &second)));
    once_give_back(&service, &arena, &first); /* too late, and without effect */
    assert_ok(once_claim(&service, &arena, &first, &was));
    assert_int_equal(was, ONCE_DONE);
}

static atomic_int claimed;

static void *claim(void *arg)
{
    struct arena own;
    struct once once = named(arg, NOW);
    enum once_state was;
    arena_init(&own, NULL, 0);
    if (!once_claim(&service, &own, &once, &was).code && was == ONCE_CLAIMED)
        atomic_fetch_add(&claimed, 1);
    arena_release(&own);
    return NULL;
}

static void of_many_one_claims(void **state)
{
    pthread_t threads[16];
    (void)state;
    for (int round = 0; round < 10; round++) {
        char name[16];
        snprintf(name, sizeof name, "round %d", round);
        atomic_store(&claimed, 0);
        for (size_t i = 0; i < COUNT(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, claim, name), 0);
        for (size_t i = 0; i < COUNT(threads); i++)
            pthread_join(threads[i], NULL);
        assert_int_equal(atomic_load(&claimed), 1);
    }
}

#define OF_ITS_OWN(function) cmocka_unit_test_setup_teardown(function, begin, finish)
RUN(OF_ITS_OWN(what_was_done_is_done_for_everybody), OF_ITS_OWN(a_claim_holds_until_its_time_is_over),
    OF_ITS_OWN(a_claim_that_was_given_back_can_be_taken), OF_ITS_OWN(of_many_one_claims))
