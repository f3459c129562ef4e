/* test_authn.c: who is let in while others fail: from memory always, by way of the store within bounds. */
#include "service/authn.h"
#include "base/clock.h"
#include "jose/jws.h"
#include "service/clients.h"
#include "service/failures.h"
#include "unit.h"

enum { LIMIT = 10, PATIENCE_MS = 60000 };

/* A store with one client, and a count of how often it was asked. */
static unsigned asked;
static bool is_disabled;

static struct err find_client(struct store *store, struct arena *in, struct str id, struct client *out)
{
    (void)store;
    asked++;
    if (!str_eq(id, STR("agent")) && !str_eq(id, STR("quiet")))
        return failed(ERR_NOT_FOUND, "there is no such client");
    *out = (struct client){ .id = arena_copy(in, id), .scopes = STR("token:verify"), .is_active = !is_disabled };
    sha256(STR("right"), out->secret_hash);
    sha256(STR("old"), out->old_secret_hash);
    out->old_secret_until = 1060;
    return OK;
}

static const struct store_ops ops = { .name = "one client", .find_client = find_client };
static struct store store = { .ops = &ops };
static struct service service;

static void open_service(int64_t limit)
{
    asked = 0;
    is_disabled = false;
    service = (struct service){ .clients = clients_new(&store, 3600, 0), .failures = failures_new(limit) };
}

static void close_service(void)
{
    clients_free(service.clients);
    failures_free(service.failures);
}

/* What a caller is told: on the loop first, then, if memory can't tell, on a worker. `waited`: whether it came to that;
 * NULL allowed. */
static enum err_code call(const char *peer, const char *id, const char *secret, int64_t now_s, bool *waited)
{
    const struct request request = { .arena = &arena, .peer = str_of(peer), .now_s = now_s, .now_ms = now_s * 1000 };
    struct call one = { .service = &service, .request = &request };
    one.form = (struct form){ .name = { STR("client_id"), STR("client_secret") },
                              .value = { str_of(id), str_of(secret) },
                              .count = 2 };
    int64_t retry_after_s = 0;
    struct err failure = authenticate(&one, &retry_after_s);
    if (waited)
        *waited = failure.code == ERR_NEEDS_LOOKUP;
    if (failure.code == ERR_NEEDS_LOOKUP) {
        one.may_wait = true;
        failure = authenticate(&one, &retry_after_s);
        assert_int_not_equal(failure.code, ERR_NEEDS_LOOKUP);
    }
    assert_int_equal(failure.code == ERR_TOO_MANY_REQUESTS, retry_after_s > 0);
    return failure.code;
}

static void fail_times(const char *peer, const char *id, int times)
{
    for (int i = 0; i < times; i++)
        (void)call(peer, id, "wrong", 1000, NULL);
}

static void whoever_is_right_comes_in_though_others_fail(void **state)
{
    bool waited;
    (void)state;
    open_service(LIMIT);
    fail_times("192.0.2.1", "agent", 3 * LIMIT);
    assert_int_equal(call("192.0.2.1", "agent", "wrong", 1000, NULL), ERR_TOO_MANY_REQUESTS);
    for (int i = 0; i < 3 * LIMIT; i++) { /* from the same address, and from another */
        assert_int_equal(call(i % 2 ? "192.0.2.1" : "203.0.113.1", "agent", "right", 1000, &waited), ERR_OK);
        assert_false(waited);
    }
    assert_int_equal(call("192.0.2.1", "quiet", "right", 1000, NULL), ERR_OK); /* for the first time */
    close_service();
}

static void wrong_secrets_cost_the_store_no_more_than_the_limit(void **state)
{
    char text[32];
    (void)state;
    open_service(LIMIT);
    for (int i = 0; i < 1000; i++) { /* one address, any names */
        snprintf(text, sizeof text, "name-%d", i);
        fail_times("192.0.2.1", text, 1);
    }
    assert_in_range(asked, LIMIT, 3 * LIMIT);
    asked = 0;
    for (int i = 0; i < 1000; i++) { /* one name, any addresses */
        snprintf(text, sizeof text, "10.0.%d.%d", i / 250, i % 250);
        fail_times(text, "agent", 1);
    }
    assert_in_range(asked, LIMIT, 2 * LIMIT);
    assert_int_equal(call("203.0.113.9", "agent", "right", 1000, NULL), ERR_OK);
    close_service();
}

