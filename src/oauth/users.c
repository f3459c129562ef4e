/* oauth/users.c: a list in memory, by which the file was recognised when it was read: device, inode, size, times. */
#include "oauth/users.h"
#include "base/clock.h"
#include "base/durable_file.h"
#include "base/settings.h"
#include "jose/jws.h"
#include "jose/password.h"
#include "observe/log.h"
#include "store/data_dir.h"
#include "store/store.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    SETTLED_AFTER_S = 2, /* a file that was written in the same tick of the clock as it was read may change unseen */
    LOCK_TRIES = 60,
    LOCK_PAUSE_MS = 50,
};

/* Zero: there is no file. */
struct users_stamp {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec modified, changed;
};

struct users {
    const struct settings *settings;
    pthread_mutex_t lock; /* of all that follows; held while the file is read */
    bool is_read, is_settled;
    struct users_stamp stamp;
    struct arena arena; /* the list's */
    struct user_list list;
    struct err fault; /* of the file as it is */
};

static const struct err not_found = { ERR_NOT_FOUND, "there is no such user" };
static const struct err unusable = { ERR_UNAVAILABLE, "the file of users can't be used; the log says why" };

static struct str users_path(const struct settings *settings, struct arena *arena)
{
    return settings->users_file[0] ? arena_copy(arena, str_of(settings->users_file))
                                   : arena_printf(arena, "%s/users.json", settings->data_dir);
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static struct users_stamp users_stamp_of(const struct stat *about)
{
    return (struct users_stamp){ .device = about->st_dev,
                                 .inode = about->st_ino,
                                 .size = about->st_size,
                                 .modified = about->st_mtim,
                                 .changed = about->st_ctim };
}

static bool users_is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool users_is_same(const struct users_stamp *a, const struct users_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           users_is_same_time(a->modified, b->modified) && users_is_same_time(a->changed, b->changed);
}

/* Password hashes lie in it: whoever reads them can guess at leisure, and whoever writes them comes in. A group may
 * read it, as orchestrators have it with their secrets. */
static struct err users_check_file(struct arena *arena, const char *path, const struct stat *about)
{
    const bool is_open = about->st_mode & (S_IRWXO | S_IWGRP | S_IXGRP);
    const char *fault = !S_ISREG(about->st_mode)          ? "is not a regular file"
                        : about->st_size > USERS_FILE_MAX ? "is larger than 4 MiB"
                        : is_open                         ? "can be reached by other users: chmod 600 it"
                                                          : NULL;
    return fault ? failed(ERR_INVALID_REQUEST, arena_printf(arena, "%s %s", path, fault).at) : OK;
}

static struct err users_read_bytes(struct arena *arena, int file, size_t size, struct str *out)
{
    char *to = arena_alloc(arena, size + 1);
    size_t len = 0;
    for (ssize_t got = 1; len <= size && got != 0;) { /* one byte more than it had: it has not grown meanwhile */
        got = read(file, to + len, size + 1 - len);
        if (got < 0 && errno != EINTR)
            return failed(ERR_INVALID_REQUEST, "the file of users can't be read");
        len += got > 0 ? (size_t)got : 0;
    }
    *out = (struct str){ to, len };
    return len == size ? OK : failed(ERR_INVALID_REQUEST, "the file of users changed while it was read");
}

static struct err users_read_open(struct arena *arena, const char *path, int file, struct users_stamp *stamp,
                                  struct user_list *list)
{
    struct arena scratch;
    struct stat about;
    struct str text;
    if (fstat(file, &about) != 0)
        return failed(ERR_INVALID_REQUEST, "the file of users can't be examined");
    *stamp = users_stamp_of(&about);
    TRY(users_check_file(arena, path, &about));
    arena_init(&scratch, NULL, 0);
    struct err err = users_read_bytes(&scratch, file, (size_t)about.st_size, &text);
    if (!err.code)
        err = users_read(arena, text, list);
    arena_release(&scratch);
    return err;
}

/* O_NONBLOCK: nobody waits for the other end of a pipe in its place. */
static struct err users_load(struct arena *arena, const char *path, struct users_stamp *stamp, struct user_list *list)
{
    *stamp = (struct users_stamp){ .size = 0 };
    *list = (struct user_list){ .at = NULL };
    const int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 && errno == ENOENT) {
        list->at = arena_alloc(arena, sizeof *list->at);
        return OK;
    }
    if (file < 0)
        return failed(ERR_INVALID_REQUEST, arena_printf(arena, "%s can't be opened: %s", path, strerror(errno)).at);
    const struct err err = users_read_open(arena, path, file, stamp, list);
    close(file);
    return err;
}

struct err users_list(const struct settings *settings, struct arena *arena, struct user_list *out)
{
    struct users_stamp stamp;
    return users_load(arena, users_path(settings, arena).at, &stamp, out);
}

/* --- in a server ------------------------------------------------------------------------------------------------- */

struct users *users_new(const struct settings *settings)
{
    struct users *users = mem_alloc(sizeof *users);
    *users = (struct users){ .settings = settings };
    pthread_mutex_init(&users->lock, NULL);
    return users;
}

void users_free(struct users *users)
{
    if (!users)
        return;
    arena_release(&users->arena);
    pthread_mutex_destroy(&users->lock);
    free(users);
}

