/* store/store.c: what is the same for every kind of store. */
#include "store/store.h"
#include <errno.h>
#include <sys/stat.h>

struct err store_make_dir(const struct settings *settings)
{
    struct stat about;
    if (mkdir(settings->data_dir, S_IRWXU) != 0 && errno != EEXIST)
        return failed(ERR_INVALID_REQUEST, "TOKEN_DATA_DIR can't be made: is its parent there, and writable?");
    if (stat(settings->data_dir, &about) != 0 || !S_ISDIR(about.st_mode))
        return failed(ERR_INVALID_REQUEST, "TOKEN_DATA_DIR is no directory");
    return OK;
}

void store_closep(struct store **store)
{
    if (!*store)
        return;
    (*store)->ops->close(*store);
    *store = NULL;
}
