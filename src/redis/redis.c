/* redis/redis.c: the topology is read when it is first needed, and again after each failure that another server might
 * not have. One thread reads it at a time; the others wait for the result. A master that was paused or cut off does not
 * fail for clients that were cut off with it, and accepts writes until it learns of its successor: so a write that
 * others must see is confirmed with the Sentinels afterwards. */
#include "redis/redis.h"
#include "base/clock.h"
#include "base/sentence.h"
#include "redis/pool.h"
#include "redis/topology.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { REDIRECTIONS_MAX = 5, PIPELINE_MAX = 512 };

struct redis {
    struct redis_url url;
    struct redis_login login, sentinel_login;
    struct stream_tls *tls;
    int64_t timeout_ms;
    bool needs_majority; /* of the Sentinels; else of those that answer */
    struct redis_pool *pool;
    pthread_mutex_t locating; /* held while servers are asked where data lies; of what follows */
    struct redis_connection *sentinels[REDIS_HOSTS_MAX]; /* NULL: not connected */
    int64_t confirm_began_ns;                            /* the last one's, and what came of it */
    struct err confirmed;
    pthread_mutex_t lock; /* of what follows */
    bool is_located, is_cluster;
    struct redis_slots *slots; /* of a cluster; otherwise only nodes[0] */
    atomic_ullong moves;       /* how often the set of masters changed */
};

static struct err redis_unusable(const char *setting, const char *path, struct err err)
{
    return failed(ERR_INVALID_REQUEST, sentence_keep("Redis can't be used", "%s (%s): %s", setting, path, err.why));
}

static struct err redis_open_tls(const struct settings *settings, struct stream_tls **out)
{
    struct err err = stream_tls_open(settings->redis_ca_file, out);
    if (err.code)
        return redis_unusable("REDIS_CA_FILE", settings->redis_ca_file, err);
    if (!settings->redis_cert_file[0])
        return OK;
    err = stream_tls_present(*out, settings->redis_cert_file, settings->redis_key_file);
    return err.code ? redis_unusable("REDIS_CERT_FILE, REDIS_KEY_FILE", settings->redis_cert_file, err) : OK;
}

struct err redis_open(const struct settings *settings, struct redis **out)
{
    struct redis *redis = mem_alloc(sizeof *redis);
    *redis = (struct redis){ .timeout_ms = settings->redis_timeout_s * 1000,
                             .needs_majority = settings->revocation_policy == POLICY_STRICT };
    const char *fault = redis_url_parse(str_of(settings->redis_url), &redis->url);
    struct err err = fault ? failed(ERR_INVALID_REQUEST, fault) : OK;
    if (!err.code && redis->url.is_tls)
        err = redis_open_tls(settings, &redis->tls);
    if (err.code) {
        stream_tls_close(redis->tls);
        mem_wipe(redis, sizeof *redis);
        free(redis);
        return err;
    }
    redis->sentinel_login = (struct redis_login){ .user = settings->redis_sentinel_user,
                                                  .password = settings->redis_sentinel_password };
    redis->login = (struct redis_login){ redis->url.user, redis->url.password, redis->url.db, redis->url.is_sentinel };
    redis->pool = redis_pool_new(&redis->login, redis->tls);
    redis->slots = mem_alloc(sizeof *redis->slots);
    redis->slots->count = 0;
    pthread_mutex_init(&redis->lock, NULL);
    pthread_mutex_init(&redis->locating, NULL);
    *out = redis;
    return OK;
}

void redis_close(struct redis *redis)
{
    if (!redis)
        return;
    redis_pool_free(redis->pool);
    for (size_t i = 0; i < redis->url.hosts_count; i++)
        redis_connection_close(redis->sentinels[i]);
    stream_tls_close(redis->tls);
    pthread_mutex_destroy(&redis->lock);
    pthread_mutex_destroy(&redis->locating);
    free(redis->slots);
    mem_wipe(redis, sizeof *redis);
    free(redis);
}

uint64_t redis_generation(const struct redis *redis)
{
    return redis_pool_generation(redis->pool) + atomic_load(&redis->moves);
}

