/* cache/redis_connection.h: one connection to one Redis server, logged in: commands go out, replies come back in the
 * same order. For one thread at a time. After any ERR_UNAVAILABLE it is good for closing alone: what the server did
 * with the command is not known. */
#ifndef CACHE_REDIS_CONNECTION_H
#define CACHE_REDIS_CONNECTION_H

#include "base/redis_url.h"
#include "cache/redis_reply.h"
#include "net/stream.h"

enum { REDIS_WORDS_MAX = 16 };
struct redis_command {
    struct str words[REDIS_WORDS_MAX]; /* "SET", key, value, … */
    size_t count;
    struct str key; /* what it works on: decides the node of a cluster. None: any node */
};
#define NO_KEY ((struct str){ 0, 0 })
#define REDIS_COMMAND(the_key, ...)                                                                                    \
    ((struct redis_command){ .words = { __VA_ARGS__ },                                                                 \
                             .count = sizeof((struct str[]){ __VA_ARGS__ }) / sizeof(struct str),                      \
                             .key = (the_key) })

/* As whom to log in, and what the server must be. Not copied. */
struct redis_login {
    const char *user, *password; /* "": none */
    int db;
    bool must_be_master; /* ROLE is asked */
};

struct redis_connection;
/* Connects, logs in, selects the database. ERR_UNAVAILABLE with a static sentence that names no secret. */
MUST_USE struct err redis_connection_open(const struct redis_address *address, const struct redis_login *login,
                                          struct stream_tls *tls, int64_t deadline_ms, struct redis_connection **out);
void redis_connection_close(struct redis_connection *connection); /* NULL allowed */
/* Whether it may still be used: nothing has come since the last reply, the end included. */
bool redis_connection_is_good(const struct redis_connection *connection);

MUST_USE struct err redis_connection_send(struct redis_connection *connection, const struct redis_command *commands,
                                          size_t count, int64_t deadline_ms);
/* The next reply in the arena; REPLY_ERROR is a reply. */
MUST_USE struct err redis_connection_receive(struct redis_connection *connection, struct arena *arena,
                                             int64_t deadline_ms, const struct reply **out);
/* Both, for one command. */
MUST_USE struct err redis_connection_ask(struct redis_connection *connection, struct arena *arena,
                                         const struct redis_command *command, int64_t deadline_ms,
                                         const struct reply **out);

#endif
