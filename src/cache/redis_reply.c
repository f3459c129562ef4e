/* cache/redis_reply.c: hiredis 0.14 calls back for each thing it has read; a callback that answers NULL ends the
 * reading with an error, which is how sizes are bounded. It would make room for any list that is announced, so that one
 * line of ten bytes could cost gigabytes. */
#include "cache/redis_reply.h"
#include <hiredis/hiredis.h>
#include <stdlib.h>

struct reply_reader {
    redisReader *reader;
    struct arena *arena; /* of the call that runs */
    size_t items;        /* of the reply that is being read */
};

static struct reply *make(const redisReadTask *task, enum reply_kind kind)
{
    const struct reply_reader *reader = task->privdata;
    struct reply *reply = arena_zalloc(reader->arena, sizeof *reply);
    reply->kind = kind;
    if (task->parent) {
        struct reply *parent = task->parent->obj;
        parent->items[task->idx] = reply;
    }
    return reply;
}

static void *make_text(const redisReadTask *task, char *at, size_t len)
{
    const struct reply_reader *reader = task->privdata;
    struct reply *reply = make(task, task->type == REDIS_REPLY_ERROR ? REPLY_ERROR : REPLY_TEXT);
    reply->text = arena_copy(reader->arena, (struct str){ at, len });
    return reply;
}

static void *make_list(const redisReadTask *task, int count)
{
    struct reply_reader *reader = task->privdata;
    if (count < 0 || (size_t)count > REPLY_ITEMS_MAX - reader->items)
        return NULL;
    reader->items += (size_t)count;
    struct reply *reply = make(task, REPLY_LIST);
    reply->items = arena_zalloc(reader->arena, ((size_t)count + 1) * sizeof(struct reply *));
    reply->count = (size_t)count;
    return reply;
}

static void *make_number(const redisReadTask *task, long long number)
{
    struct reply *reply = make(task, REPLY_NUMBER);
    reply->number = number;
    return reply;
}

static void *make_nil(const redisReadTask *task)
{
    return make(task, REPLY_NIL);
}

static void leave_to_the_arena(void *reply)
{
    (void)reply;
}

static redisReplyObjectFunctions functions = { make_text, make_list, make_number, make_nil, leave_to_the_arena };

struct reply_reader *reply_reader_new(void)
{
    struct reply_reader *reader = mem_alloc(sizeof *reader);
    *reader = (struct reply_reader){ .reader = redisReaderCreateWithFunctions(&functions) };
    if (!reader->reader)
        abort(); /* as mem_alloc() does */
    reader->reader->privdata = reader;
    return reader;
}

void reply_reader_free(struct reply_reader *reader)
{
    if (!reader)
        return;
    redisReaderFree(reader->reader);
    free(reader);
}

struct err reply_feed(struct reply_reader *reader, struct str bytes)
{
    if (reader->reader->len - reader->reader->pos + bytes.len > REPLY_BYTES_MAX)
        return failed(ERR_UNAVAILABLE, "the answer is too large");
    if (redisReaderFeed(reader->reader, bytes.at, bytes.len) != REDIS_OK)
        return failed(ERR_UNAVAILABLE, "the answer is not Redis's protocol");
    return OK;
}

struct err reply_next(struct reply_reader *reader, struct arena *arena, const struct reply **out)
{
    void *reply = NULL;
    reader->arena = arena;
    *out = NULL;
    if (redisReaderGetReply(reader->reader, &reply) != REDIS_OK)
        return failed(ERR_UNAVAILABLE, "the answer is not Redis's protocol, or too large");
    if (reply)
        reader->items = 0;
    *out = reply;
    return OK;
}

const struct reply *reply_item(const struct reply *list, size_t at, enum reply_kind kind)
{
    if (list->kind != REPLY_LIST || at >= list->count || list->items[at]->kind != kind)
        return NULL;
    return list->items[at];
}

bool reply_is_error(const struct reply *reply, struct str word)
{
    return reply->kind == REPLY_ERROR && str_has_prefix(reply->text, word) &&
           (reply->text.len == word.len || reply->text.at[word.len] == ' ');
}
