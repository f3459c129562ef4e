/* http/tls.h: the TLS listener's certificate, key and rules. */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "base/mem.h"
#include <openssl/ssl.h>

/* TLS 1.2 and 1.3 with forward secrecy and authenticated encryption (RFC 9325). *out is NULL when the paths are empty;
 * else the caller frees it. The key file may not be readable by everybody. ERR_INVALID_REQUEST with a sentence when a
 * file can't be used. */
MUST_USE struct err tls_open(const char *cert_path, const char *key_path, SSL_CTX **out);

#endif