static void the_secret_before_this_one_is_good_until_its_end(void **state)
{
    static const struct {
        const char *secret;
        int64_t now_s;
        enum err_code code;
    } rows[] = { { "right", 1000, ERR_OK },
                 { "old", 1000, ERR_OK },
                 { "old", 1059, ERR_OK },
                 { "old", 1060, ERR_INVALID_CLIENT },
                 { "old", 2000, ERR_INVALID_CLIENT },
                 { "right", 1060, ERR_OK },
                 { "", 1000, ERR_INVALID_CLIENT } };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        open_service(LIMIT);
        assert_int_equal(call("192.0.2.1", "agent", "right", 1000, NULL), ERR_OK); /* from memory, from now on */
        assert_int_equal(call("192.0.2.1", "agent", rows[i].secret, rows[i].now_s, NULL), rows[i].code);
        close_service();
    }
}

/* Else the limit would tell strangers which ids there are. */
static void a_client_that_there_is_not_is_limited_alike(void **state)
{
    static const char *const peers[] = { "192.0.2.1", "2001:db8::1" };
    (void)state;
    for (size_t peer = 0; peer < COUNT(peers); peer++) {
        enum err_code said[2][3 * LIMIT];
        for (size_t is_there = 0; is_there < 2; is_there++) {
            open_service(LIMIT);
            for (int i = 0; i < 3 * LIMIT; i++)
                said[is_there][i] = call(peers[peer], is_there ? "agent" : "nobody", "wrong", 1000, NULL);
            close_service();
        }
        assert_memory_equal(said[0], said[1], sizeof said[0]);
        assert_int_equal(said[0][LIMIT - 1], ERR_INVALID_CLIENT);
        assert_int_equal(said[0][3 * LIMIT - 1], ERR_TOO_MANY_REQUESTS);
    }
}

static void no_step_of_the_wall_clock_makes_anybody_wait(void **state)
{
    enum { MANY = 1000 }; /* a minute: one drains in 60 ms */
    (void)state;
    open_service(MANY);
    for (int i = 0; i < 3 * MANY; i++)
        (void)call("192.0.2.1", "agent", "wrong", 1000000, NULL);
    int64_t end_ms = clock_ms() + PATIENCE_MS;
    while (call("192.0.2.1", "agent", "wrong", 1000000 - 7200, NULL) == ERR_TOO_MANY_REQUESTS)
        assert_true(clock_ms() < end_ms);
    close_service();
}

static void what_compares_no_secret_is_no_guess(void **state)
{
    (void)state;
    open_service(1);
    fail_times("192.0.2.1", "agent", 3);
    const struct header authorization = { STR("Authorization"), STR("Basic !") };
    const struct request request = { .arena = &arena, .peer = STR("192.0.2.1"), .headers = { &authorization, 1 } };
    struct call one = { .service = &service, .request = &request, .may_wait = true };
    int64_t retry_after_s = 0;
    for (int i = 0; i < 10; i++)
        assert_int_equal(authenticate(&one, &retry_after_s).code, ERR_INVALID_CLIENT); /* and nothing is counted */
    assert_int_equal(call("192.0.2.2", "quiet", "wrong", 1000, NULL), ERR_INVALID_CLIENT);
    close_service();
}

static void what_was_found_of_a_caller_stands_until_its_client_changes(void **state)
{
    static const enum auth_method judged_anew[] = { AUTH_ASSERTION, AUTH_BEARER, AUTH_VOUCHED };
    const struct request request = { .arena = &arena, .peer = STR("192.0.2.1"), .now_s = 1000, .now_ms = 1000000 };
    struct call one = { .service = &service, .request = &request };
    int64_t retry_after_s = 0;
    (void)state;
    open_service(LIMIT);
    assert_true(authenticated_still(&one));                                    /* nobody was asked who it is */
    assert_int_equal(call("192.0.2.1", "agent", "right", 1000, NULL), ERR_OK); /* from memory, from now on */
    one.form = (struct form){ .name = { STR("client_id"), STR("client_secret") },
                              .value = { STR("agent"), STR("right") },
                              .count = 2 };
    assert_ok(authenticate(&one, &retry_after_s));
    clients_refresh(service.clients, clock_coarse_s());
    assert_true(authenticated_still(&one));
    for (size_t i = 0; i < COUNT(judged_anew); i++) {
        struct call other = one;
        other.caller.method = judged_anew[i];
        assert_false(authenticated_still(&other));
    }
    is_disabled = true;
    clients_refresh(service.clients, clock_coarse_s());
    assert_false(authenticated_still(&one));
    close_service();
}

RUN(TEST(whoever_is_right_comes_in_though_others_fail), TEST(wrong_secrets_cost_the_store_no_more_than_the_limit),
    TEST(a_client_that_there_is_not_is_limited_alike), TEST(no_step_of_the_wall_clock_makes_anybody_wait),
    TEST(the_secret_before_this_one_is_good_until_its_end), TEST(what_compares_no_secret_is_no_guess),
    TEST(what_was_found_of_a_caller_stands_until_its_client_changes))
