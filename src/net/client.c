/* net/client.c: a pool of connections that are kept alive. A caller takes the one that was used last (the warmest),
 * sends, waits, and lays it back: no lock is held meanwhile, and there are as many connections as there were callers at
 * once. Names and TLS sessions are shared by all.
 *
 * The trusted certificates are read once, for all connections. libcurl would read the system's 140 for each: 20 ms and
 * a megabyte, 200 times over. */
#include "net/client.h"
#include "base/clock.h"
#include "base/sentence.h"
#include "net/connection.h"
#include "observe/log.h"
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    IDLE_MAX = 512,         /* connections; above that they are closed after use */
    IDLE_MS = 60 * 1000,    /* after that one is not used again: something on the way may have forgotten it */
    AGE_MS = 5 * 60 * 1000, /* nor after that: the name may lead elsewhere by now */
    SWEEP_MS = 100,
    CLOSED_AT_ONCE = 4, /* a caller closes no more of others' old ones: its own answer waits */
};

struct net_client {
    struct net_common common;
    pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
    pthread_mutex_t lock;
    struct net_connection *idle; /* the one that was used last is the first */
    size_t idle_count;
    int64_t swept_ms;
};

/* --- idle connections -------------------------------------------------------------------------------------------- */

static void close_all(struct net_connection *first)
{
    while (first) {
        struct net_connection *connection = first;
        first = connection->next;
        connection_close(connection);
    }
}

static bool is_fresh(const struct net_connection *connection, int64_t now_ms)
{
    return now_ms - connection->used_ms < IDLE_MS && now_ms - connection->opened_ms < AGE_MS;
}

/* With the lock. Takes out some that have lain too long, since nobody else may ever ask for them: all behind the first
 * such one have. */
static struct net_connection *sweep(struct net_client *client, int64_t now_ms)
{
    struct net_connection **at = &client->idle, **end;
    if (now_ms - client->swept_ms < SWEEP_MS)
        return NULL;
    client->swept_ms = now_ms;
    while (*at && now_ms - (*at)->used_ms < IDLE_MS)
        at = &(*at)->next;
    struct net_connection *old = *at;
    size_t count = 0;
    for (end = at; *end && count < CLOSED_AT_ONCE; end = &(*end)->next)
        count++;
    *at = *end;
    *end = NULL;
    client->idle_count -= count;
    return count > 0 ? old : NULL;
}

/* One that leads there, or NULL. It may have been closed by its peer since. */
static struct net_connection *take_idle(struct net_client *client, const struct net_url *url, bool is_direct)
{
    pthread_mutex_lock(&client->lock);
    struct net_connection **at = &client->idle;
    while (*at && !(str_eq((*at)->origin, url->origin) && (*at)->is_direct == is_direct))
        at = &(*at)->next;
    struct net_connection *found = *at;
    if (found) {
        *at = found->next;
        client->idle_count--;
    }
    pthread_mutex_unlock(&client->lock);
    return found;
}

static struct net_connection *take_alive(struct net_client *client, const struct net_url *url, bool is_direct,
                                         int64_t now_ms)
{
    struct net_connection *found;
    for (int i = 0; i < CLOSED_AT_ONCE && (found = take_idle(client, url, is_direct)); i++) {
        if (is_fresh(found, now_ms) && connection_is_alive(found))
            return found;
        connection_close(found);
    }
    return NULL;
}

