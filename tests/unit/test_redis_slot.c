/* test_redis_slot.c: slots of keys, as the Redis Cluster specification has them. */
#include "redis/slot.h"
#include "unit.h"

static void the_checksum_is_xmodems(void **state)
{
    (void)state;
    assert_int_equal(redis_crc16(STR("123456789")), 0x31c3); /* the specification's own example */
    assert_int_equal(redis_crc16(STR("")), 0);
    assert_int_equal(redis_crc16(STR("A")), 0x58e5);
    assert_int_equal(redis_crc16(STR("\xff")), 0x1ef0);
}

/* Redis's own answers to CLUSTER KEYSLOT. */
static void a_tag_between_braces_decides_alone(void **state)
{
    static const struct {
        struct str key;
        unsigned slot;
    } rows[] = {
        { ROW("foo"), 12182 },     { ROW("bar"), 5061 },           { ROW("hello"), 866 },
        { ROW("somekey"), 11058 }, { ROW("foo{hash_tag}"), 2515 }, { ROW("bar{hash_tag}"), 2515 },
        { ROW("hash_tag"), 2515 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        char *copy = exactly(rows[i].key);
        assert_row(redis_slot((struct str){ copy, rows[i].key.len }) == rows[i].slot, rows[i].key.at);
        free(copy);
    }
}

static void only_the_first_full_pair_is_a_tag(void **state)
{
    (void)state;
    assert_int_equal(redis_slot(STR("foo{}{bar}")), redis_crc16(STR("foo{}{bar}")) % REDIS_SLOTS);
    assert_int_equal(redis_slot(STR("foo{{bar}}zap")), redis_slot(STR("{bar")));
    assert_int_equal(redis_slot(STR("foo{bar}{zap}")), redis_slot(STR("bar")));
    assert_int_equal(redis_slot(STR("foo}{bar")), redis_crc16(STR("foo}{bar")) % REDIS_SLOTS);
    assert_int_equal(redis_slot(STR("{")), redis_crc16(STR("{")) % REDIS_SLOTS);
    assert_int_equal(redis_slot(STR("")), 0);
}

RUN(TEST(the_checksum_is_xmodems), TEST(a_tag_between_braces_decides_alone), TEST(only_the_first_full_pair_is_a_tag))
