/* redis/connection.c: RESP2 over the transport (redis/stream.c). */
#include "redis/connection.h"
#include "base/clock.h"
#include "base/random.h"
#include <stdio.h>
#include <stdlib.h>

enum { RECEIVE_ROOM = 16 * 1024, GATHER_MAX = 64 * 1024, MARK_ROOM = 64 };

struct redis_connection {
    struct stream *stream;
    struct reply_reader *reader;
    uint64_t owed;          /* replies that are still to come */
    uint64_t name, settled; /* what the next ECHO says: chance, and a number */
};

static struct err connection_out_of_step(void)
{
    return failed(ERR_UNAVAILABLE, "it sent a reply that was not asked for");
}

/* What the server says of itself stays out of our sentences: it could be anybody's. */
struct err redis_refusal(const struct reply *reply, const char *otherwise)
{
    if (reply_is_error(reply, STR("LOADING")))
        return failed(ERR_UNAVAILABLE, "it is still loading its data");
    if (reply_is_error(reply, STR("NOAUTH")))
        return failed(ERR_UNAVAILABLE, "it asks for a user and password");
    if (reply_is_error(reply, STR("WRONGPASS")))
        return failed(ERR_UNAVAILABLE, "it refused the user and password");
    if (reply_is_error(reply, STR("NOPERM")))
        return failed(ERR_UNAVAILABLE, "its user may not run a command that is needed");
    if (reply_is_error(reply, STR("MASTERDOWN")))
        return failed(ERR_UNAVAILABLE, "it has lost its master");
    return failed(ERR_UNAVAILABLE, otherwise);
}

/* What is on its way out: many small commands leave in few packets. */
struct gathered {
    struct stream *stream;
    int64_t deadline_ms;
    char *at; /* GATHER_MAX bytes */
    size_t len;
};

static struct err connection_flush(struct gathered *out)
{
    size_t len = out->len;
    out->len = 0;
    return len > 0 ? stream_send(out->stream, (struct str){ out->at, len }, out->deadline_ms) : OK;
}

static struct err connection_gather(struct gathered *out, struct str bytes)
{
    while (bytes.len > 0) {
        size_t part = bytes.len < GATHER_MAX - out->len ? bytes.len : GATHER_MAX - out->len;
        memcpy(out->at + out->len, bytes.at, part);
        out->len += part;
        bytes = (struct str){ bytes.at + part, bytes.len - part };
        if (out->len == GATHER_MAX)
            TRY(connection_flush(out));
    }
    return OK;
}

/* "*2\r\n", "$4\r\n": how many of what follows. */
static struct err connection_gather_count(struct gathered *out, char type, size_t count)
{
    char line[32];
    int len = snprintf(line, sizeof line, "%c%zu\r\n", type, count);
    return connection_gather(out, (struct str){ line, (size_t)len });
}

/* A command as Redis reads it: a list of texts (RESP). */
static struct err connection_gather_command(struct gathered *out, const struct redis_command *command)
{
    TRY(connection_gather_count(out, '*', command->count));
    for (size_t i = 0; i < command->count; i++) {
        TRY(connection_gather_count(out, '$', command->words[i].len));
        TRY(connection_gather(out, command->words[i]));
        TRY(connection_gather(out, STR("\r\n")));
    }
    return OK;
}

struct err redis_connection_send(struct redis_connection *connection, const struct redis_command *commands,
                                 size_t count, int64_t deadline_ms)
{
    if (connection->owed == 0 && !reply_reader_is_empty(connection->reader))
        return connection_out_of_step();
    struct gathered out = { connection->stream, deadline_ms, mem_alloc(GATHER_MAX), 0 };
    struct err err = OK;
    for (size_t i = 0; !err.code && i < count; i++)
        err = connection_gather_command(&out, &commands[i]);
    if (!err.code)
        err = connection_flush(&out);
    mem_wipe(out.at, GATHER_MAX); /* it may have held a password */
    free(out.at);
    connection->owed += count;
    return err;
}

static struct err connection_receive_any(struct redis_connection *connection, struct arena *arena, int64_t deadline_ms,
                                         const struct reply **out)
{
    char room[RECEIVE_ROOM];
    for (;;) {
        size_t got = 0;
        TRY(reply_next(connection->reader, arena, out));
        if (*out)
            return OK;
        TRY(stream_receive(connection->stream, room, sizeof room, deadline_ms, &got));
        TRY(reply_feed(connection->reader, (struct str){ room, got }));
    }
}

struct err redis_connection_receive(struct redis_connection *connection, struct arena *arena,
                                    const struct redis_command *answered, int64_t deadline_ms, const struct reply **out)
{
    const int64_t began_ms = clock_ms();
    TRY(connection_receive_any(connection, arena, deadline_ms, out));
    connection->owed--;
    if ((*out)->kind != REPLY_ERROR && !answered->form(answered, *out))
        return failed(ERR_UNAVAILABLE, "it sent a reply that does not fit the command");
    if ((*out)->kind == REPLY_NIL && clock_ms() - began_ms < answered->wait_ms / 2)
        return failed(ERR_UNAVAILABLE, "it does not wait when told to");
    return connection->owed > 0 || reply_reader_is_empty(connection->reader) ? OK : connection_out_of_step();
}

