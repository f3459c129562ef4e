/* keys/signer_local.c: private keys in files of the data directory: the embedded default.
 *
 * A file appears under its name only when it is whole and on disk (temporary name, fsync, rename, fsync of the
 * directory), and before the store names it; so a crash can leave a file that no row names, but never a row without its
 * file. */
#include "keys/loaded.h"
#include "base/durable_file.h"
#include "keys/pair.h"
#include "keys/signer.h"
#include "observe/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEM_MAX = 16 * 1024 };
static const struct str name_prefix = STR_INIT("signing-key-"), name_suffix = STR_INIT(".pem");

struct signer_local {
    struct signer signer;
    int dir;
};

/* The file's name, of a key that is of this signer. */
static struct str signer_local_file_of(const struct key *key)
{
    const size_t before = pair_prefix(SIGNER_LOCAL).len;
    return (struct str){ key->private_ref.at + before, key->private_ref.len - before };
}

static struct signer_local *signer_local_local_of(struct signer *signer)
{
    return (struct signer_local *)signer;
}

/* Logs the system's word for it; the sentence for the caller names only the file. */
static struct err signer_local_file_failed(struct arena *arena, const char *name, const char *what)
{
    LOG(LOG_ERROR, "key_file_failed", LOG_TEXT_("file", name), LOG_TEXT_("what", what),
        LOG_TEXT_("why", strerror(errno)));
    return failed(ERR_UNAVAILABLE, arena_printf(arena, "the key file %s %s", name, what).at);
}

/* --- files ------------------------------------------------------------------------------------------------------- */

/* Whether only its owner can reach a key file; otherwise anybody may have its key. */
static struct err signer_local_check_file(struct arena *arena, int fd, const char *name, size_t *size)
{
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size <= 0 || about.st_size > PEM_MAX)
        return failed(ERR_INVALID_REQUEST,
                      arena_printf(arena, "the key file %s is empty, too large or not a file", name).at);
    if (about.st_mode & (S_IRWXG | S_IRWXO))
        return failed(ERR_INVALID_REQUEST,
                      arena_printf(arena, "the key file %s can be reached by others: chmod 600 it", name).at);
    if (about.st_uid != geteuid() && about.st_uid != 0)
        return failed(ERR_INVALID_REQUEST, arena_printf(arena, "the key file %s belongs to another user", name).at);
    *size = (size_t)about.st_size;
    return OK;
}

static void signer_local_secret_releasep(struct secret *secret)
{
    secret_release(secret);
}

static void signer_local_closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static struct err signer_local_read_file(struct arena *arena, int dir, const char *name, struct secret *out)
{
    size_t size = 0, got = 0;
    AUTO(signer_local_closep)
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); /* a pipe must not hang it */
    if (fd < 0)
        return signer_local_file_failed(arena, name, "can't be opened");
    TRY(signer_local_check_file(arena, fd, name, &size));
    AUTO(signer_local_secret_releasep) struct secret text = { 0 };
    TRY(secret_init(&text, size, NULL));
    while (got < size) {
        ssize_t more = read(fd, text.at + got, size - got);
        if (more <= 0)
            return signer_local_file_failed(arena, name, "can't be read");
        got += (size_t)more;
    }
    *out = text;
    text = (struct secret){ 0 };
    return OK;
}

/* --- operations -------------------------------------------------------------------------------------------------- */

/* What the store is told of a key. */
static void signer_local_describe(struct arena *arena, const struct jwk *jwk, struct key *out)
{
    pair_describe(arena, jwk, out);
    out->private_ref = arena_printf(arena, "file:signing-key-%s.pem", jwk->kid);
}

static struct err signer_local_local_create(struct signer *signer, struct arena *arena, enum jwa alg, struct key *out)
{
    struct signer_local *local = signer_local_local_of(signer);
    AUTO(jwk_freep) struct jwk *jwk = NULL;
    AUTO(signer_local_secret_releasep) struct secret pem = { 0 };
    TRY(jwk_generate(alg, &jwk));
    TRY(jwk_write_private_pem(jwk, &pem));
    signer_local_describe(arena, jwk, out);
    TRY(pair_test(arena, out, jwk));
    if (!durable_file_write(local->dir, signer_local_file_of(out).at, (struct str){ pem.at, pem.len }))
        return signer_local_file_failed(arena, signer_local_file_of(out).at, "can't be written");
    LOG(LOG_INFO, "key_created", LOG_STR("kid", out->kid), LOG_STR("alg", out->alg));
    loaded_keep(local->signer.keys, jwk, signer_local_file_of(out));
    jwk = NULL;
    return OK;
}

