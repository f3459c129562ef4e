/* http/peer.c: the connection's word first, the headers' after it. */
#include "http/peer.h"

struct peer peer_find(const struct peer *connection, const struct head *head, const struct networks *trusted,
                      struct arena *arena)
{
    struct peer peer = *connection;
    struct address address;
    char text[INET6_ADDRSTRLEN];
    if (!head->is_forwarded)
        return peer;
    peer.is_on_this_machine = false;
    if (!address_read(connection->address, &address) || !networks_have(trusted, &address))
        return peer;
    const struct forwarded forwarded = forwarded_read(&head->forwarded, trusted);
    peer.is_https = forwarded.is_https;
    if (forwarded.is_known && address_write(&forwarded.client, text)) {
        peer.address = arena_copy(arena, str_of(text));
        peer.is_on_this_machine = address_is_loopback(&forwarded.client);
    }
    return peer;
}
