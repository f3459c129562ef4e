/* redis/url.h: REDIS_URL, taken apart. A pure function on bytes, fuzzed. */
#ifndef REDIS_URL_H
#define REDIS_URL_H

#include "base/mem.h"

enum { REDIS_HOST_ROOM = 256, REDIS_HOSTS_MAX = 16, REDIS_DB_MAX = 65535 };

struct redis_address {
    char host[REDIS_HOST_ROOM]; /* a name or an address, without brackets */
    uint16_t port;
};

static inline bool redis_address_is(const struct redis_address *a, const struct redis_address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* Holds a password: mem_wipe() it. Texts end with a NUL. */
struct redis_url {
    bool is_tls, is_sentinel;
    struct redis_address hosts[REDIS_HOSTS_MAX]; /* the server; seeds of a cluster; or Sentinels */
    size_t hosts_count;
    char user[128]; /* "": Redis's default user */
    char password[512];
    char master[128]; /* the group that the Sentinels watch */
    int db;
};

/* redis[s]://[[user]:password@]host[:port][,host[:port]…][/db]
 * redis[s]+sentinel://[[user]:password@]host[:port][,…]/group[/db]
 *
 * Ports are 6379, Sentinels' 26379; IPv6 addresses stand in brackets; user and password may be percent-encoded (RFC
 * 3986 section 2.1). NULL when *out is filled; else what is wrong, static, without a part of the URL, and *out is to be
 * wiped all the same. */
const char *redis_url_parse(struct str text, struct redis_url *out);

/* "host:port" or "[v6]:port", the port is required unless `port` is one; otherwise false, with *out untouched. */
MUST_USE bool redis_address_parse(struct str text, uint16_t port, struct redis_address *out);

#endif
