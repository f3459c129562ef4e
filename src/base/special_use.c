/* base/special_use.c: the registries as a table. Whole blocks, also where IANA has made a part of one reachable
 * (192.0.0.9, 2001:4:112::/48): no client has its keys there. */
#include "base/special_use.h"

static const struct {
    struct str network;
    const char *use;
} special[] = {
    { STR_INIT("0.0.0.0/8"), "this network (RFC 791)" },
    { STR_INIT("10.0.0.0/8"), "private use (RFC 1918)" },
    { STR_INIT("100.64.0.0/10"), "shared space of carriers (RFC 6598)" },
    { STR_INIT("127.0.0.0/8"), "loopback (RFC 1122)" },
    { STR_INIT("169.254.0.0/16"), "link-local (RFC 3927)" },
    { STR_INIT("172.16.0.0/12"), "private use (RFC 1918)" },
    { STR_INIT("192.0.0.0/24"), "protocol assignments (RFC 6890)" },
    { STR_INIT("192.0.2.0/24"), "documentation (RFC 5737)" },
    { STR_INIT("192.31.196.0/24"), "AS112 (RFC 7535)" },
    { STR_INIT("192.52.193.0/24"), "AMT (RFC 7450)" },
    { STR_INIT("192.88.99.0/24"), "6to4 relays (RFC 7526)" },
    { STR_INIT("192.168.0.0/16"), "private use (RFC 1918)" },
    { STR_INIT("192.175.48.0/24"), "AS112 (RFC 7534)" },
    { STR_INIT("198.18.0.0/15"), "benchmarking (RFC 2544)" },
    { STR_INIT("198.51.100.0/24"), "documentation (RFC 5737)" },
    { STR_INIT("203.0.113.0/24"), "documentation (RFC 5737)" },
    { STR_INIT("224.0.0.0/4"), "multicast (RFC 5771)" },
    { STR_INIT("240.0.0.0/4"), "reserved, or broadcast (RFC 1112, RFC 919)" },
    { STR_INIT("::"), "no address (RFC 4291)" },
    { STR_INIT("::1"), "loopback (RFC 4291)" },
    { STR_INIT("::/96"), "IPv4 in IPv6, deprecated (RFC 4291)" },
    { STR_INIT("64:ff9b:1::/48"), "NAT64 of a local network (RFC 8215)" },
    { STR_INIT("100::/64"), "discarded (RFC 6666)" },
    { STR_INIT("2001::/23"), "protocol assignments, Teredo (RFC 2928, RFC 4380)" },
    { STR_INIT("2001:db8::/32"), "documentation (RFC 3849)" },
    { STR_INIT("2002::/16"), "6to4 (RFC 3056)" },
    { STR_INIT("2620:4f:8000::/48"), "AS112 (RFC 7534)" },
    { STR_INIT("3fff::/20"), "documentation (RFC 9637)" },
    { STR_INIT("5f00::/16"), "segment routing (RFC 9602)" },
    { STR_INIT("fc00::/7"), "private use (RFC 4193)" },
    { STR_INIT("fe80::/10"), "link-local (RFC 4291)" },
    { STR_INIT("fec0::/10"), "site-local, deprecated (RFC 3879)" },
    { STR_INIT("ff00::/8"), "multicast (RFC 4291)" },
};

/* A row that can't be read has everything: nothing is let through by a slip of the pen. */
static bool special_use_has(struct str network, const struct address *address)
{
    struct networks one;
    return networks_read(network, &one) || networks_have(&one, address);
}

struct address address_behind(const struct address *address)
{
    struct address behind = *address;
    if (special_use_has(STR("64:ff9b::/96"), address)) {
        memset(behind.bytes, 0, 10);
        behind.bytes[10] = behind.bytes[11] = 0xff;
    }
    return behind;
}

const char *address_special_use(const struct address *address)
{
    const struct address behind = address_behind(address);
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        if (special_use_has(special[i].network, &behind))
            return special[i].use;
    const bool is_unicast = special_use_has(STR("0.0.0.0/0"), &behind) || special_use_has(STR("2000::/3"), &behind);
    return is_unicast ? NULL : "not global unicast (RFC 4291)";
}
