/* test_cache.c: what cache.h promises, of a real Redis, started here on a free port. */
#include "redis/pool.h"
#include "redis_server.h"
#include <pthread.h>

static struct cache *cache;
static struct settings settings;

static int open_redis(void **state)
{
    (void)state;
    return redis_server_open(&settings, &cache);
}

static int close_all(void **state)
{
    (void)state;
    cache_close(cache);
    redis_server_end();
    return 0;
}

static void put_one(const char *key, const char *value, int64_t ttl_s)
{
    const struct cache_entry entry = { str_of(key), str_of(value), ttl_s };
    assert_ok(cache_put(cache, &entry, 1));
}

static void expect(const char *key, const char *value)
{
    struct str got = { 0, 0 };
    struct err err = cache_get(cache, &arena, str_of(key), &got);
    assert_code(err, value ? ERR_OK : ERR_NOT_FOUND, key);
    if (value)
        assert_str(got, value);
}

static void wait_until_gone(const char *key)
{
    struct str got;
    int64_t until = clock_ms() + 10000;
    while (!cache_get(cache, &arena, str_of(key), &got).code)
        assert_true(clock_ms() < until);
}

static void what_was_put_is_there_until_its_end(void **state)
{
    (void)state;
    expect("nothing", NULL);
    put_one("put", "a", 100);
    expect("put", "a");
    put_one("put", "b", 1);
    expect("put", "b");
    put_one("put:longer", "c", 100);
    wait_until_gone("put");
    expect("put:longer", "c");
    put_one("put:zero", "x", 0); /* at least a second */
    expect("put:zero", "x");
}

static void values_are_bytes(void **state)
{
    static const char bytes[] = "a\0b\r\n\xff";
    const struct cache_entry entries[] = { { STR("bytes\0key"), { bytes, sizeof bytes - 1 }, 100 },
                                           { STR("bytes\0kex"), { 0, 0 }, 100 } };
    struct str got;
    (void)state;
    assert_ok(cache_put(cache, entries, 2));
    assert_ok(cache_get(cache, &arena, entries[0].key, &got));
    assert_true(str_eq(got, entries[0].value));
    assert_ok(cache_get(cache, &arena, entries[1].key, &got));
    assert_int_equal(got.len, 0);
    assert_code(cache_get(cache, &arena, STR("bytes"), &got), ERR_NOT_FOUND, "another key");
}

static void only_the_first_adds(void **state)
{
    const struct cache_entry entries[] = { { STR("add:1"), STR("x"), 100 }, { STR("add:2"), STR("y"), 1 } };
    const struct cache_entry again = { STR("add:2"), STR("z"), 100 };
    size_t added = 9;
    (void)state;
    assert_ok(cache_add(cache, entries, 1, &added));
    assert_int_equal(added, 1);
    assert_ok(cache_add(cache, entries, 2, &added));
    assert_int_equal(added, 1);
    assert_ok(cache_add(cache, &again, 1, &added));
    assert_int_equal(added, 0);
    expect("add:2", "y");
    wait_until_gone("add:2");
    assert_ok(cache_add(cache, &again, 1, &added));
    assert_int_equal(added, 1);
    assert_ok(cache_add(cache, NULL, 0, &added));
    assert_int_equal(added, 0);
}

struct adder {
    pthread_t thread;
    size_t added;
};

static void *add_many(void *arg)
{
    struct adder *adder = arg;
    for (int i = 0; i < 200; i++) {
        char key[32];
        size_t added = 0;
        int len = snprintf(key, sizeof key, "race:add:%d", i);
        const struct cache_entry entry = { { key, (size_t)len }, STR("x"), 100 };
        adder->added += !cache_add(cache, &entry, 1, &added).code && added == 1;
    }
    return NULL;
}

static void of_several_who_add_a_key_one_does(void **state)
{
    struct adder adders[4] = { { .added = 0 } };
    size_t added = 0;
    (void)state;
    for (size_t i = 0; i < COUNT(adders); i++)
        assert_int_equal(pthread_create(&adders[i].thread, NULL, add_many, &adders[i]), 0);
    for (size_t i = 0; i < COUNT(adders); i++) {
        pthread_join(adders[i].thread, NULL);
        added += adders[i].added;
    }
    assert_int_equal(added, 200);
}

