/* test_address.c: addresses and networks, as base/address.c reads them. */
#include "base/address.h"
#include "unit.h"

static void an_address_is_read_and_written_as_people_write_it(void **state)
{
    static const struct {
        const char *text, *written;
        bool loopback;
    } rows[] = {
        { "192.0.2.1", "192.0.2.1", false },
        { "127.0.0.1", "127.0.0.1", true },
        { "127.255.255.254", "127.255.255.254", true },
        { "128.0.0.1", "128.0.0.1", false },
        { "::1", "::1", true },
        { "::2", "::2", false },
        { "::", "::", false },
        { "2001:DB8:0::1", "2001:db8::1", false },
        { "::ffff:127.0.0.1", "127.0.0.1", true },
        { "::ffff:7f00:1", "127.0.0.1", true },
        { "::ffff:192.0.2.1", "192.0.2.1", false },
    };
    static const struct str bad[] = {
        ROW(""),
        ROW("1"),
        ROW("127.1"),
        ROW("192.0.2.1 "),
        ROW("192.0.2.256"),
        ROW("192.0.2.01"),
        ROW("192.0.2.1:80"),
        ROW("[::1]"),
        ROW(":"),
        ROW("fe80::1%eth0"),
        ROW("::g"),
        ROW("localhost"),
        ROW("unknown"),
        ROW("127.0.0.1\0"),
        ROW("\0"),
        ROW("1111:2222:3333:4444:5555:6666:7777:8888:9999:1111:2222"),
    };
    struct address address;
    char text[INET6_ADDRSTRLEN];
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_row(address_read(str_of(rows[i].text), &address), rows[i].text);
        assert_string_equal(address_write(&address, text), rows[i].written);
        assert_row(address_is_loopback(&address) == rows[i].loopback, rows[i].text);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        char *copy = exactly(bad[i]);
        if (address_read((struct str){ copy, bad[i].len }, &address))
            fail_msg("row %zu was taken", i);
        free(copy);
    }
}

static void a_network_has_what_shares_its_bits(void **state)
{
    static const struct {
        const char *list, *address;
        bool has;
    } rows[] = {
        { "", "127.0.0.1", false },
        { "192.0.2.1", "192.0.2.1", true },
        { "192.0.2.1", "192.0.2.2", false },
        { "192.0.2.1", "::ffff:192.0.2.1", true },
        { "10.0.0.0/8", "10.255.255.255", true },
        { "10.0.0.0/8", "11.0.0.0", false },
        { "172.16.0.0/12", "172.31.255.255", true },
        { "172.16.0.0/12", "172.32.0.0", false },
        { "192.0.2.128/25", "192.0.2.127", false },
        { "192.0.2.128/25", "192.0.2.128", true },
        { "0.0.0.0/0", "203.0.113.7", true },
        { "0.0.0.0/0", "2001:db8::1", false },
        { "::/0", "2001:db8::1", true },
        { "::/0", "203.0.113.7", false },
        { "::ffff:0:0/96", "203.0.113.7", true },
        { "::ffff:10.0.0.0/104", "10.1.2.3", true },
        { "2001:db8::/32", "2001:db8:ffff::1", true },
        { "2001:db8::/32", "2001:db9::1", false },
        { "2001:db8::/33", "2001:db8:8000::1", false },
        { "::1", "::1", true },
        { "::1/128", "127.0.0.1", false },
        { " 10.0.0.0/8 ,\t::1 , 192.0.2.0/24", "192.0.2.9", true },
        { "10.0.0.0/8,::1", "192.0.2.9", false },
    };
    static const char *const bad[] = {
        ",10.0.0.0/8",       "10.0.0.0/",  "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1",       "10.0.0.0/8/8",
        "10.0.0.1/8",        "10.0.0.0/a", "10.0.0/8",    "::/129",      "2001:db8::1/64",    "proxy",
        "10.0.0.0-10.1.0.0", "[::1]",      "10.0.0.0 /8", "*",           "::ffff:10.0.0.0/8", "10.0.0.0/999999999999",
    };
    static struct networks networks;
    struct address address;
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_null(networks_read(str_of(rows[i].list), &networks));
        assert_true(address_read(str_of(rows[i].address), &address));
        assert_row(networks_have(&networks, &address) == rows[i].has, rows[i].list);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        assert_row(networks_read(str_of(bad[i]), &networks) != NULL, bad[i]);
    struct buf many;
    buf_init(&many, &arena, 64, 4096);
    for (int i = 0; i < NETWORKS_MAX; i++)
        buf_add(&many, STR("::1,"));
    assert_null(networks_read((struct str){ many.at, many.len - 1 }, &networks));
    buf_add(&many, STR("::1"));
    assert_non_null(networks_read(buf_str(&many), &networks));
}

RUN(TEST(an_address_is_read_and_written_as_people_write_it), TEST(a_network_has_what_shares_its_bits))
