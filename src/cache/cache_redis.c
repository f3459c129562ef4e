/* cache/cache_redis.c: the operations as commands of Redis 6.2 or later.
 *
 * A log is a stream. It is read from the follower's last item on, that item included: when the answer does not begin
 * with it, the stream was trimmed past it, or lost it with a server, and the follower knows that it has a gap. XREAD
 * alone could not tell. */
#include "cache/cache.h"
#include "cache/redis_scan.h"
#include <stdlib.h>

struct cache_redis {
    struct cache cache; /* first */
    struct redis *redis;
};

static struct redis *redis_of(struct cache *cache)
{
    return ((struct cache_redis *)cache)->redis;
}

static struct str number(struct arena *arena, int64_t value)
{
    return arena_printf(arena, "%lld", (long long)value);
}

static struct err unexpected(void)
{
    return failed(ERR_UNAVAILABLE, "Redis gave an answer that its command does not have");
}

/* SET for each; *set counts those that were set. */
static struct err set_all(struct cache *cache, const struct cache_entry *entries, size_t count, bool only_new,
                          size_t *set)
{
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    struct redis_command *commands = arena_alloc(&arena, (count + 1) * sizeof *commands);
    const struct reply **replies = arena_alloc(&arena, (count + 1) * sizeof(const struct reply *));
    for (size_t i = 0; i < count; i++) {
        const struct cache_entry *each = &entries[i];
        commands[i] = REDIS_COMMAND(each->key, STR("SET"), each->key, each->value, STR("EX"),
                                    number(&arena, each->ttl_s < 1 ? 1 : each->ttl_s), STR("NX"));
        commands[i].count -= !only_new;
    }
    TRY(redis_run_many(redis_of(cache), &arena, commands, count, replies));
    *set = 0;
    for (size_t i = 0; i < count; i++)
        *set += replies[i]->kind == REPLY_TEXT;
    return OK;
}

static struct err put(struct cache *cache, const struct cache_entry *entries, size_t count)
{
    size_t set = 0;
    TRY(set_all(cache, entries, count, false, &set));
    return set == count ? OK : unexpected();
}

static struct err add(struct cache *cache, const struct cache_entry *entries, size_t count, size_t *added)
{
    return set_all(cache, entries, count, true, added);
}

/* In one step, which no sequence of commands is: of two that raise a mark at once, neither may lower it. Numbers stay
 * as they are written, but where they are compared. */
static const char raise_script[] =
    "local high, last, text = ARGV[1], ARGV[2], ARGV[4] "
    "local h, l = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+) ') "
    "if h and tonumber(h) >= tonumber(high) and tonumber(l) >= tonumber(last) then return redis.status_reply('OK') end "
    "if h and tonumber(h) > tonumber(high) then high = h end "
    "if h and tonumber(l) > tonumber(last) then last = l end "
    "local ttl = math.max(1, tonumber(last) - tonumber(ARGV[3])) "
    "return redis.call('SET', KEYS[1], high .. ' ' .. last .. ' ' .. text, 'EX', string.format('%.0f', ttl))";

static struct err raise_all(struct cache *cache, const struct cache_mark *marks, size_t count, int64_t now_s)
{
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    struct redis_command *commands = arena_alloc(&arena, (count + 1) * sizeof *commands);
    const struct reply **replies = arena_alloc(&arena, (count + 1) * sizeof(const struct reply *));
    for (size_t i = 0; i < count; i++)
        commands[i] = REDIS_COMMAND(marks[i].key, STR("EVAL"), str_of(raise_script), STR("1"), marks[i].key,
                                    number(&arena, marks[i].high), number(&arena, marks[i].until_s),
                                    number(&arena, now_s), marks[i].text);
    TRY(redis_run_many(redis_of(cache), &arena, commands, count, replies));
    for (size_t i = 0; i < count; i++)
        if (replies[i]->kind != REPLY_TEXT)
            return unexpected();
    return OK;
}

static struct err get_by(struct cache *cache, struct arena *arena, struct str verb, struct str key, struct str *value)
{
    const struct redis_command command = REDIS_COMMAND(key, verb, key);
    const struct reply *reply;
    TRY(redis_run(redis_of(cache), arena, &command, 0, &reply));
    if (reply->kind == REPLY_NIL)
        return failed(ERR_NOT_FOUND, "there is no such value");
    if (reply->kind != REPLY_TEXT)
        return unexpected();
    *value = reply->text;
    return OK;
}

static struct err get(struct cache *cache, struct arena *arena, struct str key, struct str *value)
{
    return get_by(cache, arena, STR("GET"), key, value);
}

static struct err take(struct cache *cache, struct arena *arena, struct str key, struct str *value)
{
    return get_by(cache, arena, STR("GETDEL"), key, value);
}

/* A counter is made with its end, if it isn't there. One that ends between the two commands is made anew by INCR,
 * without an end: whoever sees that gives it one; and should that fail, the next call sees it. */
static struct err count_up(struct cache *cache, struct str key, int64_t ttl_s, int64_t *value)
{
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    const struct redis_command commands[] = {
        REDIS_COMMAND(key, STR("SET"), key, STR("0"), STR("EX"), number(&arena, ttl_s < 1 ? 1 : ttl_s), STR("NX")),
        REDIS_COMMAND(key, STR("INCR"), key),
        REDIS_COMMAND(key, STR("TTL"), key),
    };
    const struct reply *replies[3];
    TRY(redis_run_many(redis_of(cache), &arena, commands, 3, replies));
    if (replies[1]->kind != REPLY_NUMBER || replies[2]->kind != REPLY_NUMBER)
        return unexpected();
    if (replies[2]->number == -1) {
        const struct redis_command end = REDIS_COMMAND(key, STR("EXPIRE"), key, number(&arena, ttl_s < 1 ? 1 : ttl_s));
        const struct reply *ignored;
        TRY(redis_run(redis_of(cache), &arena, &end, 0, &ignored));
    }
    *value = replies[1]->number;
    return OK;
}

