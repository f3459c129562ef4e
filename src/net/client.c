/* net/client.c: a pool of libcurl's easy handles, each with its own kept-alive connections. A caller takes the handle
 * that was used last (the warmest), sends, waits, and lays it back: no lock is held meanwhile, and there are as many
 * handles as there were callers at once. Names and TLS sessions are shared by all.
 *
 * The trusted certificates are read once, for all connections. libcurl would read the system's 140 for each handle:
 * 20 ms and a megabyte, 200 times over. */
#include "net/client.h"
#include "net/curl.h"
#include "observe/log.h"
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum { HANDLES_MAX = 512 }; /* idle ones that are kept; above that they are closed after use */

struct handle {
    struct handle *next;
    CURL *curl;
    const struct net_client *client;
};

struct net_client {
    const struct curl_calls *calls;
    CURLSH *share;
    pthread_mutex_t share_locks[CURL_LOCK_DATA_LAST];
    X509_STORE *trusted; /* NULL: libcurl's own, from ca_file */
    char *ca_file;
    pthread_mutex_t lock;
    struct handle *idle;
    size_t idle_count;
};

/* What arrives of one answer. */
struct transfer {
    struct arena *arena;
    struct buf body;
    struct str date, request_id;
    int64_t retry_after_s;
};

/* --- what libcurl calls ------------------------------------------------------------------------------------------ */

static size_t take_body(char *at, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    buf_add(&transfer->body, (struct str){ at, size * count });
    return transfer->body.overflowed ? 0 : size * count; /* fewer than it gave: libcurl stops */
}

static int64_t seconds_of(struct str text)
{
    int64_t seconds = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < '0' || text.at[i] > '9' || i == 6)
            return 0;
        seconds = seconds * 10 + (text.at[i] - '0');
    }
    return seconds;
}

