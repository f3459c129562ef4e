/* http/tls.h: the TLS listener's certificate, key and rules. */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "base/mem.h"
#include <openssl/ssl.h>

struct tls;

/* When the certificate and its chain are good, in seconds since 1970. */
struct tls_validity {
    int64_t from, until;
};
/* What there is to say of that at a time: that it isn't good yet, has expired, or expires soon (within two weeks, or a
 * quarter of its life if that is less); static. NULL: nothing. */
const char *tls_complaint(struct tls_validity validity, int64_t now_s);

/* TLS 1.2 and 1.3 with forward secrecy and authenticated encryption (RFC 9325). *out is NULL when the paths are empty.
 * The key file may not be readable by everybody. ERR_INVALID_REQUEST with a sentence when a file can't be used. The
 * paths must outlive it. */
MUST_USE struct err tls_open(const char *cert_path, const char *key_path, struct tls **out);
/* Reads the files again, for the connections to come; when they can't be used, what was read before stays. */
MUST_USE struct err tls_reload(struct tls *tls);
void tls_close(struct tls *tls); /* NULL allowed */
/* Makes and wipes the keys of session tickets that are due (tickets.h); to be called now and then. */
void tls_look(struct tls *tls, int64_t now_s);
/* Of what is served now. From any thread. */
struct tls_validity tls_validity(struct tls *tls);

/* The server's end of a new connection, still without a BIO; NULL when that can't be. The caller frees it. From any
 * thread. */
SSL *tls_accept(struct tls *tls);

#endif