struct seen {
    size_t shown, count, of_prefix;
    int64_t least_s, most_s;
};

static bool want(void *context, struct str key)
{
    struct seen *seen = context;
    seen->shown++;
    return !str_eq(key, STR("scan:unwanted"));
}

static void see(void *context, struct str key, int64_t ttl_s)
{
    struct seen *seen = context;
    seen->count++;
    seen->of_prefix += str_has_prefix(key, STR("scan:"));
    seen->least_s = ttl_s < seen->least_s ? ttl_s : seen->least_s;
    seen->most_s = ttl_s > seen->most_s ? ttl_s : seen->most_s;
}

static void a_scan_sees_every_key_of_its_prefix(void **state)
{
    enum { MANY = 3000 };
    struct cache_entry *entries = arena_alloc(&arena, MANY * sizeof *entries);
    struct seen seen = { .least_s = INT64_MAX };
    (void)state;
    for (int i = 0; i < MANY; i++)
        entries[i] = (struct cache_entry){ arena_printf(&arena, "scan:%d", i), STR("v"), 500 };
    assert_ok(cache_put(cache, entries, MANY));
    put_one("scam:1", "v", 100);
    put_one("scan:unwanted", "v", 100);
    struct cache_visitor visitor = { STR("scan:"), &seen, want, see, NULL };
    assert_ok(cache_scan(cache, &visitor, 1));
    assert_true(seen.shown > seen.count);
    assert_true(seen.count >= MANY && seen.of_prefix == seen.count);
    assert_in_range(seen.least_s, 400, 500);
    assert_in_range(seen.most_s, 400, 500);
    seen = (struct seen){ .least_s = INT64_MAX };
    visitor.prefix = STR("none:");
    assert_ok(cache_scan(cache, &visitor, 1));
    assert_int_equal(seen.count, 0);
}

static void raise_one(const char *key, int64_t high, int64_t until_s, const char *text)
{
    const struct cache_mark mark = { str_of(key), high, until_s, str_of(text) };
    assert_ok(cache_raise(cache, &mark, 1, 1000));
}

/* Whatever somebody has put in its place, near the end of the integers above all. */
static void what_is_no_mark_is_written_over(void **state)
{
    static const char *const values[] = { "1 9223372036854775807 x",
                                          "9223372036854775807 1 x",
                                          "1000000000000 5 x",
                                          "1 99999999999999999999999999 x",
                                          "-5 3 x",
                                          "x" };
    (void)state;
    for (size_t i = 0; i < COUNT(values); i++) {
        const struct cache_entry entry = { STR("mark:none"), str_of(values[i]), 100 };
        assert_ok(cache_put(cache, &entry, 1));
        raise_one("mark:none", 500, 2000, "ours");
        expect("mark:none", "500 2000 ours");
    }
}

static void of_each_key_its_value_or_none_is_given(void **state)
{
    const struct cache_entry entries[] = { { STR("lack:1"), STR("x"), 100 }, { STR("lack:3"), STR(""), INT64_MAX } };
    const struct str keys[] = { STR("lack:1"), STR("lack:2"), STR("lack:3"), STR("lack:1") };
    struct str values[COUNT(keys)];
    char policy[CACHE_POLICY_ROOM] = "x";
    (void)state;
    assert_ok(cache_put(cache, entries, COUNT(entries))); /* the longest life there is, and no overflow */
    assert_ok(cache_get_all(cache, &arena, keys, COUNT(keys), values));
    for (size_t i = 0; i < COUNT(keys); i++)
        assert_int_equal(values[i].at != NULL, i != 1);
    assert_str(values[0], "x");
    assert_str(values[2], "");
    assert_str(values[3], "x");
    assert_ok(cache_get_all(cache, &arena, NULL, 0, NULL));
    assert_ok(cache_evicts(cache, policy));
    assert_str(str_of(policy), "");
}

