/* tests/unit/tls_server.h: an HTTPS server whose answers a test writes itself. It listens on one free port of two
 * addresses, 127.0.0.1 and 127.0.0.2, and counts who came to which. Its certificate is good for the names given, and
 * signed by an authority of its own, in a file of `folder`. */
#ifndef TLS_SERVER_H
#define TLS_SERVER_H

#include "folder.h"
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>

enum { TLS_CONNECTIONS_MAX = 512, TLS_REQUEST_MAX = 16384 };

struct tls_server {
    int port, listeners[2];
    pthread_t acceptors[2];
    SSL_CTX *ctx;
    const char *ca_file;
    void (*answer)(struct tls_server *, struct str request, SSL *to); /* the connection ends after it */
    atomic_int came[2], requests; /* connections to 127.0.0.1 and 127.0.0.2, before TLS; and what they asked */
    atomic_bool is_silent;        /* says nothing, not even in TLS */
    pthread_mutex_t lock;
    char last[TLS_REQUEST_MAX + 1]; /* the last request, under the lock */
    size_t count;
    pthread_t threads[TLS_CONNECTIONS_MAX];
    int sockets[TLS_CONNECTIONS_MAX];
};

/* --- certificates ------------------------------------------------------------------------------------------------ */

static inline void tls_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(cert, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

/* For `names` ("DNS:a.example,IP:127.0.0.1"), or an authority's own when that is NULL. */
static inline X509 *tls_certificate(EVP_PKEY *key, const char *name, const char *names, X509 *issuer,
                                    EVP_PKEY *issuer_key)
{
    X509 *cert = X509_new();
    assert_non_null(cert);
    (void)X509_set_version(cert, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(cert), names ? 2 : 1);
    X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    issuer = issuer ? issuer : cert;
    X509_set_issuer_name(cert, X509_get_subject_name(issuer));
    tls_extend(cert, issuer, NID_basic_constraints, names ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (names)
        tls_extend(cert, issuer, NID_subject_alt_name, names);
    assert_true(X509_sign(cert, issuer_key, EVP_sha256()) > 0);
    return cert;
}

static inline void tls_make_certificates(struct tls_server *server, const char *names)
{
    EVP_PKEY *ca_key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    X509 *ca = tls_certificate(ca_key, "Authority", NULL, NULL, ca_key);
    X509 *cert = tls_certificate(key, "Server", names, ca, ca_key);
    FILE *file = fopen(server->ca_file, "we");
    assert_non_null(file);
    assert_int_equal(PEM_write_X509(file, ca), 1);
    fclose(file);
    server->ctx = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(server->ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server->ctx, key), 1);
    X509_free(cert);
    X509_free(ca);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
}

/* --- serving ----------------------------------------------------------------------------------------------------- */

struct tls_connection {
    struct tls_server *server;
    int socket;
};

/* With its body, which none of these tests sends without a Content-Length. */
static inline bool tls_is_whole(struct str text)
{
    const char *end = memmem(text.at, text.len, "\r\n\r\n", 4);
    const char *length = end ? memmem(text.at, (size_t)(end - text.at), "Content-Length: ", 16) : NULL;
    const size_t body = length ? (size_t)strtoul(length + 16, NULL, 10) : 0;
    return end && text.len >= (size_t)(end + 4 - text.at) + body;
}

static inline void tls_serve_one(struct tls_server *server, SSL *ssl)
{
    char text[TLS_REQUEST_MAX + 1];
    size_t len = 0;
    if (SSL_accept(ssl) != 1)
        return;
    while (len < TLS_REQUEST_MAX && !tls_is_whole((struct str){ text, len })) {
        int n = SSL_read(ssl, text + len, (int)(TLS_REQUEST_MAX - len));
        if (n <= 0)
            return;
        len += (size_t)n;
    }
    text[len] = '\0';
    pthread_mutex_lock(&server->lock);
    memcpy(server->last, text, len + 1);
    pthread_mutex_unlock(&server->lock);
    atomic_fetch_add(&server->requests, 1);
    server->answer(server, (struct str){ text, len }, ssl);
    (void)SSL_shutdown(ssl);
}

static inline void *tls_serve(void *arg)
{
    struct tls_connection connection = *(struct tls_connection *)arg;
    free(arg);
    if (atomic_load(&connection.server->is_silent)) {
        char byte;
        while (read(connection.socket, &byte, 1) > 0)
            continue;
    } else {
        SSL *ssl = SSL_new(connection.server->ctx);
        SSL_set_fd(ssl, connection.socket);
        tls_serve_one(connection.server, ssl);
        SSL_free(ssl);
    }
    shutdown(connection.socket, SHUT_RDWR);
    return NULL;
}

static inline void *tls_accept(void *arg)
{
    struct tls_connection at = *(struct tls_connection *)arg; /* socket: which of both listeners */
    struct tls_server *server = at.server;
    free(arg);
    for (int fd; (fd = accept(server->listeners[at.socket], NULL, NULL)) >= 0;) {
        struct tls_connection *connection = malloc(sizeof *connection);
        if (!connection)
            abort();
        *connection = (struct tls_connection){ server, fd };
        atomic_fetch_add(&server->came[at.socket], 1);
        pthread_mutex_lock(&server->lock);
        if (server->count == TLS_CONNECTIONS_MAX)
            abort();
        server->sockets[server->count] = fd;
        if (pthread_create(&server->threads[server->count++], NULL, tls_serve, connection) != 0)
            abort();
        pthread_mutex_unlock(&server->lock);
    }
    return NULL;
}

static inline bool tls_listen(struct tls_server *server)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_port = htons((uint16_t)server->port),
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK + i) };
        socklen_t size = sizeof address;
        server->listeners[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (bind(server->listeners[i], (struct sockaddr *)&address, size) != 0)
            return false;
        assert_int_equal(listen(server->listeners[i], 64), 0);
        assert_int_equal(getsockname(server->listeners[i], (struct sockaddr *)&address, &size), 0);
        server->port = ntohs(address.sin_port);
    }
    return true;
}

