/* redis/pool.c: a short lock around the lists; connecting and everything else on the network happens outside of it. A
 * connection is checked before it is handed out again, so one that the server has closed is never used. That is why no
 * command has to be sent a second time after a failure, when it is unknown whether the first one was carried out. */
#include "redis/pool.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/random.h"
#include "base/sentence.h"
#include "redis/topology.h"
#include "observe/log.h"
#include "observe/metrics.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { NODES_MAX = 2 * REDIS_NODES_MAX, IDLE_MAX = 32, RUN_ID_ROOM = 64, BACKOFF_FIRST_MS = 20, BACKOFF_MAX_MS = 1000 };

struct node {
    struct redis_address address;
    struct redis_connection *idle[IDLE_MAX]; /* newest last */
    size_t idle_count;
    size_t users; /* who connect to it, or have a connection to it, just now: then it stays */
    int64_t used_at_ms;
    unsigned failures; /* in a row, until a command is answered as it should be */
    const char *why;   /* the last one */
    int64_t retry_at_ms;
    bool was_lost;            /* a connection, since the last one was made */
    char run_id[RUN_ID_ROOM]; /* of the process behind the last connection */
};

struct redis_pool {
    const struct redis_login *login;
    struct stream_tls *tls;
    pthread_mutex_t lock;
    struct node *nodes[NODES_MAX];
    size_t count;
    atomic_ullong generation;
};

