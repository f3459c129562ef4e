/* cache/cache.c: the operations as commands of Redis 6.2 or later.
 *
 * A log is a stream. It is read from the follower's last item on, including that item: if the reply does not begin with
 * it, the stream was trimmed past it or lost it with a server, so the follower knows that it has a gap. XREAD could not
 * show that. */
#include "cache/cache.h"
#include "redis/permissions.h"
#include "redis/scan.h"
#include <stdio.h>
#include <stdlib.h>

struct cache {
    struct redis *redis;
};

static struct str cache_number(struct arena *arena, int64_t value)
{
    return arena_printf(arena, "%lld", (long long)value);
}

/* SET for each; *set counts those that were set. */
static struct err cache_set_all(struct cache *cache, const struct cache_entry *entries, size_t count, bool only_new,
                                size_t *set)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct redis_command *commands = arena_alloc(&arena, (count + 1) * sizeof *commands);
    const struct reply **replies = arena_alloc(&arena, (count + 1) * sizeof(const struct reply *));
    for (size_t i = 0; i < count; i++) {
        const struct cache_entry *each = &entries[i];
        commands[i] = REDIS_COMMAND(each->key, only_new ? redis_form_set_nx : redis_form_ok, STR("SET"), each->key,
                                    each->value, STR("EX"), cache_number(&arena, cache_ttl_s(each->ttl_s)), STR("NX"));
        commands[i].count -= !only_new;
    }
    TRY(redis_run_many(cache->redis, &arena, commands, count, replies));
    *set = 0;
    for (size_t i = 0; i < count; i++)
        *set += replies[i]->kind == REPLY_STATUS;
    return OK;
}

struct err cache_put(struct cache *cache, const struct cache_entry *entries, size_t count)
{
    size_t set = 0;
    return cache_set_all(cache, entries, count, false, &set);
}

struct err cache_add(struct cache *cache, const struct cache_entry *entries, size_t count, size_t *added)
{
    return cache_set_all(cache, entries, count, true, added);
}

/* In one step, which no sequence of commands is: of two that raise a mark at once, neither may lower it. Numbers stay
 * as they are written, but where they are compared. */
static const char raise_script[] =
    "local high, last, text = ARGV[1], ARGV[2], ARGV[4] "
    "local h, l = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+) ') "
    "if h and (#h > 12 or #l > 12) then h, l = nil, nil end " /* above CACHE_MARK_MAX */
    "if h and tonumber(h) >= tonumber(high) and tonumber(l) >= tonumber(last) then return redis.status_reply('OK') end "
    "if h and tonumber(h) > tonumber(high) then high = h end "
    "if h and tonumber(l) > tonumber(last) then last = l end "
    "local ttl = math.min(2147483647, math.max(1, tonumber(last) - tonumber(ARGV[3]))) "
    "return redis.call('SET', KEYS[1], high .. ' ' .. last .. ' ' .. text, 'EX', string.format('%.0f', ttl))";

struct err cache_raise(struct cache *cache, const struct cache_mark *marks, size_t count, int64_t now_s)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct redis_command *commands = arena_alloc(&arena, (count + 1) * sizeof *commands);
    const struct reply **replies = arena_alloc(&arena, (count + 1) * sizeof(const struct reply *));
    for (size_t i = 0; i < count; i++)
        commands[i] = REDIS_COMMAND(marks[i].key, redis_form_ok, STR("EVAL"), str_of(raise_script), STR("1"),
                                    marks[i].key, cache_number(&arena, marks[i].high),
                                    cache_number(&arena, marks[i].until_s), cache_number(&arena, now_s), marks[i].text);
    return redis_run_many(cache->redis, &arena, commands, count, replies);
}

struct err cache_get(struct cache *cache, struct arena *arena, struct str key, struct str *value)
{
    const struct redis_command command = REDIS_COMMAND(key, redis_form_value, STR("GET"), key);
    const struct reply *reply;
    TRY(redis_run(cache->redis, arena, &command, &reply));
    if (reply->kind == REPLY_NIL)
        return failed(ERR_NOT_FOUND, "there is no such value");
    *value = reply->text;
    return OK;
}

struct err cache_get_all(struct cache *cache, struct arena *arena, const struct str *keys, size_t count,
                         struct str *values)
{
    struct redis_command *commands = arena_alloc(arena, (count + 1) * sizeof *commands);
    const struct reply **replies = arena_alloc(arena, (count + 1) * sizeof(const struct reply *));
    for (size_t i = 0; i < count; i++)
        commands[i] = REDIS_COMMAND(keys[i], redis_form_value, STR("GET"), keys[i]);
    TRY(redis_run_many(cache->redis, arena, commands, count, replies));
    for (size_t i = 0; i < count; i++)
        values[i] = replies[i]->kind == REPLY_NIL ? (struct str){ NULL, 0 } : replies[i]->text;
    return OK;
}

