/* store/postgres.c: the pool. A caller takes the connection that was used last, sends, waits, and lays it back; when
 * all are taken it waits for one, within its time. A connection that did anything unexpected is closed, never mended.
 */
#include "store/postgres.h"
#include "base/clock.h"
#include "base/condition.h"
#include "base/sentence.h"
#include "observe/log.h"
#include "store/postgres_cause.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { RECONNECT_MS = 500 /* after a failure: until then callers are refused at once, not one after the other late */ };

struct connection {
    struct connection *next;
    PGconn *pg;
    const struct libpq_calls *calls;
    bool warned; /* the server did, and no function or trigger of somebody's */
};

struct postgres {
    const struct libpq_calls *calls;
    struct postgres_terms terms;
    pthread_mutex_t lock;
    pthread_cond_t freed;
    struct connection *idle;
    size_t open;           /* idle and taken */
    int64_t refused_until; /* monotonic ms */
    /* sentences, static: */
    _Atomic(const char *) unconnected; /* why there was no connection last */
    _Atomic(const char *) late, lost;  /* of the server that was connected to last */
};

/* What callers are told; they need not know where the database is. */
static const char away[] = "the database can't be reached; try again later",
                  busy[] = "all connections to the database are busy (TOKEN_DATABASE_CONNECTIONS)";

/* --- connecting -------------------------------------------------------------------------------------------------- */

/* A character of the password that should have been encoded cuts the URL elsewhere: then a part of the password would
 * be taken for the host or the port, and be named in libpq's words. */
static bool postgres_is_plausible(const PQconninfoOption *option)
{
    const char *value = option->val ? option->val : "";
    if (strcmp(option->keyword, "host") == 0)
        return !strpbrk(value, "@:#?") || strspn(value, "0123456789abcdefABCDEF:.,") == strlen(value); /* IPv6 */
    return strcmp(option->keyword, "port") != 0 || strspn(value, "0123456789,") == strlen(value);
}

static bool postgres_is_known(const void *arg, const char *name)
{
    const struct libpq_calls *calls = arg;
    char url[96];
    snprintf(url, sizeof url, "postgresql://h/?%s=%s", name, strcmp(name, "ssl") == 0 ? "true" : "1");
    PQconninfoOption *parsed = calls->conninfoParse(url, NULL);
    calls->conninfoFree(parsed);
    return parsed != NULL;
}

static struct err postgres_bad_url(const struct libpq_calls *calls, const char *url)
{
    const char *parameter = postgres_unknown_parameter(url, postgres_is_known, calls);
    if (parameter[0])
        return failed(ERR_INVALID_REQUEST, sentence_keep(away,
                                                         "DATABASE_URL has the parameter %s, which PostgreSQL's libpq "
                                                         "doesn't know: remove it (a pooler does not need it)",
                                                         parameter));
    return failed(ERR_INVALID_REQUEST, "DATABASE_URL is not a URL of a PostgreSQL "
                                       "(postgresql://user:password@host/name, the password percent-encoded)");
}

static struct err postgres_check_url(const struct libpq_calls *calls, const char *url)
{
    PQconninfoOption *parsed = calls->conninfoParse(url, NULL); /* its words would hold parts of the URL */
    bool good = parsed != NULL;
    for (const PQconninfoOption *option = parsed; option && option->keyword; option++)
        good = good && postgres_is_plausible(option);
    calls->conninfoFree(parsed);
    return good ? OK : postgres_bad_url(calls, url);
}

/* libpq would print it on standard error. */
static void postgres_drop_notice(void *arg, const PGresult *notice)
{
    (void)arg;
    (void)notice;
}

/* A commit that waited for a synchronous standby in vain, since somebody cancelled the wait, succeeds with a warning:
 * it may be gone after a fail-over. No function raised that one, so it has no context. */
static void postgres_note_warning(void *arg, const PGresult *notice)
{
    struct connection *connection = arg;
    const char *severity = connection->calls->resultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (severity && strcmp(severity, "WARNING") == 0 && !connection->calls->resultErrorField(notice, PG_DIAG_CONTEXT))
        connection->warned = true;
}

/* libpq's words name host and user, and no password unless the URL is malformed. */
static void postgres_log_unconnected(const struct libpq_calls *calls, const PGconn *pg)
{
    const char *says = pg ? calls->errorMessage(pg) : "out of memory", *pass = pg ? calls->pass(pg) : NULL;
    if (pass && pass[0] && strstr(says, pass))
        says = "(its message holds the password)";
    LOG(LOG_ERROR, "database_unconnected", LOG_STR("detail", ((struct str){ says, strcspn(says, "\n") })));
}

static bool postgres_is_near(const char *address)
{
    return !address || !address[0] || str_has_prefix(str_of(address), STR("127.")) || strcmp(address, "::1") == 0;
}

