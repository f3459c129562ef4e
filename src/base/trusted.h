/* base/trusted.h: where this machine keeps the certificates that it trusts. OpenSSL looks where its own maker put them
 * (Debian: below /usr/lib/ssl), also when it was brought along to a machine of another kind. */
#ifndef BASE_TRUSTED_H
#define BASE_TRUSTED_H

/* Where that folder is not, names the bundle that is there in the environment (SSL_CERT_FILE), which all that use
 * OpenSSL read: ours, libcurl, libpq. What the environment says already is kept. To be called before there is a
 * thread. */
void trusted_find(void);

#endif
