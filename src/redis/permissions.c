/* redis/permissions.c: neither a follower nor another agent takes the keys used here for revocations: their names hold
 * no hash. ECHO, INFO and ROLE are run with each connection; a server that is not in a cluster may refuse CLUSTER
 * SLOTS. */
#include "redis/permissions.h"

static const struct str revoked = STR_INIT("revoked:check"), value = STR_INIT("token-service:check:value"),
                        stream = STR_INIT("token-service:check:log");

static struct err permissions_try_all(struct redis *redis, struct arena *arena, const struct redis_command *commands,
                                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct reply *ignored;
        TRY(redis_run(redis, arena, &commands[i], &ignored));
    }
    return OK;
}

static struct err permissions_try_values(struct redis *redis, struct arena *arena)
{
    const struct redis_command commands[] = {
        /* others read these keys: none stays for longer than 1 ms */
        REDIS_COMMAND(revoked, redis_form_ok, STR("SET"), revoked, STR("1"), STR("PX"), STR("1")),
        REDIS_COMMAND(revoked, redis_form_life, STR("PTTL"), revoked),
        REDIS_COMMAND(value, redis_form_set_nx, STR("SET"), value, STR("1"), STR("EX"), STR("1"), STR("NX")),
        REDIS_COMMAND(value, redis_form_value, STR("GET"), value),
        REDIS_COMMAND(value, redis_form_ok, STR("EVAL"),
                      STR("redis.call('GET', KEYS[1]) return redis.call('SET', KEYS[1], '1', 'EX', '1')"), STR("1"),
                      value),
        REDIS_COMMAND(NO_KEY, redis_form_page, STR("SCAN"), STR("0"), STR("MATCH"), value, STR("COUNT"), STR("1")),
    };
    return permissions_try_all(redis, arena, commands, sizeof commands / sizeof *commands);
}

/* There is no such stream, and NOMKSTREAM makes none: nothing stays, and nothing has to be removed. */
static struct err permissions_try_log(struct redis *redis, struct arena *arena)
{
    const struct redis_command commands[] = {
        REDIS_COMMAND(stream, redis_form_value, STR("XADD"), stream, STR("NOMKSTREAM"), STR("MAXLEN"), STR("~"),
                      STR("10"), STR("*"), STR("v"), STR("check")),
        REDIS_COMMAND(stream, redis_form_range, STR("XRANGE"), stream, STR("-"), STR("+"), STR("COUNT"), STR("1")),
        REDIS_COMMAND(stream, redis_form_news, STR("XREAD"), STR("COUNT"), STR("1"), STR("STREAMS"), stream,
                      STR("0-0")),
    };
    return permissions_try_all(redis, arena, commands, sizeof commands / sizeof *commands);
}

struct err redis_check_permissions(struct redis *redis)
{
    AUTO(arena_release) struct arena arena = { 0 };
    TRY(permissions_try_values(redis, &arena));
    return permissions_try_log(redis, &arena);
}
