/* redis/topology.c: an address that can't be one is passed over, and what is left decides. */
#include "redis/topology.h"
#include "base/settings_rows.h"

unsigned redis_slots_node(struct redis_slots *slots, const struct redis_address *address)
{
    for (size_t i = 0; i < slots->count; i++)
        if (redis_address_is(&slots->nodes[i], address))
            return (unsigned)i;
    if (slots->count == REDIS_NODES_MAX)
        return REDIS_NO_NODE;
    slots->nodes[slots->count] = *address;
    return (unsigned)slots->count++;
}

/* Host and port apart, as CLUSTER SLOTS and Sentinel have them. */
static bool topology_read_address(struct str host, int64_t port, const struct redis_address *asked,
                                  struct redis_address *out)
{
    if (host.len == 0 && asked)
        host = str_of(asked->host);
    if (port < 1 || port > 65535 || host.len == 0 || host.len >= REDIS_HOST_ROOM)
        return false;
    for (size_t i = 0; i < host.len; i++)
        if (host.at[i] <= ' ' || host.at[i] > '~')
            return false;
    memcpy(out->host, host.at, host.len);
    out->host[host.len] = '\0';
    out->port = (uint16_t)port;
    return true;
}

/* One range: first slot, last slot, the master (host, port, …), its replicas. */
static void topology_read_range(const struct reply *range, const struct redis_address *asked, struct redis_slots *out)
{
    const struct reply *first = reply_item(range, 0, REPLY_NUMBER), *last = reply_item(range, 1, REPLY_NUMBER);
    const struct reply *master = reply_item(range, 2, REPLY_LIST);
    struct redis_address address;
    if (!first || !last || !master || first->number < 0 || last->number >= REDIS_SLOTS || first->number > last->number)
        return;
    const struct reply *host = reply_item(master, 0, REPLY_TEXT), *port = reply_item(master, 1, REPLY_NUMBER);
    const bool is_unnamed = reply_item(master, 0, REPLY_NIL) != NULL; /* Redis 7: a host that nobody knows */
    if (!port || (!host && !is_unnamed) ||
        !topology_read_address(host ? host->text : (struct str){ 0, 0 }, port->number, asked, &address))
        return;
    unsigned node = redis_slots_node(out, &address);
    for (int64_t slot = first->number; slot <= last->number; slot++)
        out->node_of[slot] = (uint8_t)node;
}

bool redis_slots_read(const struct reply *reply, const struct redis_address *asked, struct redis_slots *out)
{
    out->count = 0;
    memset(out->node_of, REDIS_NO_NODE, sizeof out->node_of);
    if (reply->kind != REPLY_LIST)
        return false;
    for (size_t i = 0; i < reply->count; i++)
        topology_read_range(reply->items[i], asked, out);
    return out->count > 0;
}

enum redirection redis_redirection(const struct reply *reply, const struct redis_address *asked, unsigned *slot,
                                   struct redis_address *out)
{
    struct str rest = reply->text, word, number;
    int64_t value;
    if (reply->kind != REPLY_ERROR || !str_cut(&rest, ' ', &word) || !str_cut(&rest, ' ', &number) ||
        !settings_number(number, 0, REDIS_SLOTS - 1, &value))
        return REDIRECTION_NONE;
    bool is_moved = str_eq(word, STR("MOVED"));
    if (!is_moved && !str_eq(word, STR("ASK")))
        return REDIRECTION_NONE;
    int64_t port;
    if (rest.len > 1 && rest.at[0] == ':' &&
        settings_number((struct str){ rest.at + 1, rest.len - 1 }, 1, 65535, &port)) {
        *out = *asked; /* ":6381": the same host */
        out->port = (uint16_t)port;
    } else if (!redis_address_parse(rest, 0, out)) {
        return REDIRECTION_NONE;
    }
    *slot = (unsigned)value;
    return is_moved ? REDIRECTION_MOVED : REDIRECTION_ASK;
}

bool redis_master_read(const struct reply *reply, struct redis_address *out)
{
    const struct reply *host = reply_item(reply, 0, REPLY_TEXT), *port = reply_item(reply, 1, REPLY_TEXT);
    int64_t number;
    return host && port && settings_number(port->text, 1, 65535, &number) &&
           topology_read_address(host->text, number, NULL, out);
}