/* The port that is free on one address may be taken on the other: then another one is asked for. */
static inline struct tls_server *tls_start(const char *ca_file, const char *names,
                                           void (*answer)(struct tls_server *, struct str, SSL *))
{
    struct tls_server *server = calloc(1, sizeof *server);
    assert_non_null(server);
    (void)signal(SIGPIPE, SIG_IGN);
    server->answer = answer;
    server->ca_file = ca_file;
    pthread_mutex_init(&server->lock, NULL);
    tls_make_certificates(server, names);
    for (int tries = 0; !tls_listen(server); tries++) {
        assert_true(tries < 20);
        close(server->listeners[0]);
        close(server->listeners[1]);
        server->port = 0;
    }
    for (int i = 0; i < 2; i++) {
        struct tls_connection *at = malloc(sizeof *at);
        assert_non_null(at);
        *at = (struct tls_connection){ server, i };
        assert_int_equal(pthread_create(&server->acceptors[i], NULL, tls_accept, at), 0);
    }
    return server;
}

static inline void tls_stop(struct tls_server *server)
{
    for (int i = 0; i < 2; i++) {
        shutdown(server->listeners[i], SHUT_RDWR);
        pthread_join(server->acceptors[i], NULL);
        close(server->listeners[i]);
    }
    for (size_t i = 0; i < server->count; i++) {
        shutdown(server->sockets[i], SHUT_RDWR);
        pthread_join(server->threads[i], NULL);
        close(server->sockets[i]);
    }
    SSL_CTX_free(server->ctx);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

static inline bool tls_write(SSL *to, const char *text)
{
    return SSL_write(to, text, (int)strlen(text)) > 0;
}

#endif