/* --- all keys ---------------------------------------------------------------------------------------------------- */

struct visitors {
    const struct cache_visitor *of;
    size_t count;
};

static const struct cache_visitor *cache_visitor_of(const struct visitors *visitors, struct str key)
{
    for (size_t i = 0; i < visitors->count; i++)
        if (str_has_prefix(key, visitors->of[i].prefix))
            return &visitors->of[i];
    return NULL;
}

static enum redis_question cache_question_of(void *context, struct str key)
{
    const struct cache_visitor *visitor = cache_visitor_of(context, key);
    if (!visitor || !visitor->wants(visitor->context, key))
        return REDIS_ASK_NOTHING;
    return visitor->holds ? REDIS_ASK_VALUE : REDIS_ASK_LIFE;
}

static void cache_show_life(void *context, struct str key, int64_t ttl_s)
{
    const struct cache_visitor *visitor = cache_visitor_of(context, key);
    visitor->each(visitor->context, key, ttl_s);
}

static void cache_show_value(void *context, struct str key, struct str value)
{
    const struct cache_visitor *visitor = cache_visitor_of(context, key);
    visitor->holds(visitor->context, key, value);
}

/* As far as the shortest prefix goes, the letters that any of them has there: "[\r\t][\e\o]*". Others' keys may fit it
 * too; cache_visitor_of() looks again. */
static struct str cache_pattern_of(struct arena *arena, const struct cache_visitor *visitors, size_t count)
{
    struct buf pattern;
    size_t len = CACHE_KEY_MAX;
    buf_init(&pattern, arena, 256, CACHE_KEY_MAX * (2 + 2 * CACHE_VISITORS_MAX) + 1);
    for (size_t i = 0; i < count; i++)
        len = visitors[i].prefix.len < len ? visitors[i].prefix.len : len;
    for (size_t at = 0; at < len; at++) {
        buf_add_char(&pattern, '[');
        for (size_t i = 0; i < count; i++) {
            buf_add_char(&pattern, '\\');
            buf_add_char(&pattern, visitors[i].prefix.at[at]);
        }
        buf_add_char(&pattern, ']');
    }
    buf_add_char(&pattern, '*');
    return buf_str(&pattern);
}

struct err cache_scan(struct cache *cache, const struct cache_visitor *visitors, size_t count)
{
    AUTO(arena_release) struct arena arena = { 0 };
    const struct str pattern = cache_pattern_of(&arena, visitors, count);
    size_t masters = 0;
    if (count == 0 || count > CACHE_VISITORS_MAX)
        return failed(ERR_INTERNAL, "a scan is for some visitors, and not for many");
    struct visitors all = { visitors, count };
    const struct redis_scan_reader reader = { &all, cache_question_of, cache_show_life, cache_show_value };
    TRY(redis_masters(cache->redis, &masters));
    uint64_t generation = redis_generation(cache->redis);
    for (size_t i = 0; i < masters; i++)
        TRY(redis_scan(cache->redis, i, pattern, &reader));
    if (generation != redis_generation(cache->redis)) /* keys may have moved past the scan */
        return failed(ERR_CONFLICT, "the Redis servers changed while their keys were read");
    return OK;
}

/* --- logs -------------------------------------------------------------------------------------------------------- */

/* An id of two numbers of 64 bits, which fits. */
static struct cache_position cache_position_of(const struct reply *id)
{
    struct cache_position position;
    size_t len = id->text.len < sizeof position.text - 1 ? id->text.len : 0;
    memcpy(position.text, id->text.at, len);
    position.text[len] = '\0';
    return position;
}

struct err cache_append(struct cache *cache, struct str log, struct str text, struct cache_position *position)
{
    AUTO(arena_release) struct arena arena = { 0 };
    const struct redis_command command = REDIS_COMMAND(log, redis_form_id, STR("XADD"), log, STR("MAXLEN"), STR("~"),
                                                       cache_number(&arena, CACHE_LOG_KEPT), STR("*"), STR("v"), text);
    const struct reply *reply;
    TRY(redis_run(cache->redis, &arena, &command, &reply));
    *position = cache_position_of(reply);
    return OK;
}

/* An item is its id and a list of names and values: ours has one, "v". Of somebody else's, the text may be anything. */
static struct cache_item cache_item_of(const struct reply *reply)
{
    const struct reply *value = reply_item(reply->items[1], 1, REPLY_TEXT);
    return (struct cache_item){ .text = value ? value->text : (struct str){ 0, 0 },
                                .position = cache_position_of(reply->items[0]) };
}

