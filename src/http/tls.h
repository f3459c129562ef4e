/* http/tls.h: the TLS listener's certificate, key and rules. */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "base/mem.h"
#include <openssl/ssl.h>

struct tls;

/* TLS 1.2 and 1.3 with forward secrecy and authenticated encryption (RFC 9325). *out is NULL when the paths are empty.
 * The key file may not be readable by everybody. ERR_INVALID_REQUEST with a sentence when a file can't be used. The
 * paths must outlive it. */
MUST_USE struct err tls_open(const char *cert_path, const char *key_path, struct tls **out);
/* Reads the files again, for the connections to come; when they can't be used, what was read before stays. */
MUST_USE struct err tls_reload(struct tls *tls);
void tls_close(struct tls *tls); /* NULL allowed */

/* The server's end of a new connection; NULL when that can't be. The caller frees it. From any thread. */
SSL *tls_accept(struct tls *tls, int fd);

#endif
