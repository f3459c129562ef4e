/* net/client.c: a pool of libcurl's handles, with the connections that they keep alive. A caller takes the handle that
 * was used last (the warmest), sends, waits, and gives it back: no lock is held while it does, and there are as many
 * connections as there were callers at once. DNS results and TLS sessions are shared by all handles; connections are
 * not, since before libcurl 8 two threads could not share them. With a guard nothing is kept or shared but DNS results.
 *
 * The trusted certificates are read once, for all connections. libcurl would read the system's 140 for each: 20 ms and
 * a megabyte, 200 times over. */
#include "net/client.h"
#include "base/clock.h"
#include "base/sentence.h"
#include "net/handle.h"
#include "observe/log.h"
#include "wire/lines.h"
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

enum {
    IDLE_MAX = 512,      /* handles; above that they are closed after use */
    IDLE_MS = 60 * 1000, /* after that one is closed: its connection would not be used again (handle.c) */
    SWEEP_MS = 100,
    CLOSED_AT_ONCE = 4, /* a caller closes no more of others' old ones: its own answer waits */
    URL_MAX = 8192,
};

struct net_client {
    struct net_common common;
    pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
    pthread_mutex_t lock;
    struct net_handle *idle; /* the one that was used last is the first */
    size_t idle_count;
    int64_t swept_ms;
};

/* --- idle handles ------------------------------------------------------------------------------------------------ */

static void client_close_all(struct net_handle *first)
{
    while (first) {
        struct net_handle *handle = first;
        first = handle->next;
        handle_close(handle);
    }
}

/* With the lock. Takes out some that have been idle too long, since no caller may ever use them again: all behind the
 * first such handle have. */
static struct net_handle *client_sweep(struct net_client *client, int64_t now_ms)
{
    struct net_handle **at = &client->idle, **end;
    if (now_ms - client->swept_ms < SWEEP_MS)
        return NULL;
    client->swept_ms = now_ms;
    while (*at && now_ms - (*at)->used_ms < IDLE_MS)
        at = &(*at)->next;
    struct net_handle *old = *at;
    size_t count = 0;
    for (end = at; *end && count < CLOSED_AT_ONCE; end = &(*end)->next)
        count++;
    *at = *end;
    *end = NULL;
    client->idle_count -= count;
    return count > 0 ? old : NULL;
}

/* One that leads there, or NULL. Its connection may have been closed by the peer since. */
static struct net_handle *client_take_idle(struct net_client *client, struct str origin, bool is_direct)
{
    pthread_mutex_lock(&client->lock);
    struct net_handle **at = &client->idle;
    while (*at && !(str_eq((*at)->origin, origin) && (*at)->is_direct == is_direct))
        at = &(*at)->next;
    struct net_handle *found = *at;
    if (found) {
        *at = found->next;
        client->idle_count--;
    }
    pthread_mutex_unlock(&client->lock);
    return found;
}

static struct net_handle *client_take_alive(struct net_client *client, struct str origin, bool is_direct)
{
    struct net_handle *found;
    for (int i = 0; i < CLOSED_AT_ONCE && (found = client_take_idle(client, origin, is_direct)); i++) {
        if (handle_is_alive(found))
            return found;
        handle_close(found);
    }
    return NULL;
}

static void client_put_back(struct net_client *client, struct net_handle *handle)
{
    const int64_t now_ms = clock_ms();
    handle->used_ms = now_ms;
    pthread_mutex_lock(&client->lock);
    struct net_handle *old = client_sweep(client, now_ms);
    if (client->idle_count == IDLE_MAX) {
        handle->next = old;
        old = handle;
    } else {
        handle->next = client->idle;
        client->idle = handle;
        client->idle_count++;
    }
    pthread_mutex_unlock(&client->lock);
    client_close_all(old);
}

/* --- opening ----------------------------------------------------------------------------------------------------- */

static struct err client_open_trusted(struct net_client *client)
{
    X509_STORE *store = X509_STORE_new();
    if (!store)
        return failed(ERR_INTERNAL, "there is no memory for certificates");
    client->common.trusted = store;
    if (client->common.ca_file[0] && X509_STORE_load_file(store, client->common.ca_file) != 1)
        return failed(ERR_INVALID_REQUEST,
                      "the bundle of trusted certificates is not a readable PEM file with certificates");
    if (!client->common.ca_file[0])
        (void)X509_STORE_set_default_paths(store); /* in a folder each is looked for when it is needed */
    return OK;
}

static void client_lock_shared(CURL *curl, curl_lock_data data, curl_lock_access access, void *arg)
{
    struct net_client *client = arg;
    (void)curl;
    (void)access;
    pthread_mutex_lock(&client->share_locks[data]);
}

static void client_unlock_shared(CURL *curl, curl_lock_data data, void *arg)
{
    struct net_client *client = arg;
    (void)curl;
    pthread_mutex_unlock(&client->share_locks[data]);
}