/* --- one server -------------------------------------------------------------------------------------------------- */

/* Commands to one server, with ASKING before the one that there is when `asking`; replies may be errors. */
static struct err redis_exchange(struct redis *redis, struct arena *arena, const struct redis_address *address,
                                 bool asking, const struct redis_command *commands, size_t count, int64_t deadline_ms,
                                 const struct reply **out)
{
    struct redis_connection *connection = NULL;
    struct redis_command two[2] = { REDIS_COMMAND(NO_KEY, redis_form_ok, STR("ASKING")), commands[0] };
    const struct reply *replies[2] = { NULL, NULL };
    TRY(redis_pool_take(redis->pool, address, deadline_ms, &connection));
    int64_t began_ns = clock_ns();
    struct err err = asking ? redis_connection_converse(connection, arena, two, 2, deadline_ms, replies)
                            : redis_connection_converse(connection, arena, commands, count, deadline_ms, out);
    if (asking)
        out[0] = replies[1];
    redis_pool_give_back(redis->pool, address, connection, err.code ? err.why : NULL);
    if (commands[0].wait_ms == 0)
        metrics_redis_command(clock_ns() - began_ns);
    return err.code ? redis_failed(address, err.why) : OK;
}

static const char no_master[] = "no Sentinel names a master";

/* --- where data lies --------------------------------------------------------------------------------------------- */

/* Takes over what was found. Nothing is said while it stays as it was. */
static void redis_adopt(struct redis *redis, const struct redis_slots *found, bool is_cluster)
{
    pthread_mutex_lock(&redis->lock);
    bool is_same = redis->slots->count == found->count && redis->is_cluster == is_cluster;
    for (size_t i = 0; is_same && i < found->count; i++)
        is_same = redis_slots_node(redis->slots, &found->nodes[i]) < found->count;
    if (!is_same) {
        atomic_fetch_add(&redis->moves, 1);
        LOG(LOG_INFO, "redis_located", LOG_TEXT_("host", found->nodes[0].host), LOG_INT("port", found->nodes[0].port),
            LOG_INT("masters", (int64_t)found->count),
            LOG_TEXT_("kind", is_cluster               ? "cluster"
                              : redis->url.is_sentinel ? "sentinel"
                                                       : "single"));
    }
    memcpy(redis->slots, found, sizeof *found);
    redis->is_cluster = is_cluster;
    redis->is_located = true;
    pthread_mutex_unlock(&redis->lock);
}

/* A single server. */
static void redis_adopt_one(struct redis *redis, struct arena *arena, const struct redis_address *address)
{
    struct redis_slots *found = arena_alloc(arena, sizeof *found);
    memset(found->node_of, 0, sizeof found->node_of);
    found->count = 1;
    found->nodes[0] = *address;
    redis_adopt(redis, found, false);
}

static void redis_forget_location(struct redis *redis)
{
    pthread_mutex_lock(&redis->lock);
    redis->is_located = false;
    pthread_mutex_unlock(&redis->lock);
}

/* A connection to a Sentinel. It is told its own password, if one is set; else it may have Redis's or none, and is
 * given Redis's only when it asks. */
static struct err redis_ask_anew(struct redis *redis, struct arena *arena, size_t i, const struct redis_command *ask,
                                 int64_t deadline_ms, const struct reply **reply)
{
    const struct redis_login first = redis->sentinel_login;
    const struct redis_login login = { redis->url.user, redis->url.password, 0, false };
    struct redis_connection **connection = &redis->sentinels[i];
    for (int with_login = 0; with_login < 2; with_login++) {
        redis_connection_close(*connection);
        *connection = NULL;
        TRY(redis_connection_open(&redis->url.hosts[i], with_login ? &login : &first, redis->tls, deadline_ms,
                                  connection));
        TRY(redis_connection_ask(*connection, arena, ask, deadline_ms, reply));
        if (!reply_is_error(*reply, STR("NOAUTH")) || !login.password[0] || first.password[0])
            break;
    }
    return OK;
}

