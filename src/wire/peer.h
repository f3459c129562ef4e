/* wire/peer.h: who called: the other side of the connection, or, when that is a proxy that the settings trust, the
 * caller that it names. */
#ifndef WIRE_PEER_H
#define WIRE_PEER_H

#include "wire/forwarded.h"
#include "wire/headers.h"

struct peer {
    struct str address;      /* as text; the proxy's when its caller is unknown */
    bool is_on_this_machine; /* as far as can be told: not when somebody has passed the request on for a stranger */
    bool is_https;
};

/* `connection` as its socket has it. What the request says of proxies is believed only from a trusted address; from
 * another it makes no difference, but that a proxy on this machine doesn't make its callers local. */
struct peer peer_find(const struct peer *connection, struct headers headers, const struct networks *trusted,
                      struct arena *arena);

#endif
