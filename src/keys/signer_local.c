/* keys/signer_local.c: private keys in files of the data directory: the embedded default.
 *
 * A file appears under its name only when it is whole and on disk (temporary name, fsync, rename, fsync of the
 * directory), and before the store names it; so a crash can leave a file that no row names, but never a row without its
 * file. */
#include "jose/jws.h"
#include "keys/signer.h"
#include "observe/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PEM_MAX = 16 * 1024 };
static const struct str name_prefix = { "signing-key-", 12 }, name_suffix = { ".pem", 4 }, ref_prefix = { "file:", 5 };

struct loaded {
    struct loaded *next;
    struct jwk *jwk; /* with its private half */
};

struct signer_local {
    struct signer signer;
    int dir;
    pthread_rwlock_t lock; /* of the list: signing reads it */
    struct loaded *keys;
};

static struct signer_local *local_of(struct signer *signer)
{
    return (struct signer_local *)signer;
}

/* Logs the system's word for it; the sentence for the caller names the file alone. */
static struct err file_failed(struct arena *arena, const char *name, const char *what)
{
    LOG(LOG_ERROR, "key_file_failed", LOG_TEXT_("file", name), LOG_TEXT_("what", what),
        LOG_TEXT_("why", strerror(errno)));
    return failed(ERR_UNAVAILABLE, arena_printf(arena, "the key file %s %s", name, what).at);
}

/* --- files ------------------------------------------------------------------------------------------------------- */

/* Whether a key file is its owner's alone; else its keys may be anybody's. */
static struct err check_file(struct arena *arena, int fd, const char *name, size_t *size)
{
    struct stat about;
    if (fstat(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size <= 0 || about.st_size > PEM_MAX)
        return failed(ERR_INVALID_REQUEST,
                      arena_printf(arena, "the key file %s is empty, too large or no file", name).at);
    if (about.st_mode & (S_IRWXG | S_IRWXO))
        return failed(ERR_INVALID_REQUEST,
                      arena_printf(arena, "the key file %s can be reached by others: chmod 600 it", name).at);
    if (about.st_uid != geteuid() && about.st_uid != 0)
        return failed(ERR_INVALID_REQUEST, arena_printf(arena, "the key file %s belongs to another user", name).at);
    *size = (size_t)about.st_size;
    return OK;
}

static void secret_releasep(struct secret *secret)
{
    secret_release(secret);
}

static void closep(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}

static struct err read_file(struct arena *arena, int dir, const char *name, struct secret *out)
{
    size_t size = 0, got = 0;
    AUTO(closep)
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); /* a pipe must not hang it */
    if (fd < 0)
        return file_failed(arena, name, "can't be opened");
    TRY(check_file(arena, fd, name, &size));
    AUTO(secret_releasep) struct secret text = { 0 };
    TRY(secret_init(&text, size, NULL));
    while (got < size) {
        ssize_t more = read(fd, text.at + got, size - got);
        if (more <= 0)
            return file_failed(arena, name, "can't be read");
        got += (size_t)more;
    }
    *out = text;
    text = (struct secret){ 0 };
    return OK;
}

static bool write_all(int fd, const char *at, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, at, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        at += done;
        len -= (size_t)done;
    }
    return true;
}

static struct err write_file(struct arena *arena, int dir, const char *name, const struct secret *text)
{
    const char *temporary = arena_printf(arena, ".%s.%d", name, (int)getpid()).at;
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0)
        return file_failed(arena, name, "can't be made");
    bool good = fchmod(fd, S_IRUSR | S_IWUSR) == 0 && write_all(fd, text->at, text->len) && fsync(fd) == 0;
    good = close(fd) == 0 && good;
    if (good && renameat(dir, temporary, dir, name) == 0 && fsync(dir) == 0)
        return OK;
    struct err err = file_failed(arena, name, "can't be written");
    unlinkat(dir, temporary, 0);
    return err;
}

/* --- loaded keys ------------------------------------------------------------------------------------------------- */

/* Under the lock. */
static const struct jwk *find(const struct signer_local *local, struct str kid)
{
    for (const struct loaded *each = local->keys; each; each = each->next)
        if (str_eq(str_of(each->jwk->kid), kid))
            return each->jwk;
    return NULL;
}

/* Takes the key, unless it is there already. */
static void keep(struct signer_local *local, struct jwk *jwk)
{
    pthread_rwlock_wrlock(&local->lock);
    if (find(local, str_of(jwk->kid))) {
        jwk_free(jwk);
    } else {
        struct loaded *loaded = mem_alloc(sizeof *loaded);
        *loaded = (struct loaded){ .next = local->keys, .jwk = jwk };
        local->keys = loaded;
    }
    pthread_rwlock_unlock(&local->lock);
}

static bool is_loaded(struct signer_local *local, struct str kid)
{
    pthread_rwlock_rdlock(&local->lock);
    bool loaded = find(local, kid) != NULL;
    pthread_rwlock_unlock(&local->lock);
    return loaded;
}