/* One Sentinel. Its connection is kept when it has answered. */
static struct err redis_ask_sentinel(struct redis *redis, struct arena *arena, size_t i, int64_t deadline_ms,
                                     struct redis_address *out)
{
    const struct redis_command ask = REDIS_COMMAND(NO_KEY, redis_form_master, STR("SENTINEL"),
                                                   STR("get-master-addr-by-name"), str_of(redis->url.master));
    const struct reply *reply = NULL;
    struct redis_connection *known = redis->sentinels[i];
    const bool has_answered = known && redis_connection_is_good(known) &&
                              !redis_connection_ask(known, arena, &ask, deadline_ms, &reply).code;
    struct err err = has_answered ? OK : redis_ask_anew(redis, arena, i, &ask, deadline_ms, &reply);
    if (!err.code && reply->kind == REPLY_ERROR)
        err = redis_refusal(reply, "it refused to name the master");
    else if (!err.code && !redis_master_read(reply, out))
        err = failed(ERR_UNAVAILABLE, "it knows no such group");
    if (!err.code)
        return OK;
    redis_connection_close(redis->sentinels[i]);
    redis->sentinels[i] = NULL;
    LOG(LOG_DEBUG, "sentinel_failing", LOG_TEXT_("host", redis->url.hosts[i].host),
        LOG_INT("port", redis->url.hosts[i].port), LOG_TEXT_("why", err.why));
    return failed(ERR_UNAVAILABLE, sentence_keep(no_master, "no Sentinel names a master: the one at %s:%u says: %s",
                                                 redis->url.hosts[i].host, redis->url.hosts[i].port, err.why));
}

/* Whom most Sentinels name; the first one named where none has most, as when they are just hearing of another. *votes:
 * how many named it, of *answers. */
static struct err redis_poll_sentinels(struct redis *redis, struct arena *arena, int64_t deadline_ms,
                                       struct redis_address *out, size_t *votes, size_t *answers)
{
    struct redis_slots *named = arena_alloc(arena, sizeof *named);
    size_t votes_of[REDIS_HOSTS_MAX] = { 0 }, best = 0;
    struct err last = failed(ERR_UNAVAILABLE, no_master);
    named->count = *answers = 0;
    for (size_t i = 0; i < redis->url.hosts_count && votes_of[best] <= redis->url.hosts_count / 2; i++) {
        /* one that hangs must leave the others their time */
        const int64_t now_ms = clock_ms(), share_ms = now_ms + (deadline_ms - now_ms) / 2;
        struct redis_address address;
        struct err err = redis_ask_sentinel(redis, arena, i, share_ms, &address);
        if (err.code) {
            last = err;
            continue;
        }
        const unsigned node = redis_slots_node(named, &address);
        ++*answers;
        if (++votes_of[node] > votes_of[best])
            best = node;
    }
    if (*answers == 0)
        return last;
    *votes = votes_of[best];
    *out = named->nodes[best];
    return OK;
}

/* Whether that one is a master still is checked when it is logged in to. */
static struct err redis_locate_by_sentinel(struct redis *redis, struct arena *arena, int64_t deadline_ms)
{
    struct redis_address master;
    size_t votes, answers;
    TRY(redis_poll_sentinels(redis, arena, deadline_ms, &master, &votes, &answers));
    redis_adopt_one(redis, arena, &master);
    return OK;
}

/* With `locating` held. */
static struct err redis_confirm_now(struct redis *redis, struct arena *arena)
{
    struct redis_address named;
    size_t votes, answers;
    struct err err = redis_poll_sentinels(redis, arena, redis_deadline(redis), &named, &votes, &answers);
    if (err.code)
        return redis->needs_majority ? err : OK; /* nobody contradicts */
    pthread_mutex_lock(&redis->lock);
    const bool is_same = redis_address_is(&redis->slots->nodes[0], &named);
    pthread_mutex_unlock(&redis->lock);
    if (!is_same) {
        redis_forget_location(redis);
        return failed(ERR_UNAVAILABLE, "Redis's master is being replaced; try again");
    }
    return 2 * votes > (redis->needs_majority ? redis->url.hosts_count : answers)
               ? OK
               : failed(ERR_UNAVAILABLE, "the Sentinels of REDIS_URL don't agree, or too few answer");
}

