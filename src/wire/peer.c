/* wire/peer.c: the connection's word first, the headers' after it. */
#include "wire/peer.h"

/* Whether a proxy adds such a header. */
static bool peer_tells_of_a_proxy(struct str name)
{
    static const struct str prefix = STR_INIT("X-Forwarded-");
    return str_eq_nocase(name, STR("Forwarded")) || str_eq_nocase(name, STR("Via")) ||
           str_eq_nocase(name, STR("X-Real-IP")) ||
           (name.len > prefix.len && str_eq_nocase((struct str){ name.at, prefix.len }, prefix));
}

static bool peer_is_forwarded(struct headers headers)
{
    for (size_t i = 0; i < headers.count; i++)
        if (peer_tells_of_a_proxy(headers.at[i].name))
            return true;
    return false;
}

struct peer peer_find(const struct peer *connection, struct headers headers, const struct networks *trusted,
                      struct arena *arena)
{
    struct peer peer = *connection;
    struct address address;
    char text[INET6_ADDRSTRLEN];
    if (!peer_is_forwarded(headers))
        return peer;
    peer.is_on_this_machine = false;
    if (!address_read(connection->address, &address) || !networks_have(trusted, &address))
        return peer;
    const struct forwarded_fields fields = {
        .forwarded = headers_value(headers, arena, STR("Forwarded")),
        .x_forwarded_for = headers_value(headers, arena, STR("X-Forwarded-For")),
        .x_forwarded_proto = headers_value(headers, arena, STR("X-Forwarded-Proto")),
    };
    const struct forwarded forwarded = forwarded_read(&fields, trusted);
    peer.is_https = forwarded.is_https;
    if (forwarded.is_known && address_write(&forwarded.client, text)) {
        peer.address = arena_copy(arena, str_of(text));
        peer.is_on_this_machine = address_is_loopback(&forwarded.client);
    }
    return peer;
}
