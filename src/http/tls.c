/* http/tls.c: reads certificate and key into memory that is locked and wiped. */
#include "http/tls.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEM_MAX = 256 * 1024 };

static struct err read_pem(const char *path, bool is_private, struct secret *out)
{
    struct stat about;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return failed(ERR_INVALID_REQUEST, "the file of TOKEN_TLS_CERT or TOKEN_TLS_KEY can't be opened");
    struct err err;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size <= 0 || about.st_size > PEM_MAX)
        err = failed(ERR_INVALID_REQUEST, "the file of TOKEN_TLS_CERT or TOKEN_TLS_KEY is empty, too large or no file");
    else if (is_private && about.st_mode & (S_IROTH | S_IWOTH))
        err = failed(ERR_INVALID_REQUEST, "the file of TOKEN_TLS_KEY can be read by everybody: chmod o-rw it");
    else
        err = secret_init(out, (size_t)about.st_size + 1, NULL);
    for (size_t got = 0; !err.code && got < (size_t)about.st_size;) {
        ssize_t more = read(fd, out->at + got, (size_t)about.st_size - got);
        if (more <= 0)
            err = failed(ERR_INVALID_REQUEST, "the file of TOKEN_TLS_CERT or TOKEN_TLS_KEY can't be read");
        else
            got += (size_t)more;
    }
    close(fd);
    return err;
}

struct err tls_files_read(const char *cert_path, const char *key_path, struct tls_files *out)
{
    if (!cert_path || !cert_path[0])
        return OK;
    TRY(read_pem(cert_path, false, &out->cert));
    return read_pem(key_path, true, &out->key);
}

void tls_files_release(struct tls_files *files)
{
    secret_release(&files->cert);
    secret_release(&files->key);
}