struct err redis_confirm(struct redis *redis)
{
    const int64_t written_ns = clock_ns();
    if (!redis->url.is_sentinel)
        return OK;
    pthread_mutex_lock(&redis->locating);
    if (redis->confirm_began_ns < written_ns) { /* else somebody has asked since, and this is answered too */
        AUTO(arena_release) struct arena arena = { 0 };
        redis->confirm_began_ns = clock_ns();
        redis->confirmed = redis_confirm_now(redis, &arena);
    }
    struct err err = redis->confirmed;
    pthread_mutex_unlock(&redis->locating);
    return err;
}

/* A server says whether it belongs to a cluster, and who else does. */
static struct err redis_locate_at(struct redis *redis, struct arena *arena, const struct redis_address *address,
                                  int64_t deadline_ms)
{
    const struct redis_command ask = REDIS_COMMAND(NO_KEY, redis_form_slots, STR("CLUSTER"), STR("SLOTS"));
    const struct reply *reply = NULL;
    struct redis_slots *found = arena_alloc(arena, sizeof *found);
    TRY(redis_exchange(redis, arena, address, false, &ask, 1, deadline_ms, &reply));
    if (redis_slots_read(reply, address, found)) {
        redis_adopt(redis, found, true);
        return OK;
    }
    if (reply->kind == REPLY_LIST || reply_is_error(reply, STR("LOADING")))
        return failed(ERR_UNAVAILABLE, "Redis is not ready yet");
    redis_adopt_one(redis, arena, address); /* no cluster, or a user that may not ask: then MOVED says so */
    return OK;
}

/* The servers known last come first: seeds may be gone for long. */
static struct err redis_locate(struct redis *redis, struct arena *arena, int64_t deadline_ms)
{
    struct redis_address *tries = arena_alloc(arena, (REDIS_NODES_MAX + REDIS_HOSTS_MAX) * sizeof *tries);
    size_t count = 0;
    if (redis->url.is_sentinel)
        return redis_locate_by_sentinel(redis, arena, deadline_ms);
    pthread_mutex_lock(&redis->lock);
    for (size_t i = 0; redis->is_cluster && i < redis->slots->count; i++)
        tries[count++] = redis->slots->nodes[i];
    pthread_mutex_unlock(&redis->lock);
    for (size_t i = 0; i < redis->url.hosts_count; i++)
        tries[count++] = redis->url.hosts[i];
    struct err err = failed(ERR_UNAVAILABLE, "Redis can't be reached");
    for (size_t i = 0; i < count && err.code; i++) {
        int64_t now = clock_ms();
        if (now >= deadline_ms)
            break;
        err = redis_locate_at(redis, arena, &tries[i], i + 1 < count ? now + (deadline_ms - now) / 2 : deadline_ms);
    }
    return err;
}

static struct err redis_locate_once(struct redis *redis, struct arena *arena, int64_t deadline_ms)
{
    pthread_mutex_lock(&redis->locating);
    pthread_mutex_lock(&redis->lock);
    bool is_located = redis->is_located; /* by another thread, while this one waited */
    pthread_mutex_unlock(&redis->lock);
    struct err err = is_located ? OK : redis_locate(redis, arena, deadline_ms);
    pthread_mutex_unlock(&redis->locating);
    return err;
}

/* The server for a key; any when there is none. */
static struct err redis_address_of(struct redis *redis, struct arena *arena, struct str key, int64_t deadline_ms,
                                   struct redis_address *out)
{
    for (int try = 0; try < 2; try++) {
        pthread_mutex_lock(&redis->lock);
        const struct redis_slots *slots = redis->slots;
        unsigned node = redis->is_cluster && key.at ? slots->node_of[redis_slot(key)] : 0;
        bool is_known = redis->is_located && node < slots->count;
        if (is_known)
            *out = slots->nodes[node];
        else
            redis->is_located = false;
        pthread_mutex_unlock(&redis->lock);
        if (is_known)
            return OK;
        TRY(redis_locate_once(redis, arena, deadline_ms));
    }
    return failed(ERR_UNAVAILABLE, "no server of the Redis Cluster has the key's slot");
}