static size_t take_header(char *at, size_t size, size_t count, void *arg)
{
    struct transfer *transfer = arg;
    struct str value = { at, size * count }, name;
    while (value.len > 0 && (value.at[value.len - 1] == '\r' || value.at[value.len - 1] == '\n'))
        value.len--;
    if (!str_cut(&value, ':', &name) || value.len > 256)
        return size * count;
    value = str_trim(value);
    if (str_eq_nocase(name, STR("Date")))
        transfer->date = arena_copy(transfer->arena, value);
    else if (str_eq_nocase(name, STR("x-amzn-RequestId")) || str_eq_nocase(name, STR("x-amz-request-id")))
        transfer->request_id = arena_copy(transfer->arena, value);
    else if (str_eq_nocase(name, STR("Retry-After")))
        transfer->retry_after_s = seconds_of(value);
    return size * count;
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

/* A new TLS connection: the certificates that all share, and no decrypted byte left in OpenSSL's buffers. */
static CURLcode prepare_tls(CURL *curl, void *ssl_ctx, void *arg)
{
    const struct net_client *client = arg;
    (void)curl;
    client->calls->set_cert_store(ssl_ctx, client->trusted);
    client->calls->set_options(ssl_ctx, SSL_OP_CLEANSE_PLAINTEXT);
    return CURLE_OK;
}

/* --- handles ----------------------------------------------------------------------------------------------------- */

static void close_handle(struct handle *handle)
{
    handle->client->calls->easy_cleanup(handle->curl);
    free(handle);
}

/* What is the same for every request. */
static bool set_up(struct handle *handle)
{
    const struct net_client *client = handle->client;
    CURLcode (*set)(CURL *, CURLoption, ...) = client->calls->easy_setopt;
    CURL *curl = handle->curl;
    /* No signals: libcurl would time name look-ups out with SIGALRM, which no thread may use. HTTP/1.1: a connection
     * has one call in flight, so HTTP/2 would bring nothing but its framing. */
    bool good = !set(curl, CURLOPT_NOSIGNAL, 1L) && !set(curl, CURLOPT_PROTOCOLS_STR, "http,https") &&
                !set(curl, CURLOPT_FOLLOWLOCATION, 0L) && !set(curl, CURLOPT_SHARE, client->share) &&
                !set(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) && !set(curl, CURLOPT_TCP_NODELAY, 1L) &&
                !set(curl, CURLOPT_USERAGENT, "token-service") && !set(curl, CURLOPT_WRITEFUNCTION, take_body) &&
                !set(curl, CURLOPT_HEADERFUNCTION, take_header) && !set(curl, CURLOPT_SSL_VERIFYPEER, 1L) &&
                !set(curl, CURLOPT_SSL_VERIFYHOST, 2L) && !set(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (client->trusted)
        return good && !set(curl, CURLOPT_CAINFO, NULL) && !set(curl, CURLOPT_CAPATH, NULL) &&
               !set(curl, CURLOPT_SSL_CTX_FUNCTION, prepare_tls) && !set(curl, CURLOPT_SSL_CTX_DATA, client);
    return good && (!client->ca_file[0] || !set(curl, CURLOPT_CAINFO, client->ca_file));
}

static struct handle *take_handle(struct net_client *client)
{
    pthread_mutex_lock(&client->lock);
    struct handle *handle = client->idle;
    if (handle) {
        client->idle = handle->next;
        client->idle_count--;
    }
    pthread_mutex_unlock(&client->lock);
    if (handle)
        return handle;
    handle = mem_alloc(sizeof *handle);
    *handle = (struct handle){ .curl = client->calls->easy_init(), .client = client };
    if (!handle->curl) {
        free(handle);
        return NULL;
    }
    if (!set_up(handle)) {
        close_handle(handle);
        return NULL;
    }
    return handle;
}

/* Closed after a secret, so that its buffers are wiped (curl.c). */
static void give_back(struct net_client *client, struct handle *handle, bool close)
{
    pthread_mutex_lock(&client->lock);
    close = close || client->idle_count == HANDLES_MAX;
    if (!close) {
        handle->next = client->idle;
        client->idle = handle;
        client->idle_count++;
    }
    pthread_mutex_unlock(&client->lock);
    if (close)
        close_handle(handle);
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
    client->trusted = store;
    if (client->ca_file[0] && X509_STORE_load_file(store, client->ca_file) != 1)
        return failed(ERR_INVALID_REQUEST,
                      "the bundle of trusted certificates is no readable PEM file with certificates");
    if (!client->ca_file[0])
        trust_the_system(store);
    return OK;
}

static struct err open_share(struct net_client *client)
{
    const struct curl_calls *calls = client->calls;
    client->share = calls->share_init();
    if (!client->share || calls->share_setopt(client->share, CURLSHOPT_LOCKFUNC, lock_shared) ||
        calls->share_setopt(client->share, CURLSHOPT_UNLOCKFUNC, unlock_shared) ||
        calls->share_setopt(client->share, CURLSHOPT_USERDATA, client) ||
        calls->share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS) ||
        calls->share_setopt(client->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION))
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
    *client = (struct net_client){ .calls = calls, .ca_file = strdup(ca_file ? ca_file : "") };
    if (!client->ca_file)
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
    while (client->idle) {
        struct handle *handle = client->idle;
        client->idle = handle->next;
        close_handle(handle);
    }
    if (client->share)
        client->calls->share_cleanup(client->share);
    X509_STORE_free(client->trusted);
    for (size_t i = 0; i < CURL_LOCK_DATA_LAST; i++)
        pthread_mutex_destroy(&client->share_locks[i]);
    pthread_mutex_destroy(&client->lock);
    free(client->ca_file);
    free(client);
}

/* --- sending ----------------------------------------------------------------------------------------------------- */

/* libcurl's list, in the arena: it only reads it. A header that could end early and begin another is refused. */
static struct err list_headers(struct arena *arena, const struct net_request *request, struct curl_slist **out)
{
    /* "Expect:" takes away the pause that libcurl makes before a long body, "Accept:" a header that nobody needs. */
    static char no_expect[] = "Expect:", no_accept[] = "Accept:";
    struct curl_slist *nodes = arena_alloc(arena, (NET_HEADERS_MAX + 2) * sizeof *nodes);
    if (request->header_count > NET_HEADERS_MAX)
        return failed(ERR_INTERNAL, "a request has too many headers");
    for (size_t i = 0; i < request->header_count; i++) {
        const struct net_header *header = &request->headers[i];
        size_t name = strlen(header->name), value = strlen(header->value);
        if (value == 0 || name + value > NET_HEADER_MAX || strpbrk(header->value, "\r\n"))
            return failed(ERR_INTERNAL, "a request's header is malformed");
        char *line = arena_alloc(arena, name + value + 3);
        memcpy(line, header->name, name);
        memcpy(line + name, ": ", 2);
        memcpy(line + name + 2, header->value, value + 1);
        nodes[i] = (struct curl_slist){ line, &nodes[i + 1] };
    }
    nodes[request->header_count] = (struct curl_slist){ no_expect, &nodes[request->header_count + 1] };
    nodes[request->header_count + 1] = (struct curl_slist){ no_accept, NULL };
    *out = nodes;
    return OK;
}

/* A request's own options. All are set each time, so that none is left over from the last one. */
static bool prepare(struct handle *handle, const struct net_request *request, struct curl_slist *headers,
                    struct transfer *transfer)
{
    CURLcode (*set)(CURL *, CURLoption, ...) = handle->client->calls->easy_setopt;
    CURL *curl = handle->curl;
    bool is_get = strcmp(request->method, "GET") == 0, is_post = strcmp(request->method, "POST") == 0;
    bool good = !set(curl, CURLOPT_URL, request->url) && !set(curl, CURLOPT_HTTPHEADER, headers) &&
                !set(curl, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms) &&
                !set(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)request->timeout_ms) &&
                !set(curl, CURLOPT_FRESH_CONNECT, (long)request->is_unique) &&
                !set(curl, CURLOPT_PROXY, request->is_direct ? "" : NULL) && !set(curl, CURLOPT_WRITEDATA, transfer) &&
                !set(curl, CURLOPT_HEADERDATA, transfer) &&
                !set(curl, CURLOPT_CUSTOMREQUEST, is_get || is_post ? NULL : request->method);
    if (is_get)
        return good && !set(curl, CURLOPT_HTTPGET, 1L);
    return good && !set(curl, CURLOPT_POST, 1L) &&
           !set(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len) &&
           !set(curl, CURLOPT_POSTFIELDS, request->body.len > 0 ? request->body.at : "");
}

