/* redis/form.c */
#include "redis/form.h"

static bool form_is_text(const struct reply *reply)
{
    return reply->kind == REPLY_TEXT;
}

static bool form_is_number_from(const struct reply *reply, int64_t least)
{
    return reply->kind == REPLY_NUMBER && reply->number >= least;
}

bool redis_form_ok(const struct redis_command *command, const struct reply *reply)
{
    (void)command;
    return reply->kind == REPLY_STATUS && str_eq(reply->text, STR("OK"));
}

bool redis_form_set_nx(const struct redis_command *command, const struct reply *reply)
{
    return reply->kind == REPLY_NIL || redis_form_ok(command, reply);
}

bool redis_form_value(const struct redis_command *command, const struct reply *reply)
{
    (void)command;
    return reply->kind == REPLY_NIL || form_is_text(reply);
}

bool redis_form_text(const struct redis_command *command, const struct reply *reply)
{
    (void)command;
    return form_is_text(reply);
}

bool redis_form_echo(const struct redis_command *command, const struct reply *reply)
{
    return form_is_text(reply) && str_eq(reply->text, command->words[1]);
}

bool redis_form_life(const struct redis_command *command, const struct reply *reply)
{
    (void)command;
    return form_is_number_from(reply, -2);
}

/* --- streams ----------------------------------------------------------------------------------------------------- */

struct stream_id {
    uint64_t ms, seq;
};

static bool form_read_part(struct str digits, uint64_t *out)
{
    *out = 0;
    if (digits.len == 0 || (digits.len > 1 && digits.at[0] == '0'))
        return false;
    for (size_t i = 0; i < digits.len; i++)
        if (!char_is_digit(digits.at[i]) || __builtin_mul_overflow(*out, 10, out) ||
            __builtin_add_overflow(*out, (uint64_t)(digits.at[i] - '0'), out))
            return false;
    return true;
}

static bool form_read_id(struct str text, struct stream_id *out)
{
    struct str ms;
    return str_cut(&text, '-', &ms) && form_read_part(ms, &out->ms) && form_read_part(text, &out->seq);
}

static bool form_is_before(struct stream_id a, struct stream_id b)
{
    return a.ms != b.ms ? a.ms < b.ms : a.seq < b.seq;
}

/* An item: its id, and names and values in turn. */
static bool form_read_item(const struct reply *item, struct stream_id *id)
{
    const struct reply *name = reply_item(item, 0, REPLY_TEXT), *fields = reply_item(item, 1, REPLY_LIST);
    if (!name || !fields || item->count != 2 || fields->count % 2 != 0 || !form_read_id(name->text, id))
        return false;
    for (size_t i = 0; i < fields->count; i++)
        if (!form_is_text(fields->items[i]))
            return false;
    return true;
}

/* `from`: "-" for any, or an id. */
static bool form_is_in_order(const struct reply *items, struct str from, size_t most)
{
    struct stream_id before = { 0, 0 }, id;
    if (items->kind != REPLY_LIST || items->count > most || (!str_eq(from, STR("-")) && !form_read_id(from, &before)))
        return false;
    for (size_t i = 0; i < items->count; i++) {
        if (!form_read_item(items->items[i], &id) || form_is_before(id, before) ||
            (i > 0 && !form_is_before(before, id)))
            return false;
        before = id;
    }
    return true;
}

bool redis_form_id(const struct redis_command *command, const struct reply *reply)
{
    struct stream_id id;
    (void)command;
    return form_is_text(reply) && form_read_id(reply->text, &id);
}

bool redis_form_range(const struct redis_command *command, const struct reply *reply)
{
    uint64_t most;
    return form_read_part(command->words[command->count - 1], &most) &&
           form_is_in_order(reply, command->words[2], (size_t)most);
}

bool redis_form_news(const struct redis_command *command, const struct reply *reply)
{
    if (reply->kind == REPLY_NIL)
        return true;
    const struct reply *stream = reply_item(reply, 0, REPLY_LIST);
    const struct reply *name = stream ? reply_item(stream, 0, REPLY_TEXT) : NULL;
    const struct reply *items = stream ? reply_item(stream, 1, REPLY_LIST) : NULL;
    return name && items && reply->count == 1 && stream->count == 2 && str_eq(name->text, command->key) &&
           items->count > 0 && form_is_in_order(items, command->words[command->count - 1], items->count);
}

/* --- servers ----------------------------------------------------------------------------------------------------- */

/* A cursor that comes again would lead round and round. */
bool redis_form_page(const struct redis_command *command, const struct reply *reply)
{
    const struct reply *next = reply_item(reply, 0, REPLY_TEXT), *keys = reply_item(reply, 1, REPLY_LIST);
    uint64_t cursor;
    if (!next || !keys || reply->count != 2 || !form_read_part(next->text, &cursor) ||
        (cursor != 0 && str_eq(next->text, command->words[1])))
        return false;
    for (size_t i = 0; i < keys->count; i++)
        if (!form_is_text(keys->items[i]))
            return false;
    return true;
}

bool redis_form_role(const struct redis_command *command, const struct reply *reply)
{
    (void)command;
    return reply_item(reply, 0, REPLY_TEXT) != NULL;
}

bool redis_form_slots(const struct redis_command *command, const struct reply *reply)
{
    (void)command;
    return reply->kind == REPLY_LIST;
}

bool redis_form_master(const struct redis_command *command, const struct reply *reply)
{
    (void)command;
    return reply->kind == REPLY_NIL ||
           (reply_item(reply, 0, REPLY_TEXT) && reply_item(reply, 1, REPLY_TEXT) && reply->count == 2);
}