/* --- running ----------------------------------------------------------------------------------------------------- */

/* MOVED: the slot lies there from now on, and others may have moved with it. */
static void redis_learn(struct redis *redis, unsigned slot, const struct redis_address *address)
{
    pthread_mutex_lock(&redis->lock);
    size_t before = redis->slots->count;
    unsigned node = redis_slots_node(redis->slots, address);
    if (node != REDIS_NO_NODE) {
        redis->slots->node_of[slot] = (uint8_t)node;
        if (redis->slots->count != before)
            atomic_fetch_add(&redis->moves, 1);
    }
    redis->is_located = redis->is_cluster && node != REDIS_NO_NODE && redis->slots->count == before;
    redis->is_cluster = true;
    pthread_mutex_unlock(&redis->lock);
    metrics_count(COUNT_REDIS_REDIRECTIONS, 1);
}

/* An error that is not a redirection. Only the error's first word is shown. */
static struct err redis_refusal_of(const struct redis_address *address, const struct redis_command *command,
                                   const struct reply *reply)
{
    struct str word = reply->text, rest = reply->text;
    (void)str_cut(&rest, ' ', &word);
    for (size_t i = 0; i < word.len; i++)
        if (word.at[i] < 'A' || word.at[i] > 'Z')
            word.len = i;
    metrics_count(COUNT_REDIS_ERRORS, 1);
    LOG(LOG_INFO, "redis_refused", LOG_STR("command", command->words[0]), LOG_STR("error", word));
    if (reply_is_error(reply, STR("NOPERM")))
        return failed(ERR_UNAVAILABLE,
                      sentence_keep("Redis refused a command; try again",
                                    "Redis at %s:%u does not let the user of REDIS_URL run %.*s on the service's keys",
                                    address->host, address->port, (int)command->words[0].len, command->words[0].at));
    return failed(ERR_UNAVAILABLE,
                  sentence_keep("Redis refused a command; try again", "Redis at %s:%u (REDIS_URL) refused %.*s: %.*s",
                                address->host, address->port, (int)command->words[0].len, command->words[0].at,
                                (int)(word.len < 32 ? word.len : 32), word.at));
}

/* A server that takes no writes is no master any more. */
static bool redis_has_lost_its_role(const struct reply *reply)
{
    return reply_is_error(reply, STR("READONLY")) || reply_is_error(reply, STR("CLUSTERDOWN")) ||
           reply_is_error(reply, STR("MASTERDOWN"));
}

static struct err redis_run_until(struct redis *redis, struct arena *arena, const struct redis_command *command,
                                  int64_t deadline_ms, const struct reply **out)
{
    struct redis_address address;
    bool asking = false, is_redirected = false;
    for (int tries = 0; tries <= REDIRECTIONS_MAX; tries++) {
        struct redis_address asked;
        unsigned slot = 0;
        if (!is_redirected)
            TRY(redis_address_of(redis, arena, command->key, deadline_ms, &address));
        asked = address;
        struct err err = redis_exchange(redis, arena, &asked, asking, command, 1, deadline_ms, out);
        if (err.code) {
            redis_forget_location(redis);
            return err;
        }
        enum redirection redirection = redis_redirection(*out, &asked, &slot, &address);
        if (redirection == REDIRECTION_MOVED)
            redis_learn(redis, slot, &address);
        is_redirected = redirection != REDIRECTION_NONE;
        asking = redirection == REDIRECTION_ASK;
        if (!is_redirected &&
            redis_has_lost_its_role(*out)) { /* it did nothing: so the command may go to another server */
            redis_pool_drop(redis->pool, &asked);
            redis_forget_location(redis);
        } else if (!is_redirected) {
            if (reply_is_error(*out, STR("NOREPLICAS"))) /* perhaps another is the master by now: who is, is asked */
                redis_forget_location(redis);
            return (*out)->kind == REPLY_ERROR ? redis_refusal_of(&asked, command, *out) : OK;
        }
    }
    return (*out)->kind == REPLY_ERROR ? redis_refusal_of(&address, command, *out) : OK;
}

