/* base/durable_file.c */
#include "base/durable_file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static bool durable_file_write_all(int file, struct str bytes)
{
    while (bytes.len > 0) {
        ssize_t done = write(file, bytes.at, bytes.len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        bytes = (struct str){ bytes.at + done, bytes.len - (size_t)done };
    }
    return true;
}

bool durable_file_write(int dir, const char *name, struct str bytes)
{
    char temporary[NAME_MAX + 1];
    snprintf(temporary, sizeof temporary, ".%s.%d", name, (int)getpid());
    int file = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (file < 0)
        return false;
    bool good = fchmod(file, S_IRUSR | S_IWUSR) == 0 && durable_file_write_all(file, bytes) && fsync(file) == 0;
    good = close(file) == 0 && good;
    if (good && renameat(dir, temporary, dir, name) == 0 && fsync(dir) == 0)
        return true;
    const int why = errno;
    unlinkat(dir, temporary, 0);
    errno = why;
    return false;
}