/* What the store is told of a key. */
static void describe(struct arena *arena, const struct jwk *jwk, struct key *out)
{
    struct buf public;
    buf_init(&public, arena, 512, 4096);
    jwk_write_public(jwk, &public);
    out->kid = arena_copy(arena, str_of(jwk->kid));
    out->alg = str_of(jwa_name(jwk->alg));
    out->public_jwk = buf_str(&public);
    out->private_ref = arena_printf(arena, "file:signing-key-%s.pem", jwk->kid);
}

/* A signature made with the private half must verify with the public one that the store publishes: the old service
 * signed with one key and published another. */
static struct err check_pair(struct arena *arena, const struct jwk *private, struct str public_jwk)
{
    AUTO(jwk_freep) struct jwk *public = NULL;
    const struct err mismatch = { ERR_UNAVAILABLE, "a key file does not hold the private half of its published key" };
    struct buf token;
    char signature[JWK_SIGNATURE_MAX];
    size_t len = 0;
    TRY(jwk_parse_public(arena, public_jwk, &public));
    if (!str_eq(str_of(public->kid), str_of(private->kid)) || public->alg != private->alg)
        return mismatch;
    buf_init(&token, arena, 512, 4096);
    jws_write_signing_input(&token, private->alg, STR("JWT"), str_of(private->kid), STR("{}"));
    TRY(jws_sign(private, buf_str(&token), signature, &len));
    return jws_check(public, buf_str(&token), (struct str){ signature, len }) ? OK : mismatch;
}

/* --- operations -------------------------------------------------------------------------------------------------- */

static struct err local_create(struct signer *signer, struct arena *arena, enum jwa alg, struct key *out)
{
    struct signer_local *local = local_of(signer);
    AUTO(jwk_freep) struct jwk *jwk = NULL;
    AUTO(secret_releasep) struct secret pem = { 0 };
    TRY(jwk_generate(alg, &jwk));
    TRY(jwk_write_private_pem(jwk, &pem));
    describe(arena, jwk, out);
    TRY(write_file(arena, local->dir, out->private_ref.at + ref_prefix.len, &pem));
    LOG(LOG_INFO, "key_created", LOG_STR("kid", out->kid), LOG_STR("alg", out->alg));
    keep(local, jwk);
    jwk = NULL;
    return OK;
}

static bool is_key_name(struct str name)
{
    return name.len > name_prefix.len + name_suffix.len && str_has_prefix(name, name_prefix) &&
           str_eq((struct str){ name.at + name.len - name_suffix.len, name_suffix.len }, name_suffix);
}

static struct str kid_of_name(struct str name)
{
    return (struct str){ name.at + name_prefix.len, name.len - name_prefix.len - name_suffix.len };
}

static bool is_known(const struct key *known, size_t count, struct str kid)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(known[i].kid, kid))
            return true;
    return false;
}

/* A file of the wrong algorithm, or one whose name is not its key's, is passed over. */
static bool try_adopt(struct signer_local *local, struct arena *arena, const char *name, enum jwa alg, struct key *out)
{
    AUTO(jwk_freep) struct jwk *jwk = NULL;
    AUTO(secret_releasep) struct secret pem = { 0 };
    if (read_file(arena, local->dir, name, &pem).code ||
        jwk_read_private_pem((struct str){ pem.at, pem.len }, alg, &jwk).code)
        return false;
    describe(arena, jwk, out);
    if (strcmp(out->private_ref.at + ref_prefix.len, name) != 0)
        return false;
    LOG(LOG_INFO, "key_adopted", LOG_STR("kid", out->kid), LOG_STR("alg", out->alg));
    keep(local, jwk);
    jwk = NULL;
    return true;
}

/* To be read from its beginning, and closed by the caller; NULL when that can't be. */
static DIR *open_dir(int dir_fd)
{
    int again = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = again >= 0 ? fdopendir(again) : NULL;
    if (!dir && again >= 0)
        close(again);
    return dir;
}

static struct err local_adopt(struct signer *signer, struct arena *arena, enum jwa alg, const struct key *known,
                              size_t count, struct key *out)
{
    struct signer_local *local = local_of(signer);
    DIR *dir = open_dir(local->dir);
    bool found = false;
    if (!dir)
        return failed(ERR_UNAVAILABLE, "TOKEN_DATA_DIR can't be read");
    for (const struct dirent *entry; !found && (entry = readdir(dir));) /* NOLINT(concurrency-mt-unsafe): dir is ours */
        found = is_key_name(str_of(entry->d_name)) && !is_known(known, count, kid_of_name(str_of(entry->d_name))) &&
                try_adopt(local, arena, entry->d_name, alg, out);
    closedir(dir);
    return found ? OK : failed(ERR_NOT_FOUND, "there is no key file");
}

