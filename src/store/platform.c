/* store/platform.c: calls of the platform's functions, and those that are about changes, leases and life. */
#include "store/platform.h"
#include "base/hex.h"
#include "base/random.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include "store/identity.h"

enum { VERSION = 9 };

/* --- arguments --------------------------------------------------------------------------------------------------- */

void platform_begin(struct buf *args, struct arena *arena)
{
    buf_init(args, arena, 512, PLATFORM_ARGS_MAX);
    buf_add_char(args, '{');
}

bool platform_can_hold(struct str text)
{
    return !str_has(text, '\0') && utf8_valid(text);
}

/* Byte by byte: a text that came this far unchecked is rare, and short. */
static struct str platform_held(struct arena *arena, struct str text)
{
    struct buf buf;
    buf_init(&buf, arena, text.len + 16, 3 * text.len + 16);
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] > 0)
            buf_add_char(&buf, text.at[i]);
        else
            buf_add(&buf, STR("\xef\xbf\xbd"));
    return buf_str(&buf);
}

void platform_put_str(struct buf *args, const char *name, struct str value)
{
    json_write_text(args, str_of(name), platform_can_hold(value) ? value : platform_held(args->arena, value));
}

void platform_put_int(struct buf *args, const char *name, int64_t value)
{
    json_write_int(args, str_of(name), value);
}

void platform_put_bool(struct buf *args, const char *name, bool value)
{
    json_write_bool(args, str_of(name), value);
}

/* --- calls ------------------------------------------------------------------------------------------------------- */

enum platform_outcome platform_outcome_of(struct str code)
{
    static const struct {
        struct str begin; /* a class is two characters, a condition five */
        enum platform_outcome outcome;
    } meanings[] = {
        { STR_INIT("40"), PLATFORM_OVERTAKEN },        /* serialization failure, deadlock */
        { STR_INIT("23503"), PLATFORM_OVERTAKEN },     /* a user or client was deleted a moment ago */
        { STR_INIT("22"), PLATFORM_REFUSED },          /* a text that the encoding can't hold, or that is too long */
        { STR_INIT("23"), PLATFORM_REFUSED },          /* a constraint */
        { STR_INIT("42883"), PLATFORM_UNMIGRATED },    /* no such function */
        { STR_INIT("42P01"), PLATFORM_UNMIGRATED },    /* no such table */
        { STR_INIT("42703"), PLATFORM_UNMIGRATED },    /* no such column */
        { STR_INIT("3F000"), PLATFORM_UNMIGRATED },    /* no such schema */
        { STR_INIT("PGRST202"), PLATFORM_UNMIGRATED }, /* not in the schema cache */
        { STR_INIT("42501"), PLATFORM_DENIED },
        { STR_INIT("28"), PLATFORM_DENIED },
        { STR_INIT("PGRST30"), PLATFORM_DENIED }, /* the key is no good */
        { STR_INIT("PGRST00"), PLATFORM_LOST },   /* no connection, pool time-out */
        { STR_INIT("08"), PLATFORM_LOST },
        { STR_INIT("57P"), PLATFORM_LOST },       /* the server is stopping, or starting */
        { STR_INIT("25006"), PLATFORM_TROUBLED }, /* a standby */
        { STR_INIT("53"), PLATFORM_TROUBLED },    /* the disk is full, no memory, too many connections */
        { STR_INIT("54"), PLATFORM_REFUSED },     /* beyond a limit of the program's */
        { STR_INIT("55"), PLATFORM_TROUBLED },    /* a lock that did not come in time */
        { STR_INIT("57"), PLATFORM_TROUBLED },    /* cancelled */
        { STR_INIT("58"), PLATFORM_TROUBLED },    /* the system below it */
        { STR_INIT("XX"), PLATFORM_TROUBLED },    /* corrupt */
    };
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
        if (str_has_prefix(code, meanings[i].begin))
            return meanings[i].outcome;
    return PLATFORM_FAILED;
}

static struct err platform_error_of(enum platform_outcome outcome, const char *why)
{
    if (outcome == PLATFORM_OK)
        return OK;
    metrics_count(COUNT_STORE_ERRORS, 1);
    if (why)
        return failed(ERR_UNAVAILABLE, why);
    if (outcome == PLATFORM_UNMIGRATED)
        return failed(ERR_UNAVAILABLE,
                      "the database lacks what this version needs: see token-service migrate --print, or --apply");
    if (outcome == PLATFORM_DENIED)
        return failed(ERR_UNAVAILABLE, "the database refuses this user or key");
    if (outcome == PLATFORM_REFUSED)
        return failed(ERR_INVALID_REQUEST, "the database can't hold this: its encoding, a length or a constraint");
    if (outcome == PLATFORM_TROUBLED)
        return failed(ERR_UNAVAILABLE, "the database is full, too busy or read-only: the log has its code");
    return failed(ERR_UNAVAILABLE, outcome == PLATFORM_LOST ? "the database did not answer" : "the database failed");
}

/* What was undone is tried again; what was lost only where doing it twice does no harm. */
static enum platform_outcome platform_call_repeated(struct platform *platform, struct arena *arena,
                                                    const char *function, struct str args, bool is_repeatable,
                                                    struct str *answer, const char **why)
{
    enum platform_outcome outcome = PLATFORM_FAILED;
    for (int i = 0; i < PLATFORM_TRIES; i++) {
        *why = NULL;
        outcome = platform->call(platform, arena, function, args, is_repeatable, answer, why);
        if (outcome != PLATFORM_OVERTAKEN)
            return outcome;
    }
    return outcome;
}

