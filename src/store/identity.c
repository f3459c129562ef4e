/* store/identity.c: the file `database-id`. */
#include "store/identity.h"
#include "base/durable_file.h"
#include "base/sentence.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char file_name[] = "database-id";

static struct err identity_not_this_one(const char *dir)
{
    return failed(ERR_INVALID_REQUEST,
                  sentence_keep("the store failed; see the log",
                                "the database is lost, or not the one that the keys in TOKEN_DATA_DIR (%s) belong to, "
                                "so revoked tokens would be valid again: put the old one back (token-service.db, "
                                "DATABASE_URL, SUPABASE_URL); or, to start over, move database-id and "
                                "signing-key-*.pem away, which ends every token",
                                dir));
}

static struct err identity_file_failed(const char *dir, const char *what)
{
    return failed(ERR_UNAVAILABLE, sentence_keep("the store failed; see the log", "%s/%s can't be %s: %s", dir,
                                                 file_name, what, strerror(errno)));
}

/* Whether files are there whose names begin so. */
static bool identity_has_files(const char *dir, struct str beginning)
{
    DIR *entries = opendir(dir);
    bool found = false;
    while (entries && !found) {
        const struct dirent *entry = readdir(entries); /* NOLINT(concurrency-mt-unsafe): ours */
        if (!entry)
            break;
        found = str_has_prefix(str_of(entry->d_name), beginning);
    }
    if (entries)
        closedir(entries);
    return found;
}

static const struct str keys = STR_INIT("signing-key-");

struct err identity_may_begin(const char *dir)
{
    return identity_has_files(dir, keys) || identity_has_files(dir, str_of(file_name)) ? identity_not_this_one(dir)
                                                                                       : OK;
}

/* What it holds, without the end of its line; false: there is none. */
static bool identity_read_file(int dir, char text[IDENTITY_LEN + 2], struct str *out)
{
    int file = openat(dir, file_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file < 0)
        return false;
    ssize_t len = read(file, text, IDENTITY_LEN + 2);
    close(file);
    if (len > 0 && text[len - 1] == '\n')
        len--;
    *out = (struct str){ text, len > 0 ? (size_t)len : 0 };
    return true;
}

static bool identity_write_file(int dir, struct str id)
{
    char text[IDENTITY_LEN + 2];
    const int len = snprintf(text, sizeof text, "%.*s\n", (int)id.len, id.at);
    return durable_file_write(dir, file_name, (struct str){ text, (size_t)len });
}

/* Of processes that were killed while they wrote; one that is writing just now finds the file that is there instead. */
static void identity_remove_leftovers(int dir_fd, const char *dir)
{
    DIR *entries = opendir(dir);
    while (entries) {
        const struct dirent *entry = readdir(entries); /* NOLINT(concurrency-mt-unsafe): ours */
        if (!entry)
            break;
        if (str_has_prefix(str_of(entry->d_name), STR(".database-id.")))
            unlinkat(dir_fd, entry->d_name, 0);
    }
    if (entries)
        closedir(entries);
}

static struct err identity_check_file(int dir_fd, const char *dir, struct str id)
{
    char text[IDENTITY_LEN + 2];
    struct str known;
    if (identity_read_file(dir_fd, text, &known))
        return str_eq(known, id) ? OK : identity_not_this_one(dir);
    if (errno != ENOENT)
        return identity_file_failed(dir, "read");
    if (!identity_write_file(dir_fd, id) && !(identity_read_file(dir_fd, text, &known) && str_eq(known, id)))
        return identity_file_failed(dir, "written");
    identity_remove_leftovers(dir_fd, dir);
    return OK;
}

struct err identity_check(const char *dir, struct str id)
{
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd < 0)
        return identity_file_failed(dir, "reached");
    struct err err = identity_check_file(dir_fd, dir, id);
    close(dir_fd);
    return err;
}

struct err identity_check_shared(const char *dir, struct str id)
{
    if (!identity_has_files(dir, keys))
        return OK;
    return id.len == IDENTITY_LEN ? identity_check(dir, id) : failed(ERR_UNAVAILABLE, "the database has lost its id");
}
