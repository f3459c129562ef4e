/* store/data_dir.c: the modes of what lies in the data directory, and its lock. Only the directory and the lock file
 * are opened: closing a descriptor of the database would drop the locks that the process holds on it. */
#include "store/data_dir.h"
#include "base/clock.h"
#include "observe/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_TRIES = 3, LOCK_PAUSE_MS = 20 };

static const char lock_name[] = "serve.lock";

/* How the names of our files begin; a key file that is being written has a dot before. */
static const struct str beginnings[] = { STR_INIT("token-service.db"), STR_INIT("signing-key-"), STR_INIT("serve.lock"),
                                         STR_INIT("database-id"), STR_INIT("users.json") };

static bool data_dir_is_ours(struct str name)
{
    if (name.len > 0 && name.at[0] == '.')
        name = (struct str){ name.at + 1, name.len - 1 };
    for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++)
        if (str_has_prefix(name, beginnings[i]))
            return true;
    return false;
}

static struct err data_dir_refused(struct arena *arena, const char *dir, const char *name, const char *why)
{
    return failed(ERR_INVALID_REQUEST, arena_printf(arena, "%s/%s %s", dir, name, why).at);
}

/* A symbolic link in the file's place is not followed; opening it is refused later. */
static struct err data_dir_remove_rights(struct arena *arena, int dir_fd, const char *dir, const char *name,
                                         mode_t from, mode_t to)
{
    if (fchmodat(dir_fd, name, to & 07777, AT_SYMLINK_NOFOLLOW) != 0)
        return data_dir_refused(arena, dir, name,
                                "can be reached by its group, and its mode can't be changed: chmod it");
    LOG(LOG_WARN, "group_rights_removed", LOG_TEXT_("directory", dir), LOG_TEXT_("file", name),
        LOG_STR("mode_before", arena_printf(arena, "%04o", (unsigned)from & 07777)),
        LOG_STR("mode", arena_printf(arena, "%04o", (unsigned)to & 07777)));
    return OK;
}

static struct err data_dir_check_file(struct arena *arena, int dir_fd, const char *dir, const char *name, bool mend)
{
    struct stat about;
    if (fstatat(dir_fd, name, &about, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(about.st_mode))
        return OK; /* gone by now; or not a file, which is refused when it is opened */
    if (about.st_mode & S_IRWXO)
        return data_dir_refused(arena, dir, name,
                                "can be reached by every user, who may have read or changed it: examine it, then chmod "
                                "600 it");
    if (!(about.st_mode & S_IRWXG))
        return OK;
    if (about.st_uid == geteuid())
        return mend ? data_dir_remove_rights(arena, dir_fd, dir, name, about.st_mode, about.st_mode & ~(mode_t)S_IRWXG)
                    : OK;
    return geteuid() == 0
               ? OK /* a command of root's: the service that owns it will see to it */
               : data_dir_refused(arena, dir, name, "belongs to another user, and a group can reach it: chown it");
}

static struct err data_dir_check_directory(struct arena *arena, int dir_fd, const char *dir, bool mend)
{
    struct stat about;
    if (fstat(dir_fd, &about) != 0)
        return data_dir_refused(arena, dir, ".", "can't be examined");
    if (about.st_mode & S_IWOTH)
        return data_dir_refused(arena, dir, ".",
                                "can be written to by every user: chmod o-w it, or set TOKEN_DATA_DIR to a "
                                "directory in it");
    if (about.st_mode & S_IWGRP && about.st_uid == geteuid() && mend)
        return data_dir_remove_rights(arena, dir_fd, dir, ".", about.st_mode, about.st_mode & ~(mode_t)S_IWGRP);
    return OK;
}

static struct err data_dir_check_all(struct arena *arena, DIR *entries, const char *dir, bool mend)
{
    struct err err = data_dir_check_directory(arena, dirfd(entries), dir, mend);
    for (const struct dirent *entry; !err.code && (entry = readdir(entries));) /* NOLINT(concurrency-mt-unsafe): ours */
        if (data_dir_is_ours(str_of(entry->d_name)))
            err = data_dir_check_file(arena, dirfd(entries), dir, entry->d_name, mend);
    return err;
}

/* By a descriptor that is no more than a path: what is looked at is what is given, and closing it drops no lock. */
static void data_dir_give_to(int dir_fd, const char *name, const struct stat *owner)
{
    struct stat about;
    int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_nlink == 1 && about.st_uid == 0 &&
        fchownat(fd, "", owner->st_uid, owner->st_gid, AT_EMPTY_PATH) != 0)
        LOG(LOG_WARN, "file_not_given", LOG_TEXT_("file", name), LOG_TEXT_("why", strerror(errno)));
    close(fd);
}

void data_dir_give(const char *dir)
{
    struct stat owner;
    DIR *entries = geteuid() == 0 ? opendir(dir) : NULL;
    if (!entries)
        return;
    if (fstat(dirfd(entries), &owner) == 0 && owner.st_uid != 0)
        for (const struct dirent *entry; (entry = readdir(entries));) /* NOLINT(concurrency-mt-unsafe): ours */
            if (data_dir_is_ours(str_of(entry->d_name)))
                data_dir_give_to(dirfd(entries), entry->d_name, &owner);
    closedir(entries);
}

void data_dir_give_file(int dir_fd, const char *name)
{
    struct stat owner;
    if (geteuid() == 0 && fstat(dir_fd, &owner) == 0 && owner.st_uid != 0)
        data_dir_give_to(dir_fd, name, &owner);
}

struct err data_dir_check(struct arena *arena, const char *dir, bool mend)
{
    DIR *entries = opendir(dir);
    if (!entries && errno == ENOENT)
        return OK;
    if (!entries)
        return failed(ERR_INVALID_REQUEST,
                      arena_printf(arena, "TOKEN_DATA_DIR %s can't be opened: %s", dir, strerror(errno)).at);
    struct err err = data_dir_check_all(arena, entries, dir, mend);
    closedir(entries);
    return err;
}

/* --- the lock ---------------------------------------------------------------------------------------------------- */

static int data_dir_open_lock(const char *dir, int flags)
{
    char path[PATH_MAX];
    int len = snprintf(path, sizeof path, "%s/%s", dir, lock_name);
    return len < (int)sizeof path ? open(path, flags | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR) : -1;
}

struct err data_dir_lock(const char *dir, int *out)
{
    int lock = data_dir_open_lock(dir, O_RDWR | O_CREAT);
    if (lock < 0)
        return failed(ERR_INVALID_REQUEST, "TOKEN_DATA_DIR can't be written to");
    for (int i = 0; i < LOCK_TRIES; i++) { /* data_dir_is_locked() holds it for a moment */
        if (flock(lock, LOCK_EX | LOCK_NB) == 0) {
            *out = lock;
            return OK;
        }
        clock_sleep_ms(LOCK_PAUSE_MS);
    }
    close(lock);
    return failed(ERR_INVALID_REQUEST, "another token-service is running on this TOKEN_DATA_DIR");
}

bool data_dir_is_locked(const char *dir)
{
    int lock = data_dir_open_lock(dir, O_RDONLY);
    bool is_held = lock >= 0 && flock(lock, LOCK_SH | LOCK_NB) != 0;
    if (lock >= 0)
        close(lock);
    return is_held;
}
