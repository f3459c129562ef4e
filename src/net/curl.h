/* net/curl.h: libcurl, loaded when the first client is opened and not before. Linking it would cost every start of the
 * embedded default, which never calls it, 4 ms and 2 MB (it brings Kerberos, LDAP, SSH and thirty more libraries); it
 * was measured. So its functions are called through this table. Only for net/client.c and net/handle.c. */
#ifndef NET_CURL_H
#define NET_CURL_H

#include "base/err.h"
#include <curl/curl.h>
#include <stdbool.h>
#include <stdint.h>

struct ssl_ctx_st;
struct x509_store_st;

/* Each is libcurl's function of that name, after curl_; see its manual. */
struct curl_calls {
    CURLcode (*global_init_mem)(long flags, curl_malloc_callback, curl_free_callback, curl_realloc_callback,
                                curl_strdup_callback, curl_calloc_callback);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *, CURLoption, ...);
    CURLcode (*easy_perform)(CURL *);
    CURLcode (*easy_getinfo)(CURL *, CURLINFO, ...);
    void (*easy_cleanup)(CURL *);
    const char *(*easy_strerror)(CURLcode);
    CURLSH *(*share_init)(void);
    CURLSHcode (*share_setopt)(CURLSH *, CURLSHoption, ...);
    CURLSHcode (*share_cleanup)(CURLSH *);
    time_t (*getdate)(const char *, const time_t *);
    /* Of the TLS library below it, NULL when that is not OpenSSL: then libcurl keeps its own store of certificates. */
    void (*set_cert_store)(struct ssl_ctx_st *, struct x509_store_st *);
    uint64_t (*set_options)(struct ssl_ctx_st *, uint64_t);
};

/* Loads and initialises it, once in a process; *out is static. ERR_UNAVAILABLE when it is not installed. */
MUST_USE struct err curl_load(const struct curl_calls **out);

#endif