/* Until there is an item behind `from`. What the answer holds is not looked at: it only wakes us. */
static struct err cache_wait_for_item(struct redis *redis, struct arena *arena, struct str log, struct str from,
                                      int64_t wait_ms)
{
    struct redis_command wait = REDIS_COMMAND(log, redis_form_news, STR("XREAD"), STR("COUNT"), STR("1"), STR("BLOCK"),
                                              cache_number(arena, wait_ms), STR("STREAMS"), log, from);
    const struct reply *reply;
    wait.wait_ms = wait_ms;
    return redis_run(redis, arena, &wait, &reply);
}

struct err cache_read(struct cache *cache, struct arena *arena, struct str log, const struct cache_position *after,
                      int64_t wait_ms, size_t max, struct cache_item **items, size_t *count)
{
    struct redis *redis = cache->redis;
    const struct reply *reply;
    const size_t known = after->text[0] ? 1 : 0; /* the item where the follower stands comes again */
    const struct str from = known ? str_of(after->text) : STR("-");
    if (wait_ms > 0 && known)
        TRY(cache_wait_for_item(redis, arena, log, from, wait_ms));
    const struct redis_command range = REDIS_COMMAND(log, redis_form_range, STR("XRANGE"), log, from, STR("+"),
                                                     STR("COUNT"), cache_number(arena, (int64_t)(max + known)));
    TRY(redis_run(redis, arena, &range, &reply));
    if (known && (reply->count == 0 || !str_eq(reply->items[0]->items[0]->text, from)))
        return failed(ERR_NOT_FOUND, "the log does not go back that far");
    struct cache_item *found = arena_alloc(arena, (reply->count + 1) * sizeof *found);
    for (size_t i = known; i < reply->count; i++)
        found[i - known] = cache_item_of(reply->items[i]);
    *items = found;
    *count = reply->count - known;
    return OK;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

struct err cache_confirm(struct cache *cache)
{
    return redis_confirm(cache->redis);
}

uint64_t cache_generation(struct cache *cache)
{
    return redis_generation(cache->redis);
}

/* Of a server, "" for noeviction. INFO says it everywhere; CONFIG is kept from the users of a managed Redis. */
static struct err cache_read_policy(struct redis_connection *connection, int64_t deadline_ms,
                                    char policy[CACHE_POLICY_ROOM])
{
    const struct redis_command info = REDIS_COMMAND(NO_KEY, redis_form_text, STR("INFO"), STR("memory"));
    static const struct str name = STR_INIT("maxmemory_policy:");
    const struct reply *reply = NULL;
    AUTO(arena_release) struct arena arena = { 0 };
    TRY(redis_connection_converse(connection, &arena, &info, 1, deadline_ms, &reply));
    struct str rest = reply->kind == REPLY_TEXT ? reply->text : STR(""), line;
    while (str_next_item(&rest, '\n', &line)) {
        if (!str_has_prefix(line, name))
            continue;
        struct str value = { line.at + name.len, line.len - name.len };
        while (value.len > 0 && value.at[value.len - 1] == '\r')
            value.len--;
        snprintf(policy, CACHE_POLICY_ROOM, "%.*s", (int)(value.len < 31 ? value.len : 31), value.at);
        if (str_eq(value, STR("noeviction")))
            policy[0] = '\0';
        return OK;
    }
    return failed(ERR_UNAVAILABLE, "Redis does not say which policy it evicts keys by");
}

/* Of all servers that hold keys, the first that evicts any. */
struct err cache_evicts(struct cache *cache, char policy[CACHE_POLICY_ROOM])
{
    struct redis *redis = cache->redis;
    size_t masters = 0;
    policy[0] = '\0';
    TRY(redis_masters(redis, &masters));
    for (size_t i = 0; i < masters && !policy[0]; i++) {
        struct redis_loan loan;
        TRY(redis_lend(redis, i, &loan));
        struct err err = cache_read_policy(loan.connection, redis_deadline(redis), policy);
        redis_take_back(redis, &loan, err.code ? err.why : NULL);
        TRY(err);
    }
    return OK;
}

/* A write, since a replica or a full server would answer PING. */
struct err cache_check(struct cache *cache)
{
    static const struct cache_entry mark = { STR_INIT("token-service:check"), STR_INIT("1"), 60 };
    TRY(cache_put(cache, &mark, 1));
    return redis_check_permissions(cache->redis);
}

struct err cache_open(const struct settings *settings, struct cache **out)
{
    struct redis *redis = NULL;
    TRY(redis_open(settings, &redis));
    *out = mem_alloc(sizeof **out);
    (*out)->redis = redis;
    return OK;
}

void cache_close(struct cache *cache)
{
    if (!cache)
        return;
    redis_close(cache->redis);
    free(cache);
}