/* --- all keys ---------------------------------------------------------------------------------------------------- */

/* As far as the shortest prefix goes, the letters that any of them has there: "[\r\t][\e\o]*". Others' keys may fit it
 * too; visitor_of() looks again. */
static struct str pattern_of(struct arena *arena, const struct cache_visitor *visitors, size_t count)
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

static struct err scan(struct cache *cache, const struct cache_visitor *visitors, size_t count)
{
    struct redis *redis = redis_of(cache);
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    const struct str pattern = pattern_of(&arena, visitors, count);
    size_t masters = 0;
    if (count == 0 || count > CACHE_VISITORS_MAX)
        return failed(ERR_INTERNAL, "a scan is for some visitors, and not for many");
    TRY(redis_masters(redis, &masters));
    uint64_t generation = redis_generation(redis);
    for (size_t i = 0; i < masters; i++)
        TRY(redis_scan(redis, i, pattern, visitors, count));
    if (generation != redis_generation(redis)) /* keys may have moved past the scan */
        return failed(ERR_CONFLICT, "the Redis servers changed while their keys were read");
    return OK;
}

/* --- logs -------------------------------------------------------------------------------------------------------- */

static bool read_position(const struct reply *id, struct cache_position *out)
{
    if (!id || id->text.len == 0 || id->text.len >= CACHE_POSITION_ROOM)
        return false;
    memcpy(out->text, id->text.at, id->text.len);
    out->text[id->text.len] = '\0';
    return true;
}

static struct err append(struct cache *cache, struct str log, struct str text, struct cache_position *position)
{
    AUTO(arena_release) struct arena arena;
    arena_init(&arena, NULL, 0);
    const struct redis_command command = REDIS_COMMAND(log, STR("XADD"), log, STR("MAXLEN"), STR("~"),
                                                       number(&arena, CACHE_LOG_KEPT), STR("*"), STR("v"), text);
    const struct reply *reply;
    TRY(redis_run(redis_of(cache), &arena, &command, 0, &reply));
    return reply->kind == REPLY_TEXT && read_position(reply, position) ? OK : unexpected();
}

/* An item is its id and a list of names and values: ours has one, "v". */
static bool read_item(const struct reply *reply, struct cache_item *out)
{
    const struct reply *fields = reply_item(reply, 1, REPLY_LIST);
    const struct reply *value = fields ? reply_item(fields, 1, REPLY_TEXT) : NULL;
    out->text = value ? value->text : (struct str){ 0, 0 }; /* somebody else's: it says nothing to us */
    return read_position(reply_item(reply, 0, REPLY_TEXT), &out->position);
}

static struct err read_log(struct cache *cache, struct arena *arena, struct str log, const struct cache_position *after,
                           int64_t wait_ms, size_t max, struct cache_item **items, size_t *count)
{
    struct redis *redis = redis_of(cache);
    const struct reply *reply;
    const size_t known = after->text[0] ? 1 : 0; /* the item where the follower stands comes again */
    const struct str from = known ? str_of(after->text) : STR("-");
    if (wait_ms > 0 && known) { /* what it answers is not looked at: it only wakes us */
        const struct redis_command wait = REDIS_COMMAND(log, STR("XREAD"), STR("COUNT"), STR("1"), STR("BLOCK"),
                                                        number(arena, wait_ms), STR("STREAMS"), log, from);
        TRY(redis_run(redis, arena, &wait, wait_ms, &reply));
    }
    const struct redis_command range = REDIS_COMMAND(log, STR("XRANGE"), log, from, STR("+"), STR("COUNT"),
                                                     number(arena, (int64_t)(max + known)));
    TRY(redis_run(redis, arena, &range, 0, &reply));
    if (reply->kind != REPLY_LIST)
        return unexpected();
    const struct reply *first = reply->count > 0 ? reply_item(reply->items[0], 0, REPLY_TEXT) : NULL;
    if (known && (!first || !str_eq(first->text, from)))
        return failed(ERR_NOT_FOUND, "the log does not go back that far");
    struct cache_item *found = arena_alloc(arena, (reply->count + 1) * sizeof *found);
    for (size_t i = known; i < reply->count; i++)
        if (!read_item(reply->items[i], &found[i - known]))
            return unexpected();
    *items = found;
    *count = reply->count - known;
    return OK;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

static uint64_t generation(struct cache *cache)
{
    return redis_generation(redis_of(cache));
}

/* A write, since a replica or a full server would answer PING. */
static struct err check(struct cache *cache)
{
    static const struct cache_entry mark = { { "token-service:check", 19 }, { "1", 1 }, 60 };
    return put(cache, &mark, 1);
}

static void close_redis(struct cache *cache)
{
    redis_close(redis_of(cache));
    free(cache);
}

static const struct cache_ops redis_ops = {
    .name = "redis",
    .is_shared = true,
    .put = put,
    .add = add,
    .raise = raise_all,
    .get = get,
    .take = take,
    .count = count_up,
    .scan = scan,
    .append = append,
    .read = read_log,
    .generation = generation,
    .check = check,
    .close = close_redis,
};

struct err cache_redis_open(const struct settings *settings, struct cache **out)
{
    struct redis *redis = NULL;
    TRY(redis_open(settings->redis_url, settings->redis_ca_file, settings->redis_timeout_s * 1000, &redis));
    struct cache_redis *cache = mem_alloc(sizeof *cache);
    *cache = (struct cache_redis){ .cache.ops = &redis_ops, .redis = redis };
    *out = &cache->cache;
    return OK;
}
