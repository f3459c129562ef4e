/* test_special_use.c: which addresses are for special use, at the edges of each range; and what the guard makes of it.
 */
#include "base/special_use.h"
#include "net/guard.h"
#include "unit.h"
#include <sys/socket.h>
#include <sys/un.h>

/* For special use: the first and the last of each range, and what stands beside it and is not. */
static const char *const special[] = {
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254", /* metadata of clouds */
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.255",
    "192.0.2.0",
    "192.0.2.255",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.0",
    "192.88.99.255",
    "192.168.0.0",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.0",
    "198.51.100.255",
    "203.0.113.0",
    "203.0.113.255",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.1.2.3",
    "::ffff:a9fe:a9fe",
    "::ffff:0:8.8.8.8", /* RFC 2765 section 2.1 */
    "64:ff9b::127.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::1:8.8.8.8",
    "64:ff9b:1::8.8.8.8",
    "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
    "100::",
    "100::ffff:ffff:ffff:ffff",
    "2001::",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2", /* Teredo */
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db8::",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "2002::",
    "2002:7f00:1::",
    "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "2620:4f:8000::1",
    "3fff::",
    "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
    "5f00::1",
    "fc00::",
    "fd00:ec2::254", /* metadata of clouds */
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "fe80::1",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff02::1",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "1fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "4000::",
    "8000::1",
};
static const char *const ordinary[] = {
    "1.0.0.0",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2000::1",
    "2001:200::1",
    "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
    "2001:db9::",
    "2003::1",
    "2606:4700::1111",
    "2620:4f:7fff:ffff:ffff:ffff:ffff:ffff",
    "3ffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "3fff:1000::",
};

static struct address address_of(const char *text)
{
    struct address address = { .bytes = { 0 } };
    assert_row(address_read(str_of(text), &address), text);
    return address;
}

static void each_range_of_the_registries_is_for_special_use_and_what_stands_beside_it_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(special); i++) {
        const struct address address = address_of(special[i]);
        const char *use = address_special_use(&address);
        assert_row(use != NULL, special[i]);
    }
    for (size_t i = 0; i < COUNT(ordinary); i++) {
        const struct address address = address_of(ordinary[i]);
        const char *use = address_special_use(&address);
        assert_row(use == NULL, ordinary[i]);
    }
}

static void behind_an_address_of_nat64_is_the_ipv4_address_in_it(void **state)
{
    static const char *const rows[][2] = {
        { "64:ff9b::8.8.8.8", "8.8.8.8" },
        { "64:ff9b::7f00:1", "127.0.0.1" },
        { "64:ff9b::1:8.8.8.8", "64:ff9b::1:808:808" },
        { "64:ff9b:1::8.8.8.8", "64:ff9b:1::808:808" },
        { "8.8.8.8", "8.8.8.8" },
        { "2000::1", "2000::1" },
    };
    char text[INET6_ADDRSTRLEN];
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct address address = address_of(rows[i][0]), behind = address_behind(&address);
        assert_string_equal(address_write(&behind, text), rows[i][1]);
    }
}

static void a_guard_lets_an_allowed_network_through_and_no_other(void **state)
{
    static const struct {
        const char *allowed, *address;
        bool passes;
    } rows[] = {
        { "", "8.8.8.8", true },
        { "", "127.0.0.1", false },
        { "127.0.0.1", "127.0.0.1", true },
        { "127.0.0.1", "::ffff:127.0.0.1", true },
        { "127.0.0.1", "64:ff9b::127.0.0.1", true },
        { "127.0.0.1", "127.0.0.2", false },
        { "127.0.0.1", "::1", false },
        { "127.0.0.1", "::127.0.0.1", false },
        { "127.0.0.1", "2002:7f00:1::", false },
        { "10.0.0.0/8, fd00::/8", "10.1.2.3", true },
        { "10.0.0.0/8, fd00::/8", "fd12::1", true },
        { "10.0.0.0/8, fd00::/8", "fc12::1", false },
        { "10.0.0.0/8, fd00::/8", "192.168.0.1", false },
        { "::/0", "127.0.0.1", false },
        { "::/0", "::1", true },
        { "64:ff9b::/96", "64:ff9b::10.0.0.1", false }, /* what is behind it decides */
        { "64:ff9b:1::/48", "64:ff9b:1::1", true },
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct guard guard;
        assert_null(networks_read(str_of(rows[i].allowed), &guard.allowed));
        const struct address address = address_of(rows[i].address);
        assert_row(guard_allows_address(&guard, &address) == rows[i].passes, rows[i].address);
    }
}

/* In memory that ends where the socket's address ends. */
static bool passes(const void *socket_address, size_t len)
{
    static const struct guard none = { .allowed = { .count = 0 } };
    char *copy = exactly((struct str){ socket_address, len });
    bool is_let_through = guard_allows(&none, (const struct sockaddr *)(const void *)copy, len);
    free(copy);
    return is_let_through;
}

static void a_guard_reads_addresses_of_sockets(void **state)
{
    struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x08080808) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
    const struct sockaddr_un local = { .sun_family = AF_UNIX, .sun_path = "/run/docker.sock" };
    struct address address = address_of("2606:4700::1111");
    (void)state;
    assert_true(passes(&v4, sizeof v4));
    assert_false(passes(&v4, sizeof v4 - 1));
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_false(passes(&v4, sizeof v4));
    memcpy(&v6.sin6_addr, address.bytes, 16);
    assert_true(passes(&v6, sizeof v6));
    assert_false(passes(&v6, sizeof v6 - 1));
    address = address_of("::ffff:127.0.0.1");
    memcpy(&v6.sin6_addr, address.bytes, 16);
    assert_false(passes(&v6, sizeof v6));
    assert_false(passes(&local, sizeof local));
}

RUN(TEST(each_range_of_the_registries_is_for_special_use_and_what_stands_beside_it_is_not),
    TEST(behind_an_address_of_nat64_is_the_ipv4_address_in_it),
    TEST(a_guard_lets_an_allowed_network_through_and_no_other), TEST(a_guard_reads_addresses_of_sockets))