static void a_mark_only_grows(void **state)
{
    (void)state;
    raise_one("mark:1", 500, 2000, "first");
    expect("mark:1", "500 2000 first");
    raise_one("mark:1", 500, 2000, "the same");
    raise_one("mark:1", 499, 2000, "lower");
    raise_one("mark:1", 500, 1999, "ends earlier");
    expect("mark:1", "500 2000 first");
    raise_one("mark:1", 501, 1500, "higher, ends earlier");
    expect("mark:1", "501 2000 higher, ends earlier");
    raise_one("mark:1", 7, 3000, "lower, ends later");
    expect("mark:1", "501 3000 lower, ends later");
    raise_one("mark:1", 1000, 3000, ""); /* as numbers, not as texts */
    expect("mark:1", "1000 3000 ");
    raise_one("mark:1", INT64_C(253402300799), INT64_C(253402400800), "9999");
    expect("mark:1", "253402300799 253402400800 9999");
    put_one("mark:2", "something else", 100);
    raise_one("mark:2", 1, 2000, "over it");
    expect("mark:2", "1 2000 over it");
    raise_one("mark:3", 1, 1001, "short");
    raise_one("mark:4", 1, 999, "over already"); /* a second, since there is no less */
    wait_until_gone("mark:3");
    wait_until_gone("mark:4");
    assert_ok(cache_raise(cache, NULL, 0, 1000));
}

struct raiser {
    pthread_t thread;
    int64_t first;
    bool good;
};

static void *raise_many(void *arg)
{
    struct raiser *raiser = arg;
    raiser->good = true;
    for (int64_t i = 0; i < 200; i++) {
        const struct cache_mark mark = { STR("mark:race"), raiser->first + i * 4, 9000 - i, STR("x") };
        raiser->good = raiser->good && !cache_raise(cache, &mark, 1, 1000).code;
    }
    return NULL;
}

/* Whoever comes last, none lowers what another has raised. */
static void of_several_who_raise_a_mark_the_highest_stays(void **state)
{
    struct raiser raisers[4];
    (void)state;
    for (size_t i = 0; i < COUNT(raisers); i++) {
        raisers[i].first = (int64_t)i;
        assert_int_equal(pthread_create(&raisers[i].thread, NULL, raise_many, &raisers[i]), 0);
    }
    for (size_t i = 0; i < COUNT(raisers); i++) {
        pthread_join(raisers[i].thread, NULL);
        assert_true(raisers[i].good);
    }
    expect("mark:race", "799 9000 x");
}

static void see_value(void *context, struct str key, struct str value)
{
    struct seen *seen = context;
    struct str number = { key.at + 5, key.len - 5 };
    seen->count++;
    seen->of_prefix += str_has_prefix(value, STR("7 2000 ")) &&
                       str_eq((struct str){ value.at + 7, value.len - 7 }, number);
}

static void a_scan_may_ask_for_values(void **state)
{
    enum { MANY = 1500 };
    struct cache_mark *marks = arena_alloc(&arena, MANY * sizeof *marks);
    struct seen seen = { .least_s = 0 };
    (void)state;
    for (int i = 0; i < MANY; i++) {
        struct str key = arena_printf(&arena, "held:%d", i);
        marks[i] = (struct cache_mark){ key, 7, 2000, { key.at + 5, key.len - 5 } };
    }
    assert_ok(cache_raise(cache, marks, MANY, 1000));
    const struct cache_visitor visitor = { STR("held:"), &seen, want, NULL, see_value };
    assert_ok(cache_scan(cache, &visitor, 1));
    assert_true(seen.count >= MANY && seen.of_prefix == seen.count);
}

