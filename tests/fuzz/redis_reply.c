/* fuzz/redis_reply.c: what a server sends. However the bytes are cut, the same replies come of them; hiredis reads the
 * same in whatever we take; and what is read of a topology keeps its bounds. */
#include "redis/form.h"
#include "redis/topology.h"
#include "fuzz.h"
#include <hiredis/hiredis.h>

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

/* What is of a command's form can be used as its answer. */
static void check_forms(const struct reply *reply)
{
    static const struct redis_command range = {
        .words = { { "XRANGE", 6 }, { "log", 3 }, { "1-0", 3 }, { "+", 1 }, { "COUNT", 5 }, { "2", 1 } }, .count = 6
    };
    static const struct redis_command scan = { .words = { { "SCAN", 4 }, { "7", 1 } }, .count = 2 };
    if (redis_form_ok(&scan, reply))
        PROMISE(str_eq(reply->text, STR("OK")) && redis_form_set_nx(&scan, reply));
    if (redis_form_range(&range, reply)) {
        PROMISE(reply->count <= 2);
        for (size_t i = 0; i < reply->count; i++)
            PROMISE(redis_form_id(&range, reply->items[i]->items[0]) && reply->items[i]->items[1]->kind == REPLY_LIST);
    }
    if (redis_form_page(&scan, reply)) {
        PROMISE(reply->count == 2 && reply->items[0]->text.len < 21 && !str_eq(reply->items[0]->text, STR("7")));
        for (size_t i = 0; i < reply->items[1]->count; i++)
            PROMISE(reply->items[1]->items[i]->kind == REPLY_TEXT);
    }
    if (redis_form_role(&scan, reply))
        PROMISE(reply->count > 0 && reply->items[0]->kind == REPLY_TEXT);
    if (redis_form_id(&scan, reply))
        PROMISE(reply->text.len < 42);
    (void)redis_form_news(&range, reply);
    (void)redis_form_master(&range, reply);
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

/* hiredis may take more than we do (RESP3, larger lists); of what both take, it must make the same. */
static void check_same(const struct reply *ours, const redisReply *theirs)
{
    static const int types[] = {
        [REPLY_NIL] = REDIS_REPLY_NIL,        [REPLY_STATUS] = REDIS_REPLY_STATUS, [REPLY_TEXT] = REDIS_REPLY_STRING,
        [REPLY_NUMBER] = REDIS_REPLY_INTEGER, [REPLY_LIST] = REDIS_REPLY_ARRAY,    [REPLY_ERROR] = REDIS_REPLY_ERROR,
    };
    PROMISE(theirs->type == types[ours->kind]);
    if (ours->kind == REPLY_STATUS || ours->kind == REPLY_TEXT || ours->kind == REPLY_ERROR)
        PROMISE(str_eq(ours->text, (struct str){ theirs->str, (size_t)theirs->len }));
    if (ours->kind == REPLY_NUMBER)
        PROMISE(ours->number == theirs->integer);
    if (ours->kind == REPLY_LIST)
        PROMISE(ours->count == theirs->elements);
    for (size_t i = 0; ours->kind == REPLY_LIST && i < ours->count; i++)
        check_same(ours->items[i], theirs->element[i]);
}

static void check_next(redisReader *other, const struct reply *ours)
{
    void *theirs = NULL;
    PROMISE(redisReaderGetReply(other, &theirs) == REDIS_OK && theirs);
    check_same(ours, theirs);
    freeReplyObject(theirs);
}

/* All replies, written down; a step that is none feeds everything at once, and hiredis reads it as well. */
static struct str read_in_steps(struct arena *arena, struct str input, size_t step)
{
    struct reply_reader *reader = reply_reader_new();
    redisReader *other = step < input.len ? NULL : redisReaderCreate();
    struct buf out;
    struct err err = OK;
    buf_init(&out, arena, 1024, 4 * 1024 * 1024);
    if (other)
        PROMISE(redisReaderFeed(other, input.at, input.len) == REDIS_OK);
    for (size_t at = 0; !err.code && at < input.len; at += step) {
        const struct reply *reply;
        err = reply_feed(reader, (struct str){ input.at + at, input.len - at < step ? input.len - at : step });
        while (!err.code && !(err = reply_next(reader, arena, &reply)).code && reply) {
            check_topology(reply);
            check_forms(reply);
            write_reply(&out, reply);
            if (other)
                check_next(other, reply);
        }
    }
    buf_add(&out, err.code ? STR("!") : reply_reader_is_empty(reader) ? STR(".") : STR("+"));
    if (other)
        redisReaderFree(other);
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
