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

/* NULL: it is in none. */
static struct connections_line *connections_line_of(struct connections *all, const struct connection *connection)
{
    const bool is_idle = connection->phase == PHASE_IDLE || connection->phase == PHASE_ENDING;
    return connection->is_refused ? &all->refused : connection->is_held ? &all->held : is_idle ? &all->idle : NULL;
}

static void connections_join_line(struct connections *all, struct connection *connection)
{
    struct connections_line *line = connections_line_of(all, connection);
    if (!line)
        return;
    connection->older = line->youngest;
    connection->younger = NULL;
    *(line->youngest ? &line->youngest->younger : &line->oldest) = connection;
    line->youngest = connection;
    line->count++;
}

static void connections_leave_line(struct connections *all, struct connection *connection)
{
    struct connections_line *line = connections_line_of(all, connection);
    if (!line)
        return;
    *(connection->older ? &connection->older->younger : &line->oldest) = connection->younger;
    *(connection->younger ? &connection->younger->older : &line->youngest) = connection->older;
    line->count--;
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

bool connections_are_full(const struct connections *all)
{
    return all->count - all->refused.count >= all->max;
}

struct connection *connection_refuse(struct connections *all, struct connection *connection)
{
    struct connection *out = all->refused.count >= CONNECTIONS_REFUSED_MAX ? all->refused.oldest : NULL;
    connections_leave_line(all, connection);
    connection->is_refused = true;
    connections_join_line(all, connection);
    return out;
}

void connection_remove(struct connections *all, struct connection *connection)
{
    *connection->link = connection->next;
    if (connection->next)
        connection->next->link = connection->link;
    if (connection->phase == PHASE_WORKING)
        all->working--;
    connections_leave_line(all, connection);
    all->count--;
    transport_close(&connection->transport);
    free(connection);
}

void connection_hold(struct connections *all, struct connection *connection, bool is_held)
{
    if (connection->is_held == is_held)
        return;
    connections_leave_line(all, connection);
    connection->is_held = is_held;
    connections_join_line(all, connection);
}

void connection_enter(struct connections *all, struct connection *connection, enum phase phase)
{
    connections_leave_line(all, connection);
    if (connection->phase == PHASE_WORKING)
        all->working--;
    if (phase == PHASE_WORKING)
        all->working++;
    else if (phase == PHASE_IDLE)
        connection->is_fresh = false;
    connection->phase = phase;
    connections_join_line(all, connection);
    connection->deadline_ms = clock_coarse_ms() + (phase == PHASE_IDLE ? all->idle_ms : all->request_ms);
}

struct connection *connection_to_spare(const struct connections *all)
{
    struct connection *each = all->idle.oldest;
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
