/* base/trusted.c: where this machine keeps the certificates that it trusts. */
#include "base/trusted.h"
#include <openssl/x509.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

/* Debian, Amazon Linux and its relatives, Alpine. The last is in the zip for AWS Lambda (packaging/lambda.py): the
 * machine's own are newer. */
static const char *const bundles[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
                                       "/etc/ssl/cert.pem", "/var/task/lib/ca-certificates.crt" };

void trusted_find(void)
{
    const char *file = X509_get_default_cert_file_env();
    const char *folder = X509_get_default_cert_dir_env();
    if (getenv(file) || getenv(folder) || access(X509_get_default_cert_dir(), R_OK) == 0)
        return;
    for (size_t i = 0; i < sizeof bundles / sizeof *bundles; i++)
        if (access(bundles[i], R_OK) == 0) {
            (void)setenv(file, bundles[i], 1);
            return;
        }
}