/* Prefixes of several lengths, with letters that mean something in a pattern, and keys that lie between them. */
static void a_scan_shows_each_visitor_its_own_in_one_pass(void **state)
{
    static const char *const keys[] = { "to-ken:r:1", "to-ken:r:2", "re]o[ed:1", "re-o[ed:1", "to]ken:r:1", "ro-ken:1",
                                        "te]o[ed:1",  "re]o[ed",    "to-ken:r",  "x",         "f:1",        "*:1" };
    struct seen seen[3] = { { 0 } };
    const struct cache_visitor visitors[] = { { STR("to-ken:r:"), &seen[0], want, see, NULL },
                                              { STR("re]o[ed:"), &seen[1], want, see, NULL },
                                              { STR("to]"), &seen[2], want, see, NULL } };
    (void)state;
    for (size_t i = 0; i < COUNT(keys); i++)
        put_one(keys[i], "v", 100);
    assert_ok(cache_scan(cache, visitors, 3));
    assert_int_equal(seen[0].shown, 2);
    assert_int_equal(seen[0].count, 2);
    assert_int_equal(seen[1].count, 1);
    assert_int_equal(seen[2].count, 1);
}

static void append_one(const char *log, const char *text, struct cache_position *position)
{
    assert_ok(cache_append(cache, str_of(log), str_of(text), position));
}

static struct err read_some(const char *log, const struct cache_position *after, int64_t wait_ms, size_t max,
                            struct cache_item **items, size_t *count)
{
    return cache_read(cache, &arena, str_of(log), after, wait_ms, max, items, count);
}

static void a_log_is_read_on_from_a_position(void **state)
{
    struct cache_position first, position;
    struct cache_item *items;
    size_t count;
    (void)state;
    append_one("log:a", "zero", &first);
    assert_ok(read_some("log:a", &first, 0, 10, &items, &count));
    assert_int_equal(count, 0);
    for (int i = 0; i < 5; i++)
        append_one("log:a", arena_printf(&arena, "item %d", i).at, &position);
    append_one("log:b", "another log", &position);
    assert_ok(read_some("log:a", &first, 0, 3, &items, &count));
    assert_int_equal(count, 3);
    assert_str(items[0].text, "item 0");
    assert_str(items[2].text, "item 2");
    assert_ok(read_some("log:a", &items[2].position, 1000, 10, &items, &count));
    assert_int_equal(count, 2);
    assert_str(items[1].text, "item 4");
}

static void a_log_is_read_from_its_beginning(void **state)
{
    struct cache_position nowhere = { "" }, position;
    struct cache_item *items;
    size_t count;
    (void)state;
    append_one("log:whole", "zero", &position);
    append_one("log:whole", "one", &position);
    append_one("log:whole", "two", &position);
    assert_ok(read_some("log:whole", &nowhere, 0, 2, &items, &count));
    assert_int_equal(count, 2);
    assert_str(items[0].text, "zero");
    assert_ok(read_some("log:whole", &items[1].position, 0, 2, &items, &count));
    assert_int_equal(count, 1);
    assert_str(items[0].text, "two");
    assert_str(str_of(items[0].position.text), position.text);
}

static void a_position_that_the_log_lacks_is_a_gap(void **state)
{
    struct cache_position position, never = { "99999999999999-7" };
    struct cache_item *items;
    size_t count;
    (void)state;
    append_one("log:gap", "x", &position);
    assert_code(read_some("log:gap", &never, 0, 10, &items, &count), ERR_NOT_FOUND, "never there");
    assert_code(read_some("log:empty", &position, 0, 10, &items, &count), ERR_NOT_FOUND, "no such log");
}

static void a_log_that_was_trimmed_past_a_position_has_a_gap_there(void **state)
{
    struct cache_position first, position;
    struct cache_item *items;
    size_t count;
    (void)state;
    append_one("log:long", "first", &first);
    for (int i = 0; i < CACHE_LOG_KEPT + 1000; i++)
        append_one("log:long", "x", &position);
    assert_code(read_some("log:long", &first, 0, 10, &items, &count), ERR_NOT_FOUND, "trimmed");
    assert_ok(read_some("log:long", &position, 0, 10, &items, &count));
    first.text[0] = '\0';
    assert_ok(read_some("log:long", &first, 0, 1, &items, &count)); /* what is left of it has a beginning */
    assert_str(items[0].text, "x");
}

