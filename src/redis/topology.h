/* redis/topology.h: what servers say of where data lies: MOVED and ASK, CLUSTER SLOTS, Sentinel. Pure functions
 * over replies, which anybody may have sent. Fuzzed with redis_reply. */
#ifndef REDIS_TOPOLOGY_H
#define REDIS_TOPOLOGY_H

#include "redis/url.h"
#include "redis/reply.h"
#include "redis/slot.h"

enum { REDIS_NODES_MAX = 128, REDIS_NO_NODE = 255 };

/* The masters of a cluster, and which of them has each slot. */
struct redis_slots {
    struct redis_address nodes[REDIS_NODES_MAX];
    size_t count;
    uint8_t node_of[REDIS_SLOTS]; /* REDIS_NO_NODE: nobody */
};
_Static_assert(REDIS_NODES_MAX < REDIS_NO_NODE, "a node's number is one byte");

/* Reads a reply to CLUSTER SLOTS. `asked` is the node that sent it: a node that does not know its own address names
 * itself "", which means `asked`. False, with *out undefined, when it is not such a reply or names no master. */
MUST_USE bool redis_slots_read(const struct reply *reply, const struct redis_address *asked, struct redis_slots *out);
/* The number of a node, added when it is new; REDIS_NO_NODE when there are too many. */
unsigned redis_slots_node(struct redis_slots *slots, const struct redis_address *address);

enum redirection { REDIRECTION_NONE, REDIRECTION_MOVED, REDIRECTION_ASK };
/* "MOVED 3999 127.0.0.1:6381", "ASK 3999 [::1]:6381"; `asked` as above. */
enum redirection redis_redirection(const struct reply *reply, const struct redis_address *asked, unsigned *slot,
                                   struct redis_address *out);

/* A reply to SENTINEL get-master-addr-by-name: a list of host and port. */
MUST_USE bool redis_master_read(const struct reply *reply, struct redis_address *out);

#endif
