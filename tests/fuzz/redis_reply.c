/* fuzz/redis_reply.c: what a server sends. However the bytes are cut, the same replies come of them; whatever they are,
 * what is read of a topology keeps its bounds. */
#include "cache/redis_topology.h"
#include "fuzz.h"

static void check_topology(const struct reply *reply)
{
    static const struct redis_address asked = { "asked.example", 6379 };
    static struct redis_slots slots;
    struct redis_address address = { "", 0 };
    unsigned slot = 0;
    if (redis_slots_read(reply, &asked, &slots)) {
        PROMISE(slots.count >= 1 && slots.count <= REDIS_NODES_MAX);
        for (size_t i = 0; i < REDIS_SLOTS; i++)
            PROMISE(slots.node_of[i] < slots.count || slots.node_of[i] == REDIS_NO_NODE);
        for (size_t i = 0; i < slots.count; i++)
            PROMISE(slots.nodes[i].port > 0 && slots.nodes[i].host[0]);
    }
    if (redis_redirection(reply, &asked, &slot, &address) != REDIRECTION_NONE)
        PROMISE(slot < REDIS_SLOTS && address.port > 0 && address.host[0] && strlen(address.host) < REDIS_HOST_ROOM);
    if (redis_master_read(reply, &address))
        PROMISE(address.port > 0 && address.host[0] && strlen(address.host) < REDIS_HOST_ROOM);
}

/* Writes a reply so that two can be compared. */
static void write_reply(struct buf *out, const struct reply *reply)
{
    PROMISE(reply != NULL);
    buf_add_int(out, reply->kind);
    buf_add_char(out, ' ');
    buf_add_int(out, reply->kind == REPLY_LIST ? (int64_t)reply->count : reply->number);
    buf_add(out, reply->text);
    for (size_t i = 0; reply->kind == REPLY_LIST && i < reply->count; i++)
        write_reply(out, reply->items[i]);
}

static struct str read_in_steps(struct arena *arena, struct str input, size_t step)
{
    struct reply_reader *reader = reply_reader_new();
    struct buf out;
    struct err err = OK;
    buf_init(&out, arena, 1024, 4 * 1024 * 1024);
    for (size_t at = 0; !err.code && at < input.len; at += step) {
        const struct reply *reply;
        err = reply_feed(reader, (struct str){ input.at + at, input.len - at < step ? input.len - at : step });
        while (!err.code && !(err = reply_next(reader, arena, &reply)).code && reply) {
            check_topology(reply);
            write_reply(&out, reply);
        }
    }
    buf_add(&out, err.code ? STR("!") : STR("."));
    reply_reader_free(reader);
    return buf_str(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    if (size < 1)
        return 0;
    arena_init(&arena, NULL, 0);
    const struct str input = input_of(data + 1, size - 1);
    PROMISE(str_eq(read_in_steps(&arena, input, SIZE_MAX / 2), read_in_steps(&arena, input, (size_t)data[0] + 1)));
    arena_release(&arena);
    return 0;
}
