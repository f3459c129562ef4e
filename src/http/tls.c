/* http/tls.c: reads certificate and key by way of memory that is locked and wiped. */
#include "http/tls.h"
#include "base/sentence.h"
#include "http/tickets.h"
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PEM_MAX = 256 * 1024, SOON_S = 14 * 24 * 3600, SOON_PART = 4 };

struct tls {
    const char *cert_path, *key_path;
    struct tickets *tickets;
    pthread_mutex_t lock; /* of the pointer, and the references taken by it */
    SSL_CTX *context;
    struct tls_validity validity;
};

static struct err tls_refused(const char *setting, const char *path, const char *why)
{
    ERR_clear_error();
    return failed(ERR_INVALID_REQUEST,
                  sentence_keep("the TLS listener could not be started", "%s %s: %s", setting, path, why));
}

static struct err tls_read_pem(const char *setting, const char *path, bool is_private, struct secret *out)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tls_refused(setting, path, strerror(errno));
    struct err err;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size <= 0 || about.st_size > PEM_MAX)
        err = tls_refused(setting, path, "it is empty, too large or not a file");
    else if (is_private && about.st_mode & (S_IROTH | S_IWOTH))
        err = tls_refused(setting, path, "it can be read by everybody: chmod o-rw it");
    else
        err = secret_init(out, (size_t)about.st_size + 1, NULL);
    for (size_t got = 0; !err.code && got < (size_t)about.st_size;) {
        ssize_t more = read(fd, out->at + got, (size_t)about.st_size - got);
        if (more <= 0)
            err = tls_refused(setting, path, more < 0 ? strerror(errno) : "it became shorter while it was read");
        else
            got += (size_t)more;
    }
    close(fd);
    return err;
}

/* The first certificate is the server's, the others are its chain. */
static bool tls_use_certificates(SSL_CTX *context, BIO *pem)
{
    X509 *one = PEM_read_bio_X509(pem, NULL, NULL, NULL);
    bool good = one && SSL_CTX_use_certificate(context, one) == 1;
    X509_free(one);
    while (good && (one = PEM_read_bio_X509(pem, NULL, NULL, NULL))) {
        good = SSL_CTX_add0_chain_cert(context, one) == 1;
        if (!good)
            X509_free(one);
    }
    ERR_clear_error(); /* the end of the file counts as an error */
    return good;
}

/* A key under a pass phrase is refused, instead of a question at the terminal. */
static int tls_no_pass_phrase(char *to, int size, int is_writing, void *data)
{
    (void)to, (void)size, (void)is_writing, (void)data;
    return -1;
}

static bool tls_use_key(SSL_CTX *context, BIO *pem)
{
    EVP_PKEY *key = PEM_read_bio_PrivateKey(pem, NULL, tls_no_pass_phrase, NULL);
    bool good = key && SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
    EVP_PKEY_free(key);
    return good;
}

static bool tls_use(SSL_CTX *context, const struct secret *text, bool (*read)(SSL_CTX *, BIO *))
{
    BIO *pem = BIO_new_mem_buf(text->at, (int)text->len - 1);
    bool good = pem && read(context, pem);
    BIO_free(pem);
    return good;
}

