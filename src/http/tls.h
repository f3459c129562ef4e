/* http/tls.h: the files of the TLS listener. */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include "base/mem.h"

/* GnuTLS's words for TLS 1.2 and 1.3 with forward secrecy and authenticated encryption (RFC 9325). */
#define TLS_PRIORITIES                                                                                                 \
    "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-RSA:+ECDHE-ECDSA:-CIPHER-ALL:+AES-256-GCM:"          \
    "+AES-128-GCM:+CHACHA20-POLY1305"

/* PEM texts, NUL-terminated; cert.at is NULL when there is no TLS. */
struct tls_files {
    struct secret cert, key;
};

/* Reads both, or neither when the paths are empty. The key file may not be readable by everybody. */
MUST_USE struct err tls_files_read(const char *cert_path, const char *key_path, struct tls_files *out);
void tls_files_release(struct tls_files *files);

#endif