/* "DATABASE_URL (db.example:5432)", or without what holds the password. */
static void postgres_name_server(const struct libpq_calls *calls, const PGconn *pg, char *to, size_t room)
{
    const char *host = pg ? calls->host(pg) : NULL, *port = pg ? calls->port(pg) : NULL,
               *pass = pg ? calls->pass(pg) : NULL;
    if (!host || !port || (pass && pass[0] && strstr(host, pass)))
        snprintf(to, room, "DATABASE_URL");
    else
        snprintf(to, room, "DATABASE_URL (%s:%s)", host, port);
}

static const char *postgres_unconnected(const struct libpq_calls *calls, const PGconn *pg)
{
    char server[300];
    postgres_name_server(calls, pg, server, sizeof server);
    postgres_log_unconnected(calls, pg);
    return sentence_keep(away, "%s: %s", server, postgres_cause(pg ? calls->errorMessage(pg) : ""));
}

/* NULL, and *why: there is none. */
static PGconn *postgres_connect_to(const struct libpq_calls *calls, const char *url, int64_t timeout_s,
                                   const char **why)
{
    char seconds[24], milliseconds[24];
    snprintf(seconds, sizeof seconds, "%lld", (long long)(timeout_s < 2 ? 2 : timeout_s));
    snprintf(milliseconds, sizeof milliseconds, "%lld", (long long)(timeout_s < 2 ? 2 : timeout_s) * 1000);
    /* What stands before the URL is a default; what stands after it can't be changed by it. */
    const char *const names[] = {
        "connect_timeout", "tcp_user_timeout", "keepalives_idle", "keepalives_interval", "keepalives_count",
        "gssencmode",      "application_name", "dbname",          "client_encoding",     NULL
    };
    const char *const values[] = {
        seconds, milliseconds, "30", "5", "3", "disable", "token-service", url, "UTF8", NULL
    };
    PGconn *pg = calls->connectdbParams(names, values, 1);
    if (pg && calls->status(pg) == CONNECTION_OK) {
        calls->setNoticeReceiver(pg, postgres_drop_notice, NULL);
        return pg;
    }
    *why = postgres_unconnected(calls, pg);
    calls->finish(pg);
    return NULL;
}

struct err postgres_connect(const struct libpq_calls *calls, const char *url, int64_t timeout_s, PGconn **out)
{
    TRY(postgres_check_url(calls, url));
    const char *why = NULL;
    PGconn *pg = postgres_connect_to(calls, url, timeout_s, &why);
    if (!pg)
        return failed(ERR_UNAVAILABLE, why);
    *out = pg;
    return OK;
}

static void postgres_note_server(struct postgres *postgres, const PGconn *pg)
{
    char server[300];
    postgres_name_server(postgres->calls, pg, server, sizeof server);
    atomic_store(&postgres->unconnected, busy); /* from now on that is why there is none */
    atomic_store(&postgres->late, sentence_keep("the database did not answer in time",
                                                "%s: no complete response came within TOKEN_STORE_TIMEOUT", server));
    atomic_store(&postgres->lost, sentence_keep("the database did not answer",
                                                "%s: the connection broke before the response was complete", server));
}

static struct connection *postgres_connect_new(struct postgres *postgres)
{
    const struct libpq_calls *calls = postgres->calls;
    const char *why = NULL;
    PGconn *pg = postgres_connect_to(calls, postgres->terms.url, postgres->terms.timeout_ms / 1000, &why);
    if (!pg)
        atomic_store(&postgres->unconnected, why);
    if (!pg)
        return NULL;
    postgres_note_server(postgres, pg);
    if (!calls->sslInUse(pg) && !postgres_is_near(calls->hostaddr(pg)))
        LOG(LOG_WARN, "database_not_encrypted",
            LOG_TEXT_("why", "DATABASE_URL allows it: add sslmode=verify-full and sslrootcert"));
    if (calls->setnonblocking(pg, 1) != 0) {
        calls->finish(pg);
        return NULL;
    }
    struct connection *made = mem_alloc(sizeof *made);
    *made = (struct connection){ .pg = pg, .calls = calls };
    calls->setNoticeReceiver(pg, postgres_note_warning, made);
    return made;
}

static void postgres_finish(struct postgres *postgres, struct connection *connection)
{
    postgres->calls->finish(connection->pg);
    free(connection);
}

/* --- taking and laying back -------------------------------------------------------------------------------------- */

/* The server says nothing between two calls unless it goes away. */
static bool postgres_is_alive(const struct postgres *postgres, const struct connection *connection)
{
    struct pollfd fd = { .fd = postgres->calls->socket(connection->pg), .events = POLLIN };
    return postgres->calls->status(connection->pg) == CONNECTION_OK && fd.fd >= 0 && poll(&fd, 1, 0) == 0;
}

