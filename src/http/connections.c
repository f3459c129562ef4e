/* http/connections.c: a list, the deadlines in it, and the line of those that could be spared. */
#include "http/connections.h"
#include "base/clock.h"
#include <arpa/inet.h>
#include <stdlib.h>

enum { SPARE_TRIES = 16 };

static void connections_name_peer(struct connection *connection, const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;
        memcpy(&v4, address, sizeof v4);
        inet_ntop(AF_INET, &v4.sin_addr, connection->peer, sizeof connection->peer);
        connection->peer_is_loopback = (ntohl(v4.sin_addr.s_addr) >> 24) == 127;
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;
        memcpy(&v6, address, sizeof v6);
        const unsigned char *bytes = v6.sin6_addr.s6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr);
        inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? bytes + 12 : bytes, connection->peer, sizeof connection->peer);
        connection->peer_is_loopback = mapped ? bytes[12] == 127 : IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    }
}

static bool connections_is_in_line(const struct connection *connection)
{
    return connection->phase == PHASE_IDLE || connection->phase == PHASE_ENDING;
}

static void connections_join_line(struct connections *all, struct connection *connection)
{
    connection->older = all->youngest;
    connection->younger = NULL;
    *(all->youngest ? &all->youngest->younger : &all->oldest) = connection;
    all->youngest = connection;
}

static void connections_leave_line(struct connections *all, struct connection *connection)
{
    *(connection->older ? &connection->older->younger : &all->oldest) = connection->younger;
    *(connection->younger ? &connection->younger->older : &all->youngest) = connection->older;
}

struct connection *connection_add(struct connections *all, int fd, struct tls *tls, const struct sockaddr *address)
{
    struct connection *connection = mem_alloc(sizeof *connection);
    *connection = (struct connection){ .is_fresh = true, .next = all->first, .link = &all->first };
    if (!transport_open(&connection->transport, fd, tls)) {
        free(connection);
        return NULL;
    }
    connections_name_peer(connection, address);
    if (all->first)
        all->first->link = &connection->next;
    all->first = connection;
    all->count++;
    connections_join_line(all, connection);
    connection->deadline_ms = clock_coarse_ms() + all->request_ms;
    return connection;
}

void connection_remove(struct connections *all, struct connection *connection)
{
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    if (connection->phase == PHASE_WORKING)
        all->working--;
    if (connections_is_in_line(connection))
        connections_leave_line(all, connection);
    all->count--;
    transport_close(&connection->transport);
    free(connection);
}

void connection_enter(struct connections *all, struct connection *connection, enum phase phase)
{
    if (connections_is_in_line(connection))
        connections_leave_line(all, connection);
    if (connection->phase == PHASE_WORKING)
        all->working--;
    if (phase == PHASE_WORKING)
        all->working++;
    else if (phase == PHASE_IDLE)
        connection->is_fresh = false;
    connection->phase = phase;
    if (connections_is_in_line(connection))
        connections_join_line(all, connection);
    connection->deadline_ms = clock_coarse_ms() + (phase == PHASE_IDLE ? all->idle_ms : all->request_ms);
}

struct connection *connection_to_spare(const struct connections *all)
{
    struct connection *each = all->oldest;
    for (size_t i = 0; each && i < SPARE_TRIES; i++, each = each->younger)
        if (each->phase == PHASE_ENDING || (!each->exchange && !transport_has_more(&each->transport)))
            return each;
    return NULL;
}

bool connection_is_overdue(const struct connection *connection, int64_t now_ms, bool idle_too)
{
    enum phase phase = connection->phase;
    if (phase == PHASE_WORKING)
        return false;
    return now_ms >= connection->deadline_ms || (idle_too && (phase == PHASE_IDLE || phase == PHASE_ENDING));
}