static bool users_is_current(const struct users *users, const char *path)
{
    struct stat about;
    const struct users_stamp none = { .size = 0 };
    if (!users->is_read || !users->is_settled)
        return false;
    if (stat(path, &about) != 0)
        return errno == ENOENT && users_is_same(&users->stamp, &none);
    const struct users_stamp stamp = users_stamp_of(&about);
    return users_is_same(&users->stamp, &stamp);
}

/* Under the lock. A file that may have been written in this moment is read once more the next time. */
static struct err users_refresh(struct users *users)
{
    struct arena scratch;
    arena_init(&scratch, NULL, 0);
    const char *path = users_path(users->settings, &scratch).at;
    if (!users_is_current(users, path)) {
        const int64_t now_s = (int64_t)time(NULL);
        arena_release(&users->arena);
        arena_init(&users->arena, NULL, 0);
        const struct err err = users_load(&users->arena, path, &users->stamp, &users->list);
        if (err.code)
            LOG(LOG_ERROR, "users_unusable", LOG_TEXT_("why", err.why));
        users->fault = err.code ? unusable : OK;
        users->is_read = true;
        users->is_settled = users->stamp.changed.tv_sec < now_s - SETTLED_AFTER_S;
    }
    arena_release(&scratch);
    return users->fault;
}

static void users_copy(struct arena *arena, const struct user *from, struct user *to)
{
    *to = (struct user){ .subject = arena_copy(arena, from->subject),
                         .username = arena_copy(arena, from->username),
                         .password_hash = arena_copy(arena, from->password_hash),
                         .claims = arena_copy(arena, from->claims),
                         .is_disabled = from->is_disabled };
}

typedef struct user *users_finder(const struct user_list *list, struct str what);

static struct err users_find_by(struct users *users, struct arena *arena, users_finder *find, struct str what,
                                struct user *out)
{
    pthread_mutex_lock(&users->lock);
    const struct err err = users_refresh(users);
    const struct user *found = err.code ? NULL : find(&users->list, what);
    if (found)
        users_copy(arena, found, out);
    pthread_mutex_unlock(&users->lock);
    return err.code ? err : found ? OK : not_found;
}

struct err users_find(struct users *users, struct arena *arena, struct str username, struct user *out)
{
    return users_find_by(users, arena, user_named, username, out);
}

struct err users_find_subject(struct users *users, struct arena *arena, struct str subject, struct user *out)
{
    return users_find_by(users, arena, user_of_subject, subject, out);
}

struct str users_decoy(struct users *users, struct arena *arena, struct str username)
{
    unsigned char hash[32];
    uint64_t number;
    struct str decoy = password_hash_of_nobody;
    sha256(username, hash);
    memcpy(&number, hash, sizeof number);
    pthread_mutex_lock(&users->lock);
    if (!users->fault.code && users->list.count > 0)
        decoy = arena_copy(arena, users->list.at[number % users->list.count].password_hash);
    pthread_mutex_unlock(&users->lock);
    return decoy;
}

/* --- changing ---------------------------------------------------------------------------------------------------- */

/* By the directory itself, so that no file of its own is left behind. */
static struct err users_lock_folder(int dir)
{
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(dir, LOCK_EX | LOCK_NB) == 0)
            return OK;
        clock_sleep_ms(LOCK_PAUSE_MS);
    }
    return failed(ERR_UNAVAILABLE, "another command has been changing the users for seconds: try again");
}

/* What would be refused when it is read may not be written. */
static struct err users_write_checked(struct arena *arena, int dir, const char *name, const struct user_list *list)
{
    struct buf out;
    struct user_list again;
    buf_init(&out, arena, 4096, USERS_FILE_MAX);
    users_write(&out, list);
    if (out.overflowed)
        return failed(ERR_INVALID_REQUEST, "the file of users would be larger than 4 MiB");
    TRY(users_read(arena, buf_str(&out), &again));
    if (!durable_file_write(dir, name, buf_str(&out)))
        return failed(ERR_UNAVAILABLE, "the file of users can't be written");
    data_dir_give_file(dir, name);
    return OK;
}

static struct err users_alter_in(struct arena *arena, int dir, struct str path, const char *name, users_change *change,
                                 void *context)
{
    struct users_stamp stamp;
    struct user_list list;
    struct stat about;
    TRY(users_lock_folder(dir));
    if (fstatat(dir, name, &about, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(about.st_mode))
        return failed(ERR_INVALID_REQUEST, "the file of users is a symbolic link: name the file itself");
    TRY(users_load(arena, path.at, &stamp, &list));
    TRY(change(context, arena, &list));
    return users_write_checked(arena, dir, name, &list);
}

struct err users_alter(const struct settings *settings, struct arena *arena, users_change *change, void *context)
{
    const struct str path = users_path(settings, arena);
    const char *slash = strrchr(path.at, '/'), *name = slash ? slash + 1 : path.at;
    const struct str folder = slash ? (struct str){ path.at, (size_t)(slash - path.at) + 1 } : STR(".");
    if (!settings->users_file[0]) {
        TRY(data_dir_check(arena, settings->data_dir, false));
        TRY(store_make_dir(settings));
    }
    const int dir = open(arena_copy(arena, folder).at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return failed(ERR_INVALID_REQUEST, "the directory of the file of users can't be opened");
    const struct err err = users_alter_in(arena, dir, path, name, change, context);
    close(dir); /* gives the lock back */
    return err;
}