/* scheme://host:port, for the log: no path or query, no user or password. */
static struct str origin_of(const char *url)
{
    const char *host = strstr(url, "://");
    host = host ? host + 3 : url;
    size_t len = strcspn(host, "/?#");
    const char *user = memrchr(host, '@', len);
    return user ? (struct str){ user + 1, len - (size_t)(user + 1 - host) }
                : (struct str){ url, (size_t)(host - url) + len };
}

static struct err report(const struct net_client *client, const struct net_request *request,
                         const struct transfer *transfer, CURLcode code)
{
    bool too_long = code == CURLE_WRITE_ERROR && transfer->body.overflowed;
    LOG(LOG_WARN, "request_failed", LOG_STR("to", origin_of(request->url)),
        LOG_TEXT_("detail", too_long ? "the answer is too long" : client->calls->easy_strerror(code)),
        LOG_INT("curl", code));
    return failed(ERR_UNAVAILABLE, "a service that is needed gave no answer in time");
}

static struct err perform(struct net_client *client, struct handle *handle, const struct net_request *request,
                          struct transfer *transfer, struct net_answer *out)
{
    struct curl_slist *headers = NULL;
    long status = 0;
    TRY(list_headers(transfer->arena, request, &headers));
    if (!prepare(handle, request, headers, transfer))
        return failed(ERR_INTERNAL, "a request could not be prepared");
    CURLcode code = client->calls->easy_perform(handle->curl);
    if (code)
        return report(client, request, transfer, code);
    client->calls->easy_getinfo(handle->curl, CURLINFO_RESPONSE_CODE, &status);
    time_t date = status != 200 && transfer->date.len > 0 ? client->calls->getdate(transfer->date.at, NULL) : 0;
    *out = (struct net_answer){ .status = (int)status,
                                .body = buf_str(&transfer->body),
                                .date_s = date > 0 ? (int64_t)date : 0,
                                .retry_after_s = transfer->retry_after_s,
                                .request_id = transfer->request_id };
    return OK;
}

struct err net_send(struct net_client *client, struct arena *arena, const struct net_request *request,
                    struct net_answer *out)
{
    if (request->timeout_ms <= 0)
        return failed(ERR_UNAVAILABLE, "there is no time left to ask a service that is needed");
    struct transfer transfer = { .arena = arena };
    struct handle *handle = take_handle(client);
    if (!handle)
        return failed(ERR_INTERNAL, "libcurl could not be set up");
    buf_init(&transfer.body, arena, 1024, request->answer_max);
    struct err err = perform(client, handle, request, &transfer, out);
    give_back(client, handle, request->is_secret);
    return err;
}