static void *append_later(void *arg)
{
    struct cache_position position;
    usleep(50000);
    return cache_append(cache, STR("log:wait"), STR("late"), &position).code ? NULL : arg;
}

static void whoever_waits_is_woken_by_the_next_item(void **state)
{
    struct cache_position position;
    struct cache_item *items;
    size_t count;
    pthread_t thread;
    (void)state;
    append_one("log:wait", "first", &position);
    int64_t began = clock_ms();
    assert_ok(read_some("log:wait", &position, 100, 10, &items, &count));
    assert_int_equal(count, 0);
    assert_true(clock_ms() - began >= 90);
    assert_int_equal(pthread_create(&thread, NULL, append_later, NULL), 0);
    began = clock_ms();
    assert_ok(read_some("log:wait", &position, 30000, 10, &items, &count));
    assert_true(clock_ms() - began < 20000);
    pthread_join(thread, NULL);
    assert_int_equal(count, 1);
    assert_str(items[0].text, "late");
}

static void its_generation_stays_while_nothing_happens(void **state)
{
    (void)state;
    assert_ok(cache_check(cache));
    uint64_t before = cache_generation(cache);
    put_one("generation", "x", 100);
    assert_ok(cache_check(cache));
    assert_true(before == cache_generation(cache));
}

/* As in a cluster whose servers are replaced one by one: nobody listens at these addresses but the last. */
static void servers_may_be_replaced_without_an_end(void **state)
{
    const struct redis_login nobody = { "", "", 0, false };
    struct redis_url own;
    (void)state;
    assert_null(redis_url_parse(str_of(redis_server_url), &own));
    struct redis_pool *pool = redis_pool_new(&nobody, NULL);
    for (int i = 0; i < 1000; i++) {
        struct redis_connection *connection;
        struct redis_address address = own.hosts[0];
        snprintf(address.host, sizeof address.host, "127.1.%d.%d", i / 250, i % 250);
        assert_code(redis_pool_take(pool, &address, clock_ms() + 10000, &connection), ERR_UNAVAILABLE, address.host);
        if (i % 100 != 99)
            continue;
        assert_ok(redis_pool_take(pool, &own.hosts[0], clock_ms() + 10000, &connection));
        redis_pool_give_back(pool, &own.hosts[0], connection, NULL);
    }
    assert_true(redis_pool_generation(pool) > 0);
    redis_pool_free(pool);
}

static void waiting_after_failures_grows_and_is_bounded(void **state)
{
    (void)state;
    for (unsigned failures = 1; failures < 100; failures++)
        for (unsigned chance = 0; chance < 2000; chance += 7)
            assert_in_range(redis_backoff_ms(failures, chance), failures < 6 ? 10 : 250, 1000);
    assert_in_range(redis_backoff_ms(1, UINT32_MAX), 10, 20);
    assert_in_range(redis_backoff_ms(UINT32_MAX, 0), 500, 500);
}

RUN_WITH(open_redis, close_all, TEST(what_was_put_is_there_until_its_end), TEST(values_are_bytes),
         TEST(only_the_first_adds), TEST(of_several_who_add_a_key_one_does), TEST(a_scan_sees_every_key_of_its_prefix),
         TEST(a_mark_only_grows), TEST(of_several_who_raise_a_mark_the_highest_stays),
         TEST(what_is_no_mark_is_written_over), TEST(of_each_key_its_value_or_none_is_given),
         TEST(a_scan_may_ask_for_values), TEST(a_scan_shows_each_visitor_its_own_in_one_pass),
         TEST(a_log_is_read_on_from_a_position), TEST(a_log_is_read_from_its_beginning),
         TEST(a_position_that_the_log_lacks_is_a_gap), TEST(a_log_that_was_trimmed_past_a_position_has_a_gap_there),
         TEST(whoever_waits_is_woken_by_the_next_item), TEST(its_generation_stays_while_nothing_happens),
         TEST(servers_may_be_replaced_without_an_end), TEST(waiting_after_failures_grows_and_is_bounded))
