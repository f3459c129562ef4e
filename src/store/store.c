/* store/store.c: what is the same for every kind of store. */
#include "store/store.h"
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Made by root below another user's directory, it is that user's: as data_dir_give() does with files. */
static void store_give_dir(const char *dir)
{
    char text[PATH_MAX];
    struct stat parent;
    if (geteuid() != 0 || snprintf(text, sizeof text, "%s", dir) >= PATH_MAX || stat(dirname(text), &parent) != 0 ||
        parent.st_uid == 0)
        return;
    if (lchown(dir, parent.st_uid, parent.st_gid) != 0)
        return; /* it stays root's, as the service will say */
}

struct err store_make_dir(const struct settings *settings)
{
    struct stat about;
    const bool is_new = mkdir(settings->data_dir, S_IRWXU) == 0;
    if (is_new)
        store_give_dir(settings->data_dir);
    if (!is_new && errno != EEXIST)
        return failed(ERR_INVALID_REQUEST,
                      "TOKEN_DATA_DIR can't be created: does its parent exist, and is it writable?");
    if (stat(settings->data_dir, &about) != 0 || !S_ISDIR(about.st_mode))
        return failed(ERR_INVALID_REQUEST, "TOKEN_DATA_DIR is not a directory");
    return OK;
}

static const struct str kind_names[REVOCATION_KINDS] = { [REVOKED_TOKEN] = STR_INIT("token"),
                                                         [REVOKED_SUBJECT] = STR_INIT("subject"),
                                                         [REVOKED_CLIENT] = STR_INIT("client"),
                                                         [REVOKED_SESSION] = STR_INIT("session"),
                                                         [REVOKED_ALL] = STR_INIT("all") };

struct str revocation_kind_name(enum revocation_kind kind)
{
    return kind_names[kind];
}

bool revocation_kind_find(struct str name, enum revocation_kind *out)
{
    for (size_t i = 0; i < REVOCATION_KINDS; i++)
        if (str_eq(name, kind_names[i])) {
            *out = (enum revocation_kind)i;
            return true;
        }
    return false;
}

void store_closep(struct store **store)
{
    if (!*store)
        return;
    (*store)->ops->close(*store);
    *store = NULL;
}
