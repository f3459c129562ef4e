/* test_redis_topology.c: where servers say that data lies. */
#include "redis/topology.h"
#include "unit.h"

static const struct redis_address asked = { "10.0.0.9", 7000 };

static const struct reply *reply_of(const char *bytes)
{
    struct reply_reader *reader = reply_reader_new();
    const struct reply *reply;
    assert_ok(reply_feed(reader, str_of(bytes)));
    assert_ok(reply_next(reader, &arena, &reply));
    reply_reader_free(reader);
    assert_non_null(reply);
    return reply;
}

static void cluster_slots_name_a_master_for_each_slot(void **state)
{
    static struct redis_slots slots;
    (void)state;
    assert_true(redis_slots_read(reply_of("*3\r\n*4\r\n:0\r\n:5460\r\n*3\r\n$9\r\n127.0.0.1\r\n:7001\r\n$2\r\nid\r\n*"
                                          "3\r\n$9\r\n127.0.0.1\r\n:7004\r\n$2\r\nid\r\n"
                                          "*3\r\n:5461\r\n:10922\r\n*2\r\n$0\r\n\r\n:7002\r\n"
                                          "*3\r\n:10923\r\n:16382\r\n*2\r\n$9\r\n127.0.0.1\r\n:7001\r\n"),
                                 &asked, &slots));
    assert_int_equal(slots.count, 2); /* a replica is none of them */
    assert_string_equal(slots.nodes[0].host, "127.0.0.1");
    assert_string_equal(slots.nodes[1].host, "10.0.0.9"); /* it does not know its own name */
    assert_int_equal(slots.nodes[1].port, 7002);
    assert_int_equal(slots.node_of[0], 0);
    assert_int_equal(slots.node_of[5460], 0);
    assert_int_equal(slots.node_of[5461], 1);
    assert_int_equal(slots.node_of[10922], 1);
    assert_int_equal(slots.node_of[16382], 0);
    assert_int_equal(slots.node_of[16383], REDIS_NO_NODE);
}

static void what_names_no_master_is_no_answer(void **state)
{
    static struct redis_slots slots;
    static const char *const bad[] = {
        "-ERR This instance has cluster support disabled\r\n",
        "*0\r\n",
        "+OK\r\n",
        "*1\r\n:1\r\n",
        "*1\r\n*0\r\n",
        "*1\r\n*2\r\n:0\r\n:1\r\n",
        "*1\r\n*3\r\n:5\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:-1\r\n:4\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:4\r\n*2\r\n$1\r\na\r\n:0\r\n",
        "*1\r\n*3\r\n:0\r\n:4\r\n*2\r\n$1\r\na\r\n:65536\r\n",
        "*1\r\n*3\r\n:0\r\n:4\r\n*2\r\n$3\r\na b\r\n:1\r\n",
        "*1\r\n*3\r\n:0\r\n:4\r\n*1\r\n$1\r\na\r\n",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_row(!redis_slots_read(reply_of(bad[i]), &asked, &slots), bad[i]);
}

static void more_nodes_than_there_is_room_for_are_left_out(void **state)
{
    static struct redis_slots slots;
    struct buf bytes;
    (void)state;
    buf_init(&bytes, &arena, 1024, 65536);
    buf_add(&bytes, STR("*200\r\n"));
    for (int i = 0; i < 200; i++)
        buf_add(&bytes, arena_printf(&arena, "*3\r\n:%d\r\n:%d\r\n*2\r\n$1\r\na\r\n:%d\r\n", i, i, i + 1));
    buf_add_char(&bytes, '\0');
    assert_true(redis_slots_read(reply_of(bytes.at), &asked, &slots));
    assert_int_equal(slots.count, REDIS_NODES_MAX);
    assert_int_equal(slots.node_of[REDIS_NODES_MAX - 1], REDIS_NODES_MAX - 1);
    assert_int_equal(slots.node_of[REDIS_NODES_MAX], REDIS_NO_NODE);
}

static void redirections_are_read_and_their_neighbours_are_not(void **state)
{
    static const struct {
        const char *bytes;
        enum redirection redirection;
        unsigned slot;
        const char *host;
        unsigned port;
    } rows[] = {
        { "-MOVED 3999 127.0.0.1:6381\r\n", REDIRECTION_MOVED, 3999, "127.0.0.1", 6381 },
        { "-ASK 16383 cache.example:1\r\n", REDIRECTION_ASK, 16383, "cache.example", 1 },
        { "-MOVED 0 ::1:6381\r\n", REDIRECTION_MOVED, 0, "::1", 6381 },
        { "-MOVED 0 [::1]:6381\r\n", REDIRECTION_MOVED, 0, "::1", 6381 },
        { "-MOVED 7 :6381\r\n", REDIRECTION_MOVED, 7, "10.0.0.9", 6381 },
        { "+MOVED 3999 127.0.0.1:6381\r\n", REDIRECTION_NONE, 0, "", 0 },
        { "-MOVED 16384 127.0.0.1:6381\r\n", REDIRECTION_NONE, 0, "", 0 },
        { "-MOVED -1 127.0.0.1:6381\r\n", REDIRECTION_NONE, 0, "", 0 },
        { "-MOVED 1 127.0.0.1\r\n", REDIRECTION_NONE, 0, "", 0 },
        { "-MOVED 1 127.0.0.1:0\r\n", REDIRECTION_NONE, 0, "", 0 },
        { "-MOVED 1 127.0.0.1:65536\r\n", REDIRECTION_NONE, 0, "", 0 },
        { "-MOVED 1\r\n", REDIRECTION_NONE, 0, "", 0 },
        { "-MOVED 1 \r\n", REDIRECTION_NONE, 0, "", 0 },
        { "-MOVED  1 a:1\r\n", REDIRECTION_NONE, 0, "", 0 },
        { "-moved 1 a:1\r\n", REDIRECTION_NONE, 0, "", 0 },
        { "-TRYAGAIN 1 a:1\r\n", REDIRECTION_NONE, 0, "", 0 },
        { "-\r\n", REDIRECTION_NONE, 0, "", 0 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct redis_address got = { "", 0 };
        unsigned slot = 0;
        assert_row(redis_redirection(reply_of(rows[i].bytes), &asked, &slot, &got) == rows[i].redirection,
                   rows[i].bytes);
        assert_row(slot == rows[i].slot && got.port == rows[i].port, rows[i].bytes);
        assert_string_equal(got.host, rows[i].host);
    }
}

static void a_sentinel_names_a_master_by_host_and_port(void **state)
{
    static const char *const bad[] = { "*-1\r\n",
                                       "*2\r\n$1\r\na\r\n$1\r\n0\r\n",
                                       "*1\r\n$1\r\na\r\n",
                                       "*2\r\n$0\r\n\r\n$1\r\n1\r\n",
                                       "*2\r\n$1\r\na\r\n:1\r\n",
                                       "-ERR x\r\n" };
    struct redis_address got;
    (void)state;
    assert_true(redis_master_read(reply_of("*2\r\n$8\r\n10.0.0.1\r\n$4\r\n6379\r\n"), &got));
    assert_string_equal(got.host, "10.0.0.1");
    assert_int_equal(got.port, 6379);
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_row(!redis_master_read(reply_of(bad[i]), &got), bad[i]);
}

RUN(TEST(cluster_slots_name_a_master_for_each_slot), TEST(what_names_no_master_is_no_answer),
    TEST(more_nodes_than_there_is_room_for_are_left_out), TEST(redirections_are_read_and_their_neighbours_are_not),
    TEST(a_sentinel_names_a_master_by_host_and_port))