struct err redis_run(struct redis *redis, struct arena *arena, const struct redis_command *command,
                     const struct reply **out)
{
    return redis_run_until(redis, arena, command, clock_ms() + redis->timeout_ms + command->wait_ms, out);
}

/* From `from` on, those up to PIPELINE_MAX that lie at its server, at once. What is redirected is left without a reply.
 */
static struct err redis_run_share(struct redis *redis, struct arena *arena, const struct redis_command *commands,
                                  const struct redis_address *addresses, size_t from, size_t count,
                                  const struct reply **out)
{
    struct redis_command *share = arena_alloc(arena, PIPELINE_MAX * sizeof *share);
    const struct reply *replies[PIPELINE_MAX] = { NULL };
    size_t at[PIPELINE_MAX], shared = 0;
    for (size_t i = from; i < count && shared < PIPELINE_MAX; i++)
        if (!out[i] && redis_address_is(&addresses[i], &addresses[from])) {
            share[shared] = commands[i];
            at[shared++] = i;
        }
    struct err err = redis_exchange(redis, arena, &addresses[from], false, share, shared,
                                    clock_ms() + redis->timeout_ms, replies);
    if (err.code) {
        redis_forget_location(redis);
        return err;
    }
    for (size_t i = 0; i < shared; i++) {
        out[at[i]] = replies[i];
        if (replies[i]->kind == REPLY_ERROR) /* redirected perhaps: once more, by itself */
            TRY(redis_run(redis, arena, &share[i], &out[at[i]]));
    }
    return OK;
}

struct err redis_run_many(struct redis *redis, struct arena *arena, const struct redis_command *commands, size_t count,
                          const struct reply **out)
{
    struct redis_address *addresses = arena_alloc(arena, (count + 1) * sizeof *addresses);
    const int64_t located_by_ms = clock_ms() + redis->timeout_ms;
    for (size_t i = 0; i < count; i++) {
        out[i] = NULL;
        TRY(redis_address_of(redis, arena, commands[i].key, located_by_ms, &addresses[i]));
    }
    for (size_t i = 0; i < count; i++)
        if (!out[i])
            TRY(redis_run_share(redis, arena, commands, addresses, i, count, out));
    return OK;
}

struct err redis_masters(struct redis *redis, size_t *count)
{
    AUTO(arena_release) struct arena arena = { 0 };
    struct redis_address any;
    struct err err = redis_address_of(redis, &arena, (struct str){ 0, 0 }, clock_ms() + redis->timeout_ms, &any);
    pthread_mutex_lock(&redis->lock);
    *count = redis->slots->count;
    pthread_mutex_unlock(&redis->lock);
    return err;
}

int64_t redis_deadline(const struct redis *redis)
{
    return clock_ms() + redis->timeout_ms;
}

struct err redis_lend(struct redis *redis, size_t master, struct redis_loan *out)
{
    *out = (struct redis_loan){ .address.port = 0 };
    pthread_mutex_lock(&redis->lock);
    if (master < redis->slots->count)
        out->address = redis->slots->nodes[master];
    pthread_mutex_unlock(&redis->lock);
    if (out->address.port == 0)
        return failed(ERR_UNAVAILABLE, "the Redis Cluster has changed in the meantime; try again");
    struct err err = redis_pool_take(redis->pool, &out->address, redis_deadline(redis), &out->connection);
    if (err.code)
        redis_forget_location(redis);
    return err;
}

void redis_take_back(struct redis *redis, const struct redis_loan *loan, const char *why)
{
    redis_pool_give_back(redis->pool, &loan->address, loan->connection, why);
    if (why)
        redis_forget_location(redis);
}