static struct err local_load(struct signer *signer, struct arena *arena, const struct key *key)
{
    struct signer_local *local = local_of(signer);
    enum jwa alg;
    struct str name = key->private_ref;
    if (!str_has_prefix(name, ref_prefix) || str_has(name, '/') || str_has(name, '\0') || !jwa_find(key->alg, &alg))
        return failed(ERR_UNAVAILABLE, "the store names a signing key that no local key file holds");
    if (is_loaded(local, key->kid))
        return OK;
    AUTO(jwk_freep) struct jwk *jwk = NULL;
    AUTO(secret_releasep) struct secret pem = { 0 };
    name = arena_copy(arena, (struct str){ name.at + ref_prefix.len, name.len - ref_prefix.len });
    TRY(read_file(arena, local->dir, name.at, &pem));
    TRY(jwk_read_private_pem((struct str){ pem.at, pem.len }, alg, &jwk));
    TRY(check_pair(arena, jwk, key->public_jwk));
    keep(local, jwk);
    jwk = NULL;
    return OK;
}

static struct err local_sign(struct signer *signer, struct str kid, enum jwa alg, enum sign_priority priority,
                             struct str input, char *out, size_t *len)
{
    struct signer_local *local = local_of(signer);
    (void)priority; /* a processor is not rationed */
    struct err err = failed(ERR_UNAVAILABLE, "the signing key is not loaded");
    pthread_rwlock_rdlock(&local->lock);
    const struct jwk *jwk = find(local, kid);
    if (jwk && jwk->alg == alg)
        err = jws_sign(jwk, input, out, len);
    pthread_rwlock_unlock(&local->lock);
    return err;
}

static void local_unload(struct signer *signer, struct str kid)
{
    struct signer_local *local = local_of(signer);
    pthread_rwlock_wrlock(&local->lock);
    for (struct loaded **place = &local->keys; *place; place = &(*place)->next)
        if (str_eq(str_of((*place)->jwk->kid), kid)) {
            struct loaded *gone = *place;
            *place = gone->next;
            jwk_free(gone->jwk);
            free(gone);
            break;
        }
    pthread_rwlock_unlock(&local->lock);
}

static struct err local_dispose(struct signer *signer, struct arena *arena, const struct key *key)
{
    struct signer_local *local = local_of(signer);
    struct str name = key->private_ref;
    local_unload(signer, key->kid);
    if (!str_has_prefix(name, ref_prefix) || str_has(name, '/') || str_has(name, '\0'))
        return OK; /* made by another kind of signer */
    name = arena_copy(arena, (struct str){ name.at + ref_prefix.len, name.len - ref_prefix.len });
    if (!is_key_name(name) || (unlinkat(local->dir, name.at, 0) != 0 && errno != ENOENT))
        return file_failed(arena, name.at, "can't be removed");
    return fsync(local->dir) == 0 ? OK : file_failed(arena, name.at, "can't be removed");
}

/* Keys in memory go on signing when their files are gone; but the next start would fail, so that is said now. */
static struct err local_check(struct signer *signer)
{
    struct signer_local *local = local_of(signer);
    struct err err = failed(ERR_UNAVAILABLE, "no signing key is loaded");
    pthread_rwlock_rdlock(&local->lock);
    for (const struct loaded *each = local->keys; each; each = each->next) {
        char name[128];
        struct stat about;
        snprintf(name, sizeof name, "signing-key-%s.pem", each->jwk->kid);
        err = fstatat(local->dir, name, &about, AT_SYMLINK_NOFOLLOW) == 0
                  ? OK
                  : failed(ERR_UNAVAILABLE, "the file of a signing key is gone");
        if (err.code)
            break;
    }
    pthread_rwlock_unlock(&local->lock);
    return err;
}

static void local_close(struct signer *signer)
{
    struct signer_local *local = local_of(signer);
    while (local->keys) {
        struct loaded *gone = local->keys;
        local->keys = gone->next;
        jwk_free(gone->jwk);
        free(gone);
    }
    pthread_rwlock_destroy(&local->lock);
    close(local->dir);
    free(local);
}

static const struct signer_ops local_ops = {
    .name = "local",
    .create = local_create,
    .adopt = local_adopt,
    .load = local_load,
    .sign = local_sign,
    .unload = local_unload,
    .dispose = local_dispose,
    .check = local_check,
    .close = local_close,
};

/* The process that a temporary key file's name ends in; 0 for any other name. */
static pid_t maker_of(struct str name)
{
    const char *dot = name.len > 0 ? memrchr(name.at, '.', name.len) : NULL;
    if (!dot || name.at[0] != '.' || !is_key_name((struct str){ name.at + 1, (size_t)(dot - name.at - 1) }))
        return 0;
    char *end = NULL;
    long pid = strtol(dot + 1, &end, 10);
    return *end == '\0' && pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* A process that was killed while it wrote a key file left a private key behind that nobody will ever use. */
static void remove_leftovers(int dir_fd)
{
    DIR *dir = open_dir(dir_fd);
    if (!dir)
        return;
    for (const struct dirent *entry; (entry = readdir(dir));) { /* NOLINT(concurrency-mt-unsafe): dir is ours */
        pid_t maker = maker_of(str_of(entry->d_name));
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
    remove_leftovers(dir);
    struct signer_local *local = mem_alloc(sizeof *local);
    *local = (struct signer_local){ .signer.ops = &local_ops, .dir = dir };
    pthread_rwlock_init(&local->lock, NULL);
    *out = &local->signer;
    return OK;
}