static bool signer_local_is_key_name(struct str name)
{
    return name.len > name_prefix.len + name_suffix.len && str_has_prefix(name, name_prefix) &&
           str_eq((struct str){ name.at + name.len - name_suffix.len, name_suffix.len }, name_suffix);
}

static struct str signer_local_kid_of_name(struct str name)
{
    return (struct str){ name.at + name_prefix.len, name.len - name_prefix.len - name_suffix.len };
}

static bool signer_local_is_known(const struct key *known, size_t count, struct str kid)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(known[i].kid, kid))
            return true;
    return false;
}

/* A file of the wrong algorithm, or one whose name is not its key's, is passed over. */
static bool signer_local_try_adopt(struct signer_local *local, struct arena *arena, const char *name, enum jwa alg,
                                   struct key *out)
{
    AUTO(jwk_freep) struct jwk *jwk = NULL;
    AUTO(signer_local_secret_releasep) struct secret pem = { 0 };
    if (signer_local_read_file(arena, local->dir, name, &pem).code ||
        jwk_read_private_pem((struct str){ pem.at, pem.len }, alg, &jwk).code)
        return false;
    signer_local_describe(arena, jwk, out);
    if (strcmp(signer_local_file_of(out).at, name) != 0 || pair_test(arena, out, jwk).code)
        return false;
    LOG(LOG_INFO, "key_adopted", LOG_STR("kid", out->kid), LOG_STR("alg", out->alg));
    loaded_keep(local->signer.keys, jwk, str_of(name));
    jwk = NULL;
    return true;
}

/* To be read from its beginning, and closed by the caller; NULL when that can't be. */
static DIR *signer_local_open_dir(int dir_fd)
{
    int again = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again >= 0 ? fdopendir(again) : NULL;
    if (!dir && again >= 0)
        close(again);
    return dir;
}

static struct err signer_local_local_adopt(struct signer *signer, struct arena *arena, enum jwa alg,
                                           const struct key *known, size_t count, struct key *out)
{
    struct signer_local *local = signer_local_local_of(signer);
    DIR *dir = signer_local_open_dir(local->dir);
    bool found = false;
    if (!dir)
        return failed(ERR_UNAVAILABLE, "TOKEN_DATA_DIR can't be read");
    for (const struct dirent *entry; !found && (entry = readdir(dir));) /* NOLINT(concurrency-mt-unsafe): dir is ours */
        found = signer_local_is_key_name(str_of(entry->d_name)) &&
                !signer_local_is_known(known, count, signer_local_kid_of_name(str_of(entry->d_name))) &&
                signer_local_try_adopt(local, arena, entry->d_name, alg, out);
    closedir(dir);
    return found ? OK : failed(ERR_NOT_FOUND, "there is no key file");
}

static struct err signer_local_local_load(struct signer *signer, struct arena *arena, const struct key *key)
{
    struct signer_local *local = signer_local_local_of(signer);
    enum jwa alg;
    if (!pair_is_of(key, SIGNER_LOCAL))
        return failed(ERR_NOT_FOUND,
                      "the store's signing key is in AWS KMS: set KMS_KEY_ID, or TOKEN_SIGNER to local to go "
                      "on with a key file");
    struct str name = signer_local_file_of(key);
    if (str_has(name, '/') || str_has(name, '\0') || !jwa_find(key->alg, &alg))
        return failed(ERR_UNAVAILABLE, "the store names a signing key that no local key file holds");
    if (loaded_has(local->signer.keys, key->kid))
        return OK;
    AUTO(jwk_freep) struct jwk *jwk = NULL;
    AUTO(signer_local_secret_releasep) struct secret pem = { 0 };
    name = arena_copy(arena, name);
    TRY(signer_local_read_file(arena, local->dir, name.at, &pem));
    struct err err = jwk_read_private_pem((struct str){ pem.at, pem.len }, alg, &jwk);
    if (!err.code)
        err = pair_test(arena, key, jwk);
    if (err.code)
        return failed(err.code, arena_printf(arena, "the key file %s can't be used: %s", name.at, err.why).at);
    loaded_keep(local->signer.keys, jwk, name);
    jwk = NULL;
    return OK;
}

