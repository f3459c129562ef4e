/* redis/connection.h: one connection to one Redis server, logged in: commands go out, replies come back in the same
 * order. For one thread at a time. After any ERR_UNAVAILABLE it can only be closed: what the server did with the
 * command is not known.
 *
 * RESP2 does not number replies, so an extra reply would be taken for that of the next command. So each reply must have
 * the form that fits its command, nothing may be left over, and redis_connection_converse() ends with an ECHO of a
 * random text: the replies before it count only if that text comes in its place. */
#ifndef REDIS_CONNECTION_H
#define REDIS_CONNECTION_H

#include "redis/url.h"
#include "redis/form.h"
#include "redis/stream.h"

/* The user to log in as, and what the server must be. Not copied. */
struct redis_login {
    const char *user, *password; /* "": none */
    int db;
    bool must_be_master; /* ROLE is asked */
};

/* Why a server refused, as one of our own sentences; `otherwise` for an error that says nothing that is known here. */
struct err redis_refusal(const struct reply *error, const char *otherwise);

struct redis_connection;
/* Connects, logs in, selects the database. ERR_UNAVAILABLE with a static sentence that names no secret. */
MUST_USE struct err redis_connection_open(const struct redis_address *address, const struct redis_login *login,
                                          struct stream_tls *tls, int64_t deadline_ms, struct redis_connection **out);
void redis_connection_close(struct redis_connection *connection); /* NULL allowed */
/* Whether it may still be used: nothing has come since the last reply, the end included. */
bool redis_connection_is_good(const struct redis_connection *connection);

/* Sends commands and receives their replies into the arena, out[i] for commands[i]: each in its command's form, or
 * REPLY_ERROR. */
MUST_USE struct err redis_connection_converse(struct redis_connection *connection, struct arena *arena,
                                              const struct redis_command *commands, size_t count, int64_t deadline_ms,
                                              const struct reply **out);

/* The parts of that, to send the next command before the reply to the last one is there. */
MUST_USE struct err redis_connection_send(struct redis_connection *connection, const struct redis_command *commands,
                                          size_t count, int64_t deadline_ms);
MUST_USE struct err redis_connection_receive(struct redis_connection *connection, struct arena *arena,
                                             const struct redis_command *answered, int64_t deadline_ms,
                                             const struct reply **out);
/* The ECHO at the end. */
MUST_USE struct err redis_connection_settle(struct redis_connection *connection, int64_t deadline_ms);
/* One command without it, for when nothing is believed yet. */
MUST_USE struct err redis_connection_ask(struct redis_connection *connection, struct arena *arena,
                                         const struct redis_command *command, int64_t deadline_ms,
                                         const struct reply **out);

#endif