/* Under the lock: until one is idle or may be opened. */
static bool postgres_wait_for_room(struct postgres *postgres, int64_t deadline_ms)
{
    while (!postgres->idle && postgres->open == postgres->terms.connections)
        if (!condition_wait_until(&postgres->freed, &postgres->lock, deadline_ms * 1000000))
            return false;
    return postgres->idle || clock_ms() >= postgres->refused_until;
}

/* A new one in the place of one that the server has left. NULL: none could be had. */
static struct connection *postgres_take(struct postgres *postgres, int64_t deadline_ms)
{
    pthread_mutex_lock(&postgres->lock);
    bool may = postgres_wait_for_room(postgres, deadline_ms);
    struct connection *taken = may ? postgres->idle : NULL;
    if (taken)
        postgres->idle = taken->next;
    else if (may)
        postgres->open++;
    pthread_mutex_unlock(&postgres->lock);
    if (!may || (taken && postgres_is_alive(postgres, taken)))
        return taken;
    if (taken)
        postgres_finish(postgres, taken);
    taken = postgres_connect_new(postgres); /* in the place of the one that was counted */
    if (taken)
        return taken;
    pthread_mutex_lock(&postgres->lock);
    postgres->open--;
    postgres->refused_until = clock_ms() + RECONNECT_MS;
    pthread_cond_signal(&postgres->freed);
    pthread_mutex_unlock(&postgres->lock);
    return NULL;
}

static void postgres_put_back(struct postgres *postgres, struct connection *connection, bool is_good)
{
    const struct libpq_calls *calls = postgres->calls;
    is_good = is_good && calls->status(connection->pg) == CONNECTION_OK &&
              calls->transactionStatus(connection->pg) == PQTRANS_IDLE;
    if (!is_good)
        postgres_finish(postgres, connection);
    pthread_mutex_lock(&postgres->lock);
    if (is_good) {
        connection->next = postgres->idle;
        postgres->idle = connection;
    } else {
        postgres->open--;
    }
    pthread_cond_signal(&postgres->freed);
    pthread_mutex_unlock(&postgres->lock);
}

/* What broke one connection (a server that stopped, a router that forgot all connections, a primary that was demoted)
 * broke the idle ones too, which does not show yet: a second attempt must not get the next of them. */
static void postgres_drop_idle(struct postgres *postgres)
{
    pthread_mutex_lock(&postgres->lock);
    struct connection *dropped = postgres->idle;
    postgres->idle = NULL;
    for (const struct connection *each = dropped; each; each = each->next)
        postgres->open--;
    pthread_cond_broadcast(&postgres->freed);
    pthread_mutex_unlock(&postgres->lock);
    while (dropped) {
        struct connection *next = dropped->next;
        postgres_finish(postgres, dropped);
        dropped = next;
    }
}

/* --- asking ------------------------------------------------------------------------------------------------------ */

/* Until all is sent and a result, or the answer's end, has come; or time is up. */
static bool postgres_exchange(const struct libpq_calls *calls, PGconn *pg, int64_t deadline_ms)
{
    for (int unsent = 1;;) {
        if (unsent && (unsent = calls->flush(pg)) < 0)
            return false;
        if (!unsent && !calls->isBusy(pg))
            return true;
        int64_t left_ms = deadline_ms - clock_ms();
        struct pollfd fd = { .fd = calls->socket(pg), .events = (short)(POLLIN | (unsent ? POLLOUT : 0)) };
        if (left_ms <= 0 || (poll(&fd, 1, (int)left_ms) < 0 && errno != EINTR))
            return false;
        if (fd.revents & (POLLIN | POLLHUP | POLLERR) && !calls->consumeInput(pg))
            return false;
    }
}

/* No values: what the server says beside the code may hold a row's. */
static enum postgres_fault postgres_refused(const struct libpq_calls *calls, const PGresult *result,
                                            struct postgres_answer *out)
{
    const char *code = calls->resultErrorField(result, PG_DIAG_SQLSTATE);
    const char *constraint = calls->resultErrorField(result, PG_DIAG_CONSTRAINT_NAME);
    if (!code || strlen(code) != 5)
        return POSTGRES_LOST;
    memcpy(out->sqlstate, code, 6);
    LOG(LOG_WARN, "database_refused", LOG_TEXT_("sqlstate", code),
        LOG_TEXT_("constraint", constraint ? constraint : ""));
    return POSTGRES_SAID;
}

