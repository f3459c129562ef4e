/* redis/redis.h: a Redis: one server, a cluster, or whatever server Sentinels name as the master. Finds where a command
 * belongs, follows MOVED and ASK, and keeps time. Blocking, thread-safe; never on an event loop. */
#ifndef REDIS_REDIS_H
#define REDIS_REDIS_H

#include "base/settings.h"
#include "redis/connection.h"

struct redis;
/* As the settings say, which must outlive it. Nothing is connected yet. ERR_INVALID_REQUEST: the URL, or a file for
 * TLS.
 */
MUST_USE struct err redis_open(const struct settings *settings, struct redis **out);
void redis_close(struct redis *redis); /* NULL allowed */

/* One command, its reply in the arena: in the command's form, never REPLY_ERROR. The time limit comes on top of what
 * the command itself may wait. ERR_UNAVAILABLE: it may have been carried out or not. */
MUST_USE struct err redis_run(struct redis *redis, struct arena *arena, const struct redis_command *command,
                              const struct reply **out);
/* Many, each server's share at once; out[i] is the reply to commands[i]. On failure some may have been carried out. */
MUST_USE struct err redis_run_many(struct redis *redis, struct arena *arena, const struct redis_command *commands,
                                   size_t count, const struct reply **out);
/* For work on all keys: the number of servers that hold them. The number changes with the cluster: a scan whose
 * `generation` changed has to begin again. */
MUST_USE struct err redis_masters(struct redis *redis, size_t *count);
/* A connection to the i-th of them, only for the caller, who gives it back. `why`: NULL when every command has got its
 * reply; otherwise the connection is closed, and the topology is read again. */
struct redis_loan {
    struct redis_address address;
    struct redis_connection *connection;
};
MUST_USE struct err redis_lend(struct redis *redis, size_t master, struct redis_loan *out);
void redis_take_back(struct redis *redis, const struct redis_loan *loan, const char *why);
/* Until when, on clock_ms(), what is sent now must have been answered. */
int64_t redis_deadline(const struct redis *redis);
/* After a write that others must find: whether it went to the master that the Sentinels name now. ERR_UNAVAILABLE:
 * another, which is found with the next command; or, under TOKEN_REVOCATION_POLICY `strict`, not by more than half of
 * those in REDIS_URL. Many callers at once are answered by one look. OK, without a look, where there are no Sentinels.
 */
MUST_USE struct err redis_confirm(struct redis *redis);
/* Grows whenever a server that holds data may have lost some of it, or another server has taken its place. */
uint64_t redis_generation(const struct redis *redis);

#endif