static void lay_back(struct net_client *client, struct net_connection *connection)
{
    const int64_t now_ms = clock_ms();
    connection->used_ms = now_ms;
    pthread_mutex_lock(&client->lock);
    struct net_connection *old = sweep(client, now_ms);
    if (client->idle_count == IDLE_MAX) {
        connection->next = old;
        old = connection;
    } else {
        connection->next = client->idle;
        client->idle = connection;
        client->idle_count++;
    }
    pthread_mutex_unlock(&client->lock);
    close_all(old);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

/* OpenSSL's default places; where Debian's are not (the library was brought along), those of other distributions. */
static void trust_the_system(X509_STORE *store)
{
    static const char *const bundles[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                           "/etc/ssl/cert.pem" };
    (void)X509_STORE_set_default_paths(
        store); /* a folder is looked into by each certificate's hash, when it is needed */
    if (access(X509_get_default_cert_dir(), R_OK) == 0)
        return;
    for (size_t i = 0; i < sizeof bundles / sizeof *bundles; i++)
        if (X509_STORE_load_file(store, bundles[i]) == 1)
            return;
}

static struct err open_trusted(struct net_client *client)
{
    X509_STORE *store = X509_STORE_new();
    if (!store)
        return failed(ERR_INTERNAL, "there is no memory for certificates");
    client->common.trusted = store;
    if (client->common.ca_file[0] && X509_STORE_load_file(store, client->common.ca_file) != 1)
        return failed(ERR_INVALID_REQUEST,
                      "the bundle of trusted certificates is no readable PEM file with certificates");
    if (!client->common.ca_file[0])
        trust_the_system(store);
    return OK;
}

static void lock_shared(CURL *curl, curl_lock_data data, curl_lock_access access, void *arg)
{
    struct net_client *client = arg;
    (void)curl;
    (void)access;
    pthread_mutex_lock(&client->share_locks[data]);
}

static void unlock_shared(CURL *curl, curl_lock_data data, void *arg)
{
    struct net_client *client = arg;
    (void)curl;
    pthread_mutex_unlock(&client->share_locks[data]);
}

static struct err open_share(struct net_client *client)
{
    const struct curl_calls *calls = client->common.calls;
    client->common.share = calls->share_init();
    if (!client->common.share || calls->share_setopt(client->common.share, CURLSHOPT_LOCKFUNC, lock_shared) ||
        calls->share_setopt(client->common.share, CURLSHOPT_UNLOCKFUNC, unlock_shared) ||
        calls->share_setopt(client->common.share, CURLSHOPT_USERDATA, client) ||
        calls->share_setopt(client->common.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) ||
        calls->share_setopt(client->common.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION))
        return failed(ERR_INTERNAL, "libcurl could not be set up");
    return OK;
}

/* A peer that closes while it is written to must not end the process. The service ignores the signal already. */
static void ignore_sigpipe(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        (void)signal(SIGPIPE, SIG_IGN);
}

struct err net_open(const char *ca_file, struct net_client **out)
{
    const struct curl_calls *calls = NULL;
    TRY(curl_load(&calls));
    ignore_sigpipe();
    struct net_client *client = mem_alloc(sizeof *client);
    *client = (struct net_client){ .common = { .calls = calls, .ca_file = strdup(ca_file ? ca_file : "") } };
    if (!client->common.ca_file)
        abort(); /* as mem_alloc() does */
    pthread_mutex_init(&client->lock, NULL);
    for (size_t i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_init(&client->share_locks[i], NULL);
    struct err err = calls->set_cert_store ? open_trusted(client) : OK;
    if (!err.code)
        err = open_share(client);
    if (err.code) {
        net_close(client);
        return err;
    }
    *out = client;
    return OK;
}

void net_close(struct net_client *client)
{
    if (!client)
        return;
    close_all(client->idle);
    if (client->common.share)
        client->common.calls->share_cleanup(client->common.share);
    X509_STORE_free(client->common.trusted);
    for (size_t i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_destroy(&client->share_locks[i]);
    pthread_mutex_destroy(&client->lock);
    free(client->common.ca_file);
    free(client);
}

/* --- sending ----------------------------------------------------------------------------------------------------- */

static struct err report(const struct net_request *request, const struct net_url *url, struct err err)
{
    if (err.code == ERR_INTERNAL)
        return err;
    LOG(LOG_WARN, "request_failed", LOG_STR("to", url->origin), LOG_TEXT_("method", request->method),
        LOG_TEXT_("detail", err.why));
    const struct str to = url->origin.len > 0 ? url->origin : STR("its address");
    return failed(ERR_UNAVAILABLE, sentence_keep("a service that is needed can't be reached; try again later",
                                                 "%.*s: %s", (int)to.len, to.at, err.why));
}

/* One request and its answer over one connection. */
static struct err converse(struct net_connection *connection, struct arena *arena, const struct net_request *request,
                           struct str text, int64_t deadline_ms)
{
    struct answer *answer = &connection->answer;
    answer_begin(answer, arena, request->answer_max);
    TRY(connection_send(connection, text, deadline_ms));
    while (answer->state != ANSWER_WHOLE) {
        size_t room = 0, got = 0;
        char *to = answer_room(answer, &room);
        TRY(connection_receive(connection, to, room, deadline_ms, &got));
        TRY(got > 0 ? answer_received(answer, got) : answer_ended(answer));
    }
    return OK;
}

static void give_out(const struct net_client *client, const struct answer *answer, struct net_answer *out)
{
    time_t date = 0;
    if (answer->status != 200 && answer->date.len > 0)
        date = client->common.calls->getdate(answer->date.at, NULL);
    *out = (struct net_answer){ .status = answer->status,
                                .body = buf_str(&answer->body),
                                .date_s = date > 0 ? (int64_t)date : 0,
                                .retry_after_s = answer->retry_after_s,
                                .request_id = answer->request_id,
                                .error_type = answer->error_type };
}

/* After a secret the connection is closed, so that its buffers are wiped (curl.c). */
static void let_go(struct net_client *client, struct net_connection *connection, bool is_good)
{
    if (is_good && connection->answer.keeps_connection)
        lay_back(client, connection);
    else
        connection_close(connection);
}

/* A peer closes what has been idle for long, and that may cross with the request: then nothing of an answer has come,
 * and another connection is tried. */
static struct err send_text(struct net_client *client, struct arena *arena, const struct net_request *request,
                            const struct net_url *url, struct str text, int64_t now_ms, struct net_answer *out)
{
    const int64_t deadline_ms = now_ms + request->timeout_ms;
    struct net_connection *connection = NULL;
    if (!request->is_unique)
        connection = take_alive(client, url, request->is_direct, now_ms);
    for (bool is_used = connection != NULL;; is_used = false) {
        if (!is_used)
            TRY(connection_open(&client->common, url, request->is_direct, deadline_ms, &connection));
        struct err err = converse(connection, arena, request, text, deadline_ms);
        const bool again = err.code && err.code != ERR_TIMEOUT && is_used && !connection->answer.has_begun;
        if (!err.code)
            give_out(client, &connection->answer, out);
        let_go(client, connection, !err.code && !request->is_secret);
        if (!again)
            return err;
    }
}

struct err net_send(struct net_client *client, struct arena *arena, const struct net_request *request,
                    struct net_answer *out)
{
    struct net_url url = { 0 };
    struct str text = { 0, 0 };
    if (request->timeout_ms <= 0)
        return failed(ERR_UNAVAILABLE, "there is no time left to ask a service that is needed");
    struct err err = net_read_url(request->url, &url);
    if (err.code)
        return report(request, &url, err);
    TRY(net_write_request(arena, request, &url, &text));
    err = send_text(client, arena, request, &url, text, clock_ms(), out);
    mem_wipe((char *)(uintptr_t)text.at, text.len); /* credentials, and what is asked for */
    return err.code ? report(request, &url, err) : OK;
}
