/* test_redis_url.c: REDIS_URL: what it may be, and the neighbours that it may not. */
#include "redis/url.h"
#include "unit.h"

static const struct {
    const char *url;
    bool is_tls, is_sentinel;
    const char *host;
    unsigned port;
    size_t hosts;
    const char *user, *password, *master;
    int db;
} good[] = {
    { "redis://localhost", false, false, "localhost", 6379, 1, "", "", "", 0 },
    { "redis://localhost/", false, false, "localhost", 6379, 1, "", "", "", 0 },
    { "redis://127.0.0.1:6380/15", false, false, "127.0.0.1", 6380, 1, "", "", "", 15 },
    { "rediss://cache.example:6380", true, false, "cache.example", 6380, 1, "", "", "", 0 },
    { "redis://[::1]:7000/2", false, false, "::1", 7000, 1, "", "", "", 2 },
    { "redis://[fe80::1]", false, false, "fe80::1", 6379, 1, "", "", "", 0 },
    { "redis://:secret@host", false, false, "host", 6379, 1, "", "secret", "", 0 },
    { "redis://svc:secret@host:1/3", false, false, "host", 1, 1, "svc", "secret", "", 3 },
    { "redis://svc:p%40ss%3a%2F%25@host", false, false, "host", 6379, 1, "svc", "p@ss:/%", "", 0 },
    { "redis://svc:a:b@host", false, false, "host", 6379, 1, "svc", "a:b", "", 0 },
    { "redis://svc:a/b@host/1", false, false, "host", 6379, 1, "svc", "a/b", "", 1 },
    { "redis://a:1,b:2,[::1]:3", false, false, "a", 1, 3, "", "", "", 0 },
    { "redis+sentinel://a,b:2/mymaster", false, true, "a", 26379, 2, "", "", "mymaster", 0 },
    { "rediss+sentinel://u:p@a:1/my-master/4", true, true, "a", 1, 1, "u", "p", "my-master", 4 },
};

static void a_url_is_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good); i++) {
        struct redis_url got;
        char *copy = exactly(str_of(good[i].url));
        const char *fault = redis_url_parse((struct str){ copy, strlen(good[i].url) }, &got);
        free(copy);
        assert_row(fault == NULL, good[i].url);
        assert_row(got.is_tls == good[i].is_tls && got.is_sentinel == good[i].is_sentinel, good[i].url);
        assert_row(got.hosts_count == good[i].hosts && got.db == good[i].db, good[i].url);
        assert_string_equal(got.hosts[0].host, good[i].host);
        assert_int_equal(got.hosts[0].port, good[i].port);
        assert_string_equal(got.user, good[i].user);
        assert_string_equal(got.password, good[i].password);
        assert_string_equal(got.master, good[i].master);
    }
}

static void what_is_no_such_url_is_refused_without_being_shown(void **state)
{
    static const char *const bad[] = {
        "",
        "redis",
        "redis:",
        "redis://",
        "redis:///0",
        "redis://,",
        "redis://a,",
        "redis://a,,b",
        "redis://:6379",
        "http://host",
        "REDIS://host",
        " redis://host",
        "redis://host ",
        "redis://ho st",
        "redis://host:",
        "redis://host:0",
        "redis://host:65536",
        "redis://host:06379",
        "redis://host:+1",
        "redis://host:x",
        "redis://[::1",
        "redis://[]",
        "redis://[::1]x",
        "redis://[::1]:",
        "redis://::1",
        "redis://host/x",
        "redis://host/-1",
        "redis://host/65536",
        "redis://host/0/1",
        "redis://host?db=1",
        "redis://host#1",
        "redis://secret@host",
        "redis://u:@host",
        "redis://:@host",
        "redis://@host",
        "redis://u:p@q@host",
        "redis://u:%@host",
        "redis://u:%4@host",
        "redis://u:%4g@host",
        "redis://u:%00@host",
        "redis://u:p\n@host",
        "redis://u:%0a@host",
        "redis://u:p@",
        "redis+sentinel://a",
        "redis+sentinel://a/",
        "redis+sentinel://a//0",
        "redis+sentinel://a/m/x",
        "redis+sentinel:///m",
        "redis-sentinel://a/m",
        "redis://a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct redis_url got;
        char *copy = exactly(str_of(bad[i]));
        const char *fault = redis_url_parse((struct str){ copy, strlen(bad[i]) }, &got);
        free(copy);
        assert_row(fault != NULL, bad[i]);
        assert_row(!strstr(fault, "secret"), bad[i]);
    }
}

/* Found by the fuzzer: a host that a C string would end early. */
static void a_nul_is_no_part_of_a_host(void **state)
{
    static const struct str bad[] = { ROW("redis://a\0b"), ROW("redis://[::1\0]:1"), ROW("redis://\0"),
                                      ROW("redis+sentinel://a/m\0x") };
    struct redis_address address;
    struct redis_url got;
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_row(redis_url_parse(bad[i], &got) != NULL, bad[i].at);
    assert_false(redis_address_parse(STR("\0\0::0:638"), 0, &address));
}

static void texts_have_their_bounds(void **state)
{
    static const struct {
        const char *before, *after;
        size_t most;
    } rows[] = {
        { "redis://u:", "@host", 511 },
        { "redis://", ":p@host", 127 },
        { "redis://", "", 255 },
        { "redis+sentinel://a/", "", 127 },
    };
    char many[600];
    (void)state;
    memset(many, 'x', sizeof many);
    for (size_t i = 0; i < COUNT(rows); i++)
        for (size_t len = rows[i].most; len <= rows[i].most + 1; len++) {
            struct redis_url got;
            struct str url = arena_printf(&arena, "%s%.*s%s", rows[i].before, (int)len, many, rows[i].after);
            assert_row((redis_url_parse(url, &got) == NULL) == (len == rows[i].most), url.at);
        }
}

static void an_address_of_a_server_may_lack_its_brackets(void **state)
{
    struct redis_address got;
    (void)state;
    assert_true(redis_address_parse(STR("::1:6381"), 0, &got));
    assert_string_equal(got.host, "::1");
    assert_int_equal(got.port, 6381);
    assert_true(redis_address_parse(STR("[::1]:6381"), 0, &got));
    assert_string_equal(got.host, "::1");
    assert_false(redis_address_parse(STR("host"), 0, &got));
    assert_false(redis_address_parse(STR(""), 0, &got));
    assert_false(redis_address_parse(STR(":1"), 0, &got));
}

RUN(TEST(a_url_is_taken_apart), TEST(what_is_no_such_url_is_refused_without_being_shown),
    TEST(a_nul_is_no_part_of_a_host), TEST(texts_have_their_bounds), TEST(an_address_of_a_server_may_lack_its_brackets))