static struct err signer_local_local_dispose(struct signer *signer, struct arena *arena, const struct key *key)
{
    struct signer_local *local = signer_local_local_of(signer);
    loaded_unload(signer, key->kid);
    if (!pair_is_of(key, SIGNER_LOCAL))
        return pair_leave(key);
    struct str name = arena_copy(arena, signer_local_file_of(key));
    if (str_has(name, '/') || str_has(name, '\0'))
        return pair_leave(key); /* no name that was ever given here */
    if (!signer_local_is_key_name(name) || (unlinkat(local->dir, name.at, 0) != 0 && errno != ENOENT))
        return signer_local_file_failed(arena, name.at, "can't be removed");
    return fsync(local->dir) == 0 ? OK : signer_local_file_failed(arena, name.at, "can't be removed");
}

/* Keys in memory go on signing when their files are gone; but the next start would fail, so that is said now. */
static struct err signer_local_local_check(struct signer *signer)
{
    struct signer_local *local = signer_local_local_of(signer);
    const struct loaded_key *keys[LOADED_MAX];
    size_t count = loaded_hold_all(local->signer.keys, keys);
    struct err err = count ? OK : failed(ERR_UNAVAILABLE, "no signing key is loaded");
    for (size_t i = 0; i < count; i++) {
        struct stat about;
        if (fstatat(local->dir, keys[i]->ref.at, &about, AT_SYMLINK_NOFOLLOW) != 0)
            err = failed(ERR_UNAVAILABLE, "the file of a signing key is gone");
        loaded_release(keys[i]);
    }
    return err;
}

static void signer_local_local_close(struct signer *signer)
{
    struct signer_local *local = signer_local_local_of(signer);
    loaded_free(local->signer.keys);
    close(local->dir);
    free(local);
}

static const struct signer_ops local_ops = {
    .name = "local",
    .create = signer_local_local_create,
    .adopt = signer_local_local_adopt,
    .load = signer_local_local_load,
    .sign = loaded_sign,
    .unload = loaded_unload,
    .dispose = signer_local_local_dispose,
    .check = signer_local_local_check,
    .wait_s = loaded_wait_s,
    .close = signer_local_local_close,
};

/* The process that a temporary key file's name ends in; 0 for any other name. */
static pid_t signer_local_maker_of(struct str name)
{
    const char *dot = name.len > 0 ? memrchr(name.at, '.', name.len) : NULL;
    if (!dot || name.at[0] != '.' ||
        !signer_local_is_key_name((struct str){ name.at + 1, (size_t)(dot - name.at - 1) }))
        return 0;
    char *end = NULL;
    long pid = strtol(dot + 1, &end, 10);
    return *end == '\0' && pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* A process that was killed while it wrote a key file left a private key behind that will never be used. */
static void signer_local_remove_leftovers(int dir_fd)
{
    DIR *dir = signer_local_open_dir(dir_fd);
    if (!dir)
        return;
    for (const struct dirent *entry; (entry = readdir(dir));) { /* NOLINT(concurrency-mt-unsafe): dir is ours */
        pid_t maker = signer_local_maker_of(str_of(entry->d_name));
        if (maker > 0 && kill(maker, 0) != 0 && errno == ESRCH && unlinkat(dir_fd, entry->d_name, 0) == 0)
            LOG(LOG_WARN, "key_file_leftover_removed", LOG_TEXT_("file", entry->d_name));
    }
    closedir(dir);
}

struct err signer_local_open(const struct settings *settings, struct signer **out)
{
    int dir = open(settings->data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return failed(ERR_INVALID_REQUEST, "TOKEN_DATA_DIR can't be opened");
    signer_local_remove_leftovers(dir);
    struct signer_local *local = mem_alloc(sizeof *local);
    *local = (struct signer_local){ .signer = { &local_ops, loaded_new() }, .dir = dir };
    *out = &local->signer;
    return OK;
}