static enum postgres_fault postgres_read_result(const struct libpq_calls *calls, const PGresult *result,
                                                struct arena *arena, struct postgres_answer *out)
{
    if (!result)
        return POSTGRES_LOST;
    if (calls->resultStatus(result) != PGRES_TUPLES_OK)
        return postgres_refused(calls, result, out);
    if (calls->ntuples(result) != 1)
        return POSTGRES_LOST;
    out->value = arena_copy(arena,
                            (struct str){ calls->getvalue(result, 0, 0), (size_t)calls->getlength(result, 0, 0) });
    return POSTGRES_OK;
}

/* All results up to the end of the answer: a commit comes after the statement's own result, and may fail. */
static enum postgres_fault postgres_read_results(const struct libpq_calls *calls, struct connection *connection,
                                                 struct arena *arena, int64_t deadline_ms, struct postgres_answer *out)
{
    enum postgres_fault fault = POSTGRES_LOST;
    for (size_t count = 0; postgres_exchange(calls, connection->pg, deadline_ms); count++) {
        PGresult *result = calls->getResult(connection->pg);
        if (!result)
            return fault == POSTGRES_OK && connection->warned ? POSTGRES_LOST : fault;
        const enum postgres_fault one = postgres_read_result(calls, result, arena, out);
        calls->clear(result);
        if (count == 0 || one == POSTGRES_SAID)
            fault = one;
        else if (fault != POSTGRES_SAID)
            fault = POSTGRES_LOST; /* two results of one statement */
    }
    if (fault == POSTGRES_SAID) /* refused is undone, however the line ended */
        return fault;
    return clock_ms() >= deadline_ms ? POSTGRES_LATE : POSTGRES_LOST;
}

static enum postgres_fault postgres_converse(const struct libpq_calls *calls, struct connection *connection,
                                             struct arena *arena, const char *sql, const char *parameter,
                                             int64_t deadline_ms, struct postgres_answer *out)
{
    const char *const values[] = { parameter };
    connection->warned = false;
    if (!calls->sendQueryParams(connection->pg, sql, 1, NULL, values, NULL, NULL, 0))
        return POSTGRES_LOST;
    enum postgres_fault fault = postgres_read_results(calls, connection, arena, deadline_ms, out);
    if (fault == POSTGRES_OK && calls->transactionStatus(connection->pg) != PQTRANS_IDLE)
        fault = POSTGRES_LOST; /* it has ended nothing */
    return fault;              /* a connection cut short is closed, for it is not idle */
}

enum postgres_fault postgres_ask(struct postgres *postgres, struct arena *arena, const char *sql, struct str parameter,
                                 struct postgres_answer *out)
{
    const int64_t deadline_ms = clock_ms() + postgres->terms.timeout_ms;
    struct connection *connection = postgres_take(postgres, deadline_ms);
    out->why = atomic_load(&postgres->unconnected);
    if (!connection)
        return POSTGRES_UNSENT;
    parameter = arena_copy(arena, parameter); /* with a NUL */
    enum postgres_fault fault = postgres_converse(postgres->calls, connection, arena, sql, parameter.at, deadline_ms,
                                                  out);
    out->why = atomic_load(fault == POSTGRES_LATE ? &postgres->late : &postgres->lost);
    if (fault == POSTGRES_LOST || fault == POSTGRES_LATE)
        LOG(LOG_WARN, "database_lost",
            LOG_TEXT_("why", fault == POSTGRES_LATE ? "no response in time" : "the connection broke"));
    /* after a failover, what was the primary refuses to write: the next connection goes to the new one */
    const bool is_no_primary = fault == POSTGRES_SAID && strcmp(out->sqlstate, "25006") == 0;
    if (fault == POSTGRES_LOST || is_no_primary)
        postgres_drop_idle(postgres);
    postgres_put_back(postgres, connection, fault == POSTGRES_OK || (fault == POSTGRES_SAID && !is_no_primary));
    return fault;
}

/* --- life -------------------------------------------------------------------------------------------------------- */

struct err postgres_open(const struct postgres_terms *terms, struct postgres **out)
{
    const struct libpq_calls *calls = NULL;
    TRY(libpq_load(&calls));
    TRY(postgres_check_url(calls, terms->url));
    struct postgres *postgres = mem_alloc(sizeof *postgres);
    *postgres = (struct postgres){ .calls = calls, .terms = *terms };
    condition_init(&postgres->freed);
    pthread_mutex_init(&postgres->lock, NULL);
    postgres->unconnected = busy;
    *out = postgres;
    return OK;
}

void postgres_close(struct postgres *postgres)
{
    if (!postgres)
        return;
    while (postgres->idle) {
        struct connection *connection = postgres->idle;
        postgres->idle = connection->next;
        postgres_finish(postgres, connection);
    }
    pthread_cond_destroy(&postgres->freed);
    pthread_mutex_destroy(&postgres->lock);
    free(postgres);
}