struct redis_pool *redis_pool_new(const struct redis_login *login, struct stream_tls *tls)
{
    struct redis_pool *pool = mem_alloc(sizeof *pool);
    *pool = (struct redis_pool){ .login = login, .tls = tls };
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

/* Under the lock, or when no other thread knows the node any more. */
static void pool_close_idle(struct node *node)
{
    while (node->idle_count > 0)
        redis_connection_close(node->idle[--node->idle_count]);
}

void redis_pool_free(struct redis_pool *pool)
{
    if (!pool)
        return;
    for (size_t i = 0; i < pool->count; i++) {
        pool_close_idle(pool->nodes[i]);
        free(pool->nodes[i]);
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

/* Under the lock. NULL: it is not known. */
static struct node *pool_known_node(struct redis_pool *pool, const struct redis_address *address)
{
    for (size_t i = 0; i < pool->count; i++)
        if (pool->nodes[i]->address.port == address->port && strcmp(pool->nodes[i]->address.host, address->host) == 0)
            return pool->nodes[i];
    return NULL;
}

/* Under the lock: forgets the one that was used least recently, since servers are replaced by others for as long as a
 * cluster lives. Should it come back, it is one that has not been talked to before, which is always safe. NULL when all
 * are in use. */
static struct node *pool_forget_one(struct redis_pool *pool)
{
    struct node *oldest = NULL;
    for (size_t i = 0; i < pool->count; i++)
        if (pool->nodes[i]->users == 0 && (!oldest || pool->nodes[i]->used_at_ms < oldest->used_at_ms))
            oldest = pool->nodes[i];
    if (oldest)
        pool_close_idle(oldest);
    return oldest;
}

/* Under the lock: the node, which has one user more. NULL when there are too many in use. */
static struct node *pool_use_node(struct redis_pool *pool, const struct redis_address *address)
{
    struct node *node = pool_known_node(pool, address);
    if (!node && pool->count == NODES_MAX) {
        node = pool_forget_one(pool);
        if (!node)
            return NULL;
        *node = (struct node){ .address = *address };
    } else if (!node) {
        node = mem_alloc(sizeof *node);
        *node = (struct node){ .address = *address };
        pool->nodes[pool->count++] = node;
    }
    node->users++;
    node->used_at_ms = clock_ms();
    return node;
}

struct err redis_failed(const struct redis_address *address, const char *why)
{
    return failed(ERR_UNAVAILABLE, sentence_keep("Redis did not answer; try again", "Redis at %s:%u (REDIS_URL): %s",
                                                 address->host, address->port, why));
}

int64_t redis_backoff_ms(unsigned failures, uint64_t chance)
{
    return backoff_at_random(BACKOFF_FIRST_MS, BACKOFF_MAX_MS, failures, chance);
}

/* Under the lock. Said once, until it works again. */
static void pool_note_failure(struct node *node, const char *why)
{
    metrics_count(COUNT_REDIS_ERRORS, 1);
    if (node->failures++ == 0)
        LOG(LOG_WARN, "redis_failing", LOG_TEXT_("host", node->address.host), LOG_INT("port", node->address.port),
            LOG_TEXT_("why", why));
    node->was_lost = true;
    node->why = why;
    node->retry_at_ms = clock_ms() + redis_backoff_ms(node->failures, random_number());
    pool_close_idle(node);
}

/* Which process it is: run_id in INFO's section "server". A server that won't say is a new one each time. */
static struct str pool_ask_run_id(struct redis_connection *connection, struct arena *arena, int64_t deadline_ms,
                                  struct err *err)
{
    const struct redis_command info = REDIS_COMMAND(NO_KEY, redis_form_text, STR("INFO"), STR("server"));
    const struct reply *reply = NULL;
    *err = redis_connection_ask(connection, arena, &info, deadline_ms, &reply);
    if (!err->code && reply_is_error(reply, STR("NOPERM")))
        *err = failed(ERR_UNAVAILABLE, "it does not let its user run INFO (to know which process it is)");
    if (err->code || reply->kind != REPLY_TEXT)
        return (struct str){ 0, 0 };
    struct str rest = reply->text, line;
    while (str_next_item(&rest, '\n', &line))
        if (str_has_prefix(line, STR("run_id:"))) {
            struct str id = { line.at + 7, line.len - 7 };
            while (id.len > 0 && id.at[id.len - 1] == '\r')
                id.len--;
            return id.len < RUN_ID_ROOM ? id : (struct str){ 0, 0 };
        }
    return (struct str){ 0, 0 };
}

/* Under the lock: the connection stands. */
static void pool_note_connected(struct redis_pool *pool, struct node *node, struct str run_id)
{
    if (run_id.len == 0 || !str_eq(run_id, str_of(node->run_id))) {
        if (run_id.len > 0)
            memcpy(node->run_id, run_id.at, run_id.len);
        node->run_id[run_id.len] = '\0';
        atomic_fetch_add(&pool->generation, 1);
    }
    if (node->was_lost)
        metrics_count(COUNT_REDIS_RECONNECTS, 1);
    node->was_lost = false;
}

/* Under the lock, after every command has got its reply. A connection alone is not enough: for a server that accepts
 * connections and sends nonsense, the backoff grows. */
static void pool_note_success(struct node *node)
{
    if (node->failures > 0)
        LOG(LOG_INFO, "redis_recovered", LOG_TEXT_("host", node->address.host), LOG_INT("port", node->address.port));
    node->failures = 0;
    node->retry_at_ms = 0;
}

static struct err pool_connect_to(struct redis_pool *pool, struct node *node, int64_t deadline_ms,
                                  struct redis_connection **out)
{
    const struct redis_address address = node->address; /* after a failure the node may be another's */
    struct redis_connection *connection = NULL;
    AUTO(arena_release) struct arena arena = { 0 };
    struct str run_id = { 0, 0 };
    struct err err = redis_connection_open(&address, pool->login, pool->tls, deadline_ms, &connection);
    if (!err.code)
        run_id = pool_ask_run_id(connection, &arena, deadline_ms, &err);
    pthread_mutex_lock(&pool->lock);
    if (err.code) {
        pool_note_failure(node, err.why);
        node->users--;
    } else {
        pool_note_connected(pool, node, run_id);
    }
    pthread_mutex_unlock(&pool->lock);
    if (err.code) {
        redis_connection_close(connection);
        return redis_failed(&address, err.why);
    }
    *out = connection;
    return OK;
}

/* Under the lock: the newest one that waits and is still good, or NULL. */
static struct redis_connection *pool_take_idle(struct node *node)
{
    while (node->idle_count > 0) {
        struct redis_connection *each = node->idle[--node->idle_count];
        if (redis_connection_is_good(each))
            return each;
        redis_connection_close(each);
        node->was_lost = true;
    }
    return NULL;
}

struct err redis_pool_take(struct redis_pool *pool, const struct redis_address *address, int64_t deadline_ms,
                           struct redis_connection **out)
{
    pthread_mutex_lock(&pool->lock);
    struct node *node = pool_use_node(pool, address);
    struct redis_connection *found = node ? pool_take_idle(node) : NULL;
    const char *why = !found && node && clock_ms() < node->retry_at_ms ? node->why : NULL;
    if (why)
        node->users--;
    pthread_mutex_unlock(&pool->lock);
    if (!node)
        return failed(ERR_UNAVAILABLE, "too many Redis servers are in use at the same time");
    if (why) /* it is asked again in a moment */
        return redis_failed(address, why);
    if (!found)
        return pool_connect_to(pool, node, deadline_ms, out);
    *out = found;
    return OK;
}

/* Under the lock. What is to be closed, or NULL. */
static struct redis_connection *pool_put_back(struct node *node, struct redis_connection *connection, const char *why)
{
    node->users--;
    if (why) {
        pool_note_failure(node, why);
        return connection;
    }
    pool_note_success(node);
    if (node->idle_count == IDLE_MAX)
        return connection;
    node->idle[node->idle_count++] = connection;
    return NULL;
}

void redis_pool_give_back(struct redis_pool *pool, const struct redis_address *address,
                          struct redis_connection *connection, const char *why)
{
    pthread_mutex_lock(&pool->lock);
    struct node *node = pool_known_node(pool, address); /* it was kept for this user */
    if (node)
        connection = pool_put_back(node, connection, why);
    pthread_mutex_unlock(&pool->lock);
    redis_connection_close(connection);
}

void redis_pool_drop(struct redis_pool *pool, const struct redis_address *address)
{
    pthread_mutex_lock(&pool->lock);
    struct node *node = pool_known_node(pool, address);
    if (node)
        pool_close_idle(node);
    pthread_mutex_unlock(&pool->lock);
}

uint64_t redis_pool_generation(const struct redis_pool *pool)
{
    return atomic_load(&pool->generation);
}