struct err redis_connection_ask(struct redis_connection *connection, struct arena *arena,
                                const struct redis_command *command, int64_t deadline_ms, const struct reply **out)
{
    TRY(redis_connection_send(connection, command, 1, deadline_ms));
    return redis_connection_receive(connection, arena, command, deadline_ms, out);
}

/* --- in step ----------------------------------------------------------------------------------------------------- */

static struct redis_command connection_next_echo(struct redis_connection *connection, char mark[MARK_ROOM])
{
    int len = snprintf(mark, MARK_ROOM, "token-service:%016llx:%llu", (unsigned long long)connection->name,
                       (unsigned long long)++connection->settled);
    return REDIS_COMMAND(NO_KEY, redis_form_echo, STR("ECHO"), ((struct str){ mark, (size_t)len }));
}

static struct err connection_receive_echo(struct redis_connection *connection, struct arena *arena,
                                          const struct redis_command *echo, int64_t deadline_ms)
{
    const struct reply *reply;
    TRY(redis_connection_receive(connection, arena, echo, deadline_ms, &reply));
    if (reply_is_error(reply, STR("NOPERM")))
        return failed(ERR_UNAVAILABLE, "it does not let its user run ECHO (with which every exchange ends)");
    return reply->kind == REPLY_ERROR ? redis_refusal(reply, "it refused ECHO") : OK;
}

struct err redis_connection_settle(struct redis_connection *connection, int64_t deadline_ms)
{
    AUTO(arena_release) struct arena arena = { 0 };
    char mark[MARK_ROOM];
    const struct redis_command echo = connection_next_echo(connection, mark);
    TRY(redis_connection_send(connection, &echo, 1, deadline_ms));
    return connection_receive_echo(connection, &arena, &echo, deadline_ms);
}

struct err redis_connection_converse(struct redis_connection *connection, struct arena *arena,
                                     const struct redis_command *commands, size_t count, int64_t deadline_ms,
                                     const struct reply **out)
{
    char mark[MARK_ROOM];
    struct redis_command *all = arena_alloc(arena, (count + 1) * sizeof *all);
    memcpy(all, commands, count * sizeof *all);
    all[count] = connection_next_echo(connection, mark);
    TRY(redis_connection_send(connection, all, count + 1, deadline_ms));
    for (size_t i = 0; i < count; i++)
        TRY(redis_connection_receive(connection, arena, &commands[i], deadline_ms, &out[i]));
    return connection_receive_echo(connection, arena, &all[count], deadline_ms);
}

bool redis_connection_is_good(const struct redis_connection *connection)
{
    return connection->owed == 0 && reply_reader_is_empty(connection->reader) && stream_is_quiet(connection->stream);
}

void redis_connection_close(struct redis_connection *connection)
{
    if (!connection)
        return;
    stream_close(connection->stream);
    reply_reader_free(connection->reader);
    free(connection);
}

/* --- logging in -------------------------------------------------------------------------------------------------- */

static struct err connection_log_in(struct redis_connection *connection, struct arena *arena,
                                    const struct redis_login *login, int64_t deadline_ms)
{
    const struct reply *reply;
    if (login->password[0]) {
        struct redis_command auth = REDIS_COMMAND(NO_KEY, redis_form_ok, STR("AUTH"), str_of(login->password));
        if (login->user[0]) /* Redis 6 and later; older versions have only a password */
            auth = REDIS_COMMAND(NO_KEY, redis_form_ok, STR("AUTH"), str_of(login->user), str_of(login->password));
        TRY(redis_connection_ask(connection, arena, &auth, deadline_ms, &reply));
        if (reply->kind == REPLY_ERROR)
            return redis_refusal(reply, "it refused the user and password");
    }
    if (login->db > 0) {
        const struct redis_command select = REDIS_COMMAND(NO_KEY, redis_form_ok, STR("SELECT"),
                                                          arena_printf(arena, "%d", login->db));
        TRY(redis_connection_ask(connection, arena, &select, deadline_ms, &reply));
        if (reply->kind == REPLY_ERROR)
            return redis_refusal(reply, "it has no such database");
    }
    if (!login->must_be_master)
        return OK;
    const struct redis_command role = REDIS_COMMAND(NO_KEY, redis_form_role, STR("ROLE"));
    TRY(redis_connection_ask(connection, arena, &role, deadline_ms, &reply));
    if (reply->kind == REPLY_ERROR)
        return redis_refusal(reply, "it does not say whether it is a master");
    return str_eq(reply->items[0]->text, STR("master")) ? OK : failed(ERR_UNAVAILABLE, "it is not a master");
}

struct err redis_connection_open(const struct redis_address *address, const struct redis_login *login,
                                 struct stream_tls *tls, int64_t deadline_ms, struct redis_connection **out)
{
    struct stream *stream = NULL;
    AUTO(arena_release) struct arena arena = { 0 };
    TRY(stream_open(address->host, address->port, tls, deadline_ms, &stream));
    struct redis_connection *connection = mem_alloc(sizeof *connection);
    *connection = (struct redis_connection){ .stream = stream, .reader = reply_reader_new() };
    random_bytes(&connection->name, sizeof connection->name);
    struct err err = connection_log_in(connection, &arena, login, deadline_ms);
    if (err.code) {
        redis_connection_close(connection);
        return err;
    }
    *out = connection;
    return OK;
}
