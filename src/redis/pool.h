/* redis/pool.h: connections to Redis servers, kept for the next caller that needs one. Thread-safe. It also remembers
 * each server's state (backoff after failures) and which process it is: a server that restarted may have lost what it
 * had acknowledged. */
#ifndef REDIS_POOL_H
#define REDIS_POOL_H

#include "redis/connection.h"

/* What failed where, with the setting that leads there. */
struct err redis_failed(const struct redis_address *address, const char *why);

struct redis_pool;
/* `login` and `tls` (NULL: plain) must outlive it. */
struct redis_pool *redis_pool_new(const struct redis_login *login, struct stream_tls *tls);
void redis_pool_free(struct redis_pool *pool); /* NULL allowed; every connection must be back */

/* A working connection to that server; ERR_UNAVAILABLE at once during the backoff after a failure. */
MUST_USE struct err redis_pool_take(struct redis_pool *pool, const struct redis_address *address, int64_t deadline_ms,
                                    struct redis_connection **out);
/* `why`: NULL when all went well, else the connection is closed, with all others to that server that wait here. */
void redis_pool_give_back(struct redis_pool *pool, const struct redis_address *address,
                          struct redis_connection *connection, const char *why);
/* Closes what waits here for that server: it is no longer the one to talk to. */
void redis_pool_drop(struct redis_pool *pool, const struct redis_address *address);
/* Grows whenever a server shows itself as a process that has not been talked to before. */
uint64_t redis_pool_generation(const struct redis_pool *pool);
/* The end of the backoff after one more failure in a row, in ms: partly random, so that instances do not all come back
 * at once. */
int64_t redis_backoff_ms(unsigned failures, uint64_t chance);

#endif