static struct err platform_verdict_of(struct str error, const char *sentence)
{
    if (error.len == 0)
        return OK;
    if (str_eq(error, STR("conflict")))
        return failed(ERR_CONFLICT, sentence);
    if (str_eq(error, STR("not_found")))
        return failed(ERR_NOT_FOUND, sentence);
    return failed(ERR_UNAVAILABLE, "the database gave a response that is not understood");
}

struct err platform_try(struct store *store, struct arena *arena, const char *function, struct buf *args,
                        enum repeatable repeatable, const char *sentence, const struct json **out,
                        enum platform_outcome *outcome)
{
    const struct json *parsed = NULL;
    const char *why = NULL;
    struct str answer;
    buf_add_char(args, '}');
    *outcome = PLATFORM_REFUSED;
    if (args->overflowed)
        return failed(ERR_TOO_LARGE, "that is too much for one record");
    *outcome = platform_call_repeated(platform_of(store), arena, function, buf_str(args),
                                      repeatable == PLATFORM_REPEATABLE, &answer, &why);
    TRY(platform_error_of(*outcome, why));
    *outcome = PLATFORM_LOST;
    if (json_parse(arena, answer, &parsed).code || parsed->kind != JSON_OBJECT) {
        LOG(LOG_ERROR, "store_answer", LOG_TEXT_("function", function));
        metrics_count(COUNT_STORE_ERRORS, 1);
        return failed(ERR_UNAVAILABLE, "the database gave a response that is not understood");
    }
    *outcome = PLATFORM_OK;
    TRY(platform_verdict_of(platform_str(parsed, "error"), sentence));
    if (out)
        *out = parsed;
    return OK;
}

struct err platform_do(struct store *store, struct arena *arena, const char *function, struct buf *args,
                       enum repeatable repeatable, const char *sentence, const struct json **out)
{
    enum platform_outcome outcome;
    return platform_try(store, arena, function, args, repeatable, sentence, out, &outcome);
}

bool platform_next_row(struct str *rest, struct str *row)
{
    return rest->len > 0 && str_next_item(rest, '\n', row);
}

struct str platform_rows(const struct json *answer)
{
    return platform_str(answer, "rows");
}

struct str platform_str(const struct json *object, const char *name)
{
    const struct json *member = json_member(object, str_of(name));
    return member && member->kind == JSON_STRING ? member->text : STR("");
}

int64_t platform_int(const struct json *object, const char *name)
{
    int64_t value = 0;
    return json_int(json_member(object, str_of(name)), INT64_MIN, INT64_MAX, &value) ? value : 0;
}

/* --- changes, leases, life --------------------------------------------------------------------------------------- */

/* Only of clients: revocations and keys are read in each round anyway. */
bool platform_has_changed(struct store *store)
{
    AUTO(arena_release) struct arena arena = { 0 };
    const struct json *answer = NULL;
    struct buf args;
    platform_begin(&args, &arena);
    if (platform_do(store, &arena, "token_service_changes", &args, PLATFORM_REPEATABLE, "", &answer).code)
        return false;
    long long now = platform_int(answer, "clients");
    return atomic_exchange(&platform_of(store)->clients, now) != now;
}

static struct err platform_lease(struct store *store, const char *function, struct str name, int64_t ttl_s)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct buf args;
    platform_begin(&args, &arena);
    platform_put_str(&args, "name", name);
    platform_put_str(&args, "holder", str_of(platform_of(store)->holder));
    platform_put_int(&args, "ttl_s", ttl_s);
    return platform_do(store, &arena, function, &args, PLATFORM_REPEATABLE, "another instance is doing it", NULL);
}

struct err platform_take_lease(struct store *store, struct str name, int64_t ttl_s)
{
    return platform_lease(store, "token_service_take_lease", name, ttl_s);
}

struct err platform_drop_lease(struct store *store, struct str name)
{
    return platform_lease(store, "token_service_drop_lease", name, 0);
}

static struct err platform_ask_version(struct store *store, struct arena *arena, const struct json **answer)
{
    struct buf args;
    platform_begin(&args, arena);
    TRY(platform_do(store, arena, "token_service_check", &args, PLATFORM_REPEATABLE, "", answer));
    return platform_int(*answer, "version") >= VERSION ? OK : platform_error_of(PLATFORM_UNMIGRATED, NULL);
}

struct err platform_now(struct store *store, int64_t *out_ms)
{
    AUTO(arena_release) struct arena arena = { 0 };
    const struct json *answer = NULL;
    TRY(platform_ask_version(store, &arena, &answer));
    *out_ms = platform_int(answer, "now_ms");
    return *out_ms > 0 ? OK : platform_error_of(PLATFORM_UNMIGRATED, NULL);
}

struct err platform_check(struct store *store)
{
    AUTO(arena_release) struct arena arena = { 0 };
    const struct json *answer = NULL;
    return platform_ask_version(store, &arena, &answer);
}

struct err platform_check_keys(struct store *store, const char *dir)
{
    AUTO(arena_release) struct arena arena = { 0 };
    const struct json *answer = NULL;
    TRY(platform_ask_version(store, &arena, &answer));
    return identity_check_shared(dir, platform_str(answer, "identity"));
}

void platform_init(struct platform *platform, const struct store_ops *ops, platform_call how)
{
    unsigned char random[16];
    random_bytes(random, sizeof random);
    platform->store.ops = ops;
    platform->call = how;
    hex_write(random, sizeof random, platform->holder);
}