static struct err client_open_share(struct net_client *client)
{
    const struct curl_calls *calls = client->common.calls;
    client->common.share = calls->share_init();
    if (!client->common.share || calls->share_setopt(client->common.share, CURLSHOPT_LOCKFUNC, client_lock_shared) ||
        calls->share_setopt(client->common.share, CURLSHOPT_UNLOCKFUNC, client_unlock_shared) ||
        calls->share_setopt(client->common.share, CURLSHOPT_USERDATA, client) ||
        calls->share_setopt(client->common.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) ||
        (!client->common.guard && /* each call judges the peer's certificate anew */
         calls->share_setopt(client->common.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION)))
        return failed(ERR_INTERNAL, "libcurl could not be set up");
    return OK;
}

/* A peer that closes while it is written to must not end the process. The service ignores the signal already. */
static void client_ignore_sigpipe(void)
{
    struct sigaction now;
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        (void)signal(SIGPIPE, SIG_IGN);
}

struct err net_open_guarded(const char *ca_file, const struct guard *guard, struct net_client **out)
{
    const struct curl_calls *calls = NULL;
    TRY(curl_load(&calls));
    client_ignore_sigpipe();
    struct net_client *client = mem_alloc(sizeof *client);
    *client =
        (struct net_client){ .common = { .calls = calls, .ca_file = strdup(ca_file ? ca_file : ""), .guard = guard } };
    if (!client->common.ca_file)
        abort(); /* as mem_alloc() does */
    pthread_mutex_init(&client->lock, NULL);
    for (size_t i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_init(&client->share_locks[i], NULL);
    struct err err = calls->set_cert_store ? client_open_trusted(client) : OK;
    if (!err.code)
        err = client_open_share(client);
    if (err.code) {
        net_close(client);
        return err;
    }
    *out = client;
    return OK;
}

struct err net_open(const char *ca_file, struct net_client **out)
{
    return net_open_guarded(ca_file, NULL, out);
}

void net_close(struct net_client *client)
{
    if (!client)
        return;
    client_close_all(client->idle);
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

static struct err client_report(const struct net_client *client, const struct net_request *request, struct str origin,
                                struct err err)
{
    if (err.code == ERR_INTERNAL)
        return err;
    LOG(LOG_WARN, "request_failed", LOG_STR("to", origin), LOG_TEXT_("method", request->method),
        LOG_TEXT_("detail", err.why));
    if (client->common.guard)
        return failed(ERR_UNAVAILABLE, err.why);
    const struct str to = origin.len > 0 ? origin : STR("its address");
    return failed(ERR_UNAVAILABLE, sentence_keep("a service that is needed can't be reached; try again later",
                                                 "%.*s: %s", (int)to.len, to.at, err.why));
}

/* scheme://host:port at the beginning of the URL, which is held to what libcurl could read in another way. */
static struct err client_read_origin(const char *url, struct str *out)
{
    static const struct str schemes[] = { STR_INIT("https://"), STR_INIT("http://") };
    const struct str text = str_of(url);
    for (size_t i = 0; i < 2 && text.len <= URL_MAX && wire_is_visible(text); i++) {
        const size_t scheme = schemes[i].len;
        const size_t host = text.len > scheme ? strcspn(text.at + scheme, "/?#") : 0;
        if (host == 0 || !str_eq_nocase((struct str){ text.at, scheme }, schemes[i]))
            continue;
        if (str_has((struct str){ text.at + scheme, host }, '@')) /* and it is not logged */
            return failed(ERR_UNAVAILABLE, "a URL with a user or a password can't be called");
        *out = (struct str){ text.at, scheme + host };
        return OK;
    }
    return failed(ERR_UNAVAILABLE, "the URL is malformed, or not one of http or https");
}

/* After a secret the handle is closed, so that its buffers are wiped (curl.c); and with a guard none is kept, since
 * strangers could fill the pool. */
static struct err client_send_by(struct net_client *client, struct arena *arena, const struct net_request *request,
                                 struct str origin, struct net_answer *out)
{
    const bool is_guarded = client->common.guard != NULL;
    const bool is_alone = request->is_unique || is_guarded;
    struct net_handle *handle = is_alone ? NULL : client_take_alive(client, origin, request->is_direct);
    if (!handle)
        TRY(handle_open(&client->common, origin, request->is_direct, &handle));
    struct err err = handle_send(handle, arena, request, out);
    if (err.code || request->is_secret || is_guarded)
        handle_close(handle);
    else
        client_put_back(client, handle);
    return err;
}

struct err net_send(struct net_client *client, struct arena *arena, const struct net_request *request,
                    struct net_answer *out)
{
    struct str origin = { 0, 0 };
    if (request->timeout_ms <= 0)
        return failed(ERR_UNAVAILABLE, "there is no time left to ask a service that is needed");
    struct err err = client_read_origin(request->url, &origin);
    if (!err.code)
        err = client_send_by(client, arena, request, origin, out);
    return err.code ? client_report(client, request, origin, err) : OK;
}