/* Seconds since 1970; 0 for what can't be read. */
static int64_t tls_time_of(const ASN1_TIME *time)
{
    struct tm tm = { 0 };
    return time && ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void tls_narrow(struct tls_validity *validity, const X509 *certificate)
{
    int64_t from = tls_time_of(X509_get0_notBefore(certificate)), until = tls_time_of(X509_get0_notAfter(certificate));
    validity->from = from > validity->from ? from : validity->from;
    validity->until = until < validity->until ? until : validity->until;
}

static struct tls_validity tls_validity_of(SSL_CTX *context)
{
    struct tls_validity validity = { 0, INT64_MAX };
    STACK_OF(X509) *chain = NULL;
    tls_narrow(&validity, SSL_CTX_get0_certificate(context));
    if (SSL_CTX_get0_chain_certs(context, &chain) == 1)
        for (int i = 0; i < sk_X509_num(chain); i++) /* -1 of none */
            tls_narrow(&validity, sk_X509_value(chain, i));
    return validity;
}

const char *tls_complaint(struct tls_validity validity, int64_t now_s)
{
    const int64_t part = (validity.until - validity.from) / SOON_PART, soon = part < SOON_S ? part : SOON_S;
    return now_s < validity.from            ? "the certificate of TOKEN_TLS_CERT, or one of its chain, is not valid yet"
           : now_s >= validity.until        ? "the certificate of TOKEN_TLS_CERT, or one of its chain, has expired"
           : now_s >= validity.until - soon ? "the certificate of TOKEN_TLS_CERT, or one of its chain, expires soon"
                                            : NULL;
}

static bool tls_set_rules(SSL_CTX *context)
{
    /* What is left of an idle connection is 14 KB: 8 KB by SSL_new() alone, the rest keys, session and hashes that
     * OpenSSL gives back at its end (3.0, mallinfo2() over 1,000 connections). */
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(context, 1);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                     SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK") == 1;
}

static struct err tls_read_both(const struct tls *tls, SSL_CTX *context, struct secret *cert, struct secret *key)
{
    TRY(tls_read_pem("TOKEN_TLS_CERT", tls->cert_path, false, cert));
    TRY(tls_read_pem("TOKEN_TLS_KEY", tls->key_path, true, key));
    if (!tls_set_rules(context) || !tickets_use(tls->tickets, context))
        return tls_refused("TOKEN_TLS_CERT", tls->cert_path, "this OpenSSL lacks what TLS 1.2 and 1.3 need");
    if (!tls_use(context, cert, tls_use_certificates))
        return tls_refused("TOKEN_TLS_CERT", tls->cert_path, "it is not a certificate in PEM");
    if (!tls_use(context, key, tls_use_key))
        return tls_refused("TOKEN_TLS_KEY", tls->key_path,
                           "it is not the certificate's private key in PEM, or is encrypted");
    return tickets_share(tls->tickets, (struct str){ key->at, key->len - 1 });
}

/* *out has one reference, the caller's. */
static struct err tls_read_context(const struct tls *tls, SSL_CTX **out)
{
    struct secret cert = { 0 }, key = { 0 };
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    struct err err = context ? tls_read_both(tls, context, &cert, &key)
                             : tls_refused("TOKEN_TLS_CERT", tls->cert_path, "there is no memory for it");
    secret_release(&cert);
    secret_release(&key);
    if (err.code)
        SSL_CTX_free(context);
    else
        *out = context;
    return err;
}

struct err tls_open(const char *cert_path, const char *key_path, struct tls **out)
{
    *out = NULL;
    if (!cert_path || !cert_path[0])
        return OK;
    struct tls *tls = mem_alloc(sizeof *tls);
    *tls = (struct tls){ .cert_path = cert_path, .key_path = key_path };
    struct err err = tickets_open(&tls->tickets);
    if (!err.code)
        err = tls_read_context(tls, &tls->context);
    if (err.code) {
        tickets_close(tls->tickets);
        free(tls);
        return err;
    }
    tls->validity = tls_validity_of(tls->context);
    pthread_mutex_init(&tls->lock, NULL);
    *out = tls;
    return OK;
}

struct err tls_reload(struct tls *tls)
{
    SSL_CTX *context = NULL;
    TRY(tls_read_context(tls, &context));
    pthread_mutex_lock(&tls->lock);
    SSL_CTX *old = tls->context;
    tls->context = context;
    tls->validity = tls_validity_of(context);
    pthread_mutex_unlock(&tls->lock);
    SSL_CTX_free(old); /* open connections have references of their own */
    return OK;
}

struct tls_validity tls_validity(struct tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    struct tls_validity validity = tls->validity;
    pthread_mutex_unlock(&tls->lock);
    return validity;
}

void tls_close(struct tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    tickets_close(tls->tickets);
    pthread_mutex_destroy(&tls->lock);
    free(tls);
}

void tls_look(struct tls *tls, int64_t now_s)
{
    tickets_look(tls->tickets, now_s);
}

SSL *tls_accept(struct tls *tls)
{
    pthread_mutex_lock(&tls->lock);
    SSL *ssl = SSL_new(tls->context);
    pthread_mutex_unlock(&tls->lock);
    if (ssl)
        SSL_set_accept_state(ssl);
    return ssl;
}
