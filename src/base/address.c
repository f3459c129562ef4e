/* base/address.c: all addresses are 128 bits, so that one comparison serves both kinds. */
#include "base/address.h"
#include <arpa/inet.h>

enum { MAPPED_BYTES = 12, MAPPED_BITS = 96, BITS = 128 };
static const unsigned char mapped[MAPPED_BYTES] = { [10] = 0xff, [11] = 0xff };

static bool address_is_v4(const struct address *address)
{
    return memcmp(address->bytes, mapped, MAPPED_BYTES) == 0;
}

bool address_read(struct str text, struct address *out)
{
    char terminated[INET6_ADDRSTRLEN + 1] = { 0 };
    if (text.len == 0 || text.len >= sizeof terminated || str_has(text, '\0'))
        return false;
    memcpy(terminated, text.at, text.len);
    memcpy(out->bytes, mapped, MAPPED_BYTES);
    return inet_pton(AF_INET, terminated, out->bytes + MAPPED_BYTES) == 1 ||
           inet_pton(AF_INET6, terminated, out->bytes) == 1;
}

const char *address_write(const struct address *address, char to[INET6_ADDRSTRLEN])
{
    const bool v4 = address_is_v4(address);
    return inet_ntop(v4 ? AF_INET : AF_INET6, address->bytes + (v4 ? MAPPED_BYTES : 0), to, INET6_ADDRSTRLEN);
}

bool address_is_loopback(const struct address *address)
{
    static const unsigned char loopback[16] = { [15] = 1 };
    return address_is_v4(address) ? address->bytes[MAPPED_BYTES] == 127 : memcmp(address->bytes, loopback, 16) == 0;
}

/* Whether two addresses have the same first `bits`. */
static bool address_same_bits(const struct address *a, const struct address *b, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a->bytes, b->bytes, whole) != 0)
        return false;
    return rest == 0 || ((a->bytes[whole] ^ b->bytes[whole]) >> (8 - rest)) == 0;
}

/* Only digits, at most `max`. */
static bool address_read_bits(struct str text, unsigned max, unsigned *out)
{
    int64_t bits = 0;
    if (!str_number(text, max, &bits) || (text.at[0] == '0' && text.len > 1))
        return false;
    *out = (unsigned)bits;
    return true;
}

static const char *address_read_network(struct str text, struct network *out)
{
    struct str bits = text, base;
    bool has_bits = str_cut(&bits, '/', &base);
    if (!address_read(has_bits ? base : text, &out->base))
        return "a network's address is malformed";
    const bool v4 = address_is_v4(&out->base) && !str_has(has_bits ? base : text, ':');
    out->bits = v4 ? BITS - MAPPED_BITS : BITS;
    if (has_bits && !address_read_bits(bits, out->bits, &out->bits))
        return "a network's prefix length is out of range";
    out->bits += v4 ? MAPPED_BITS : 0;
    struct address rest = out->base;
    for (unsigned bit = out->bits; bit < BITS; bit++)
        rest.bytes[bit / 8] &= (unsigned char)~(0x80u >> bit % 8);
    return memcmp(&rest, &out->base, sizeof rest) == 0 ? NULL
                                                       : "a network's address has bits set beyond its prefix length";
}

const char *networks_read(struct str list, struct networks *out)
{
    struct str one;
    const char *fault = NULL;
    out->count = 0;
    while (!fault && str_next_item(&list, ',', &one)) {
        if (out->count == NETWORKS_MAX)
            return "the list is too long";
        fault = address_read_network(str_trim(one), &out->of[out->count++]);
    }
    return fault;
}

bool networks_have(const struct networks *networks, const struct address *address)
{
    for (size_t i = 0; i < networks->count; i++) {
        const struct network *network = &networks->of[i];
        if ((network->bits >= MAPPED_BITS || !address_is_v4(address)) &&
            address_same_bits(&network->base, address, network->bits))
            return true;
    }
    return false;
}
