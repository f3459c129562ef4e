/* store/data_dir.h: whether only this user can reach the data directory and the service's files in it. Orchestrators
 * open them to a group at each start (fsGroup of Kubernetes): that is undone. Files that everybody can reach may have
 * been read or changed already: those a person has to examine.
 *
 * Two servers on one data directory would not learn of each other's revocations in time, so a server locks it. */
#ifndef STORE_DATA_DIR_H
#define STORE_DATA_DIR_H

#include "base/mem.h"

/* Looks at `dir` and at the database, its side files, key files and lock in it. ERR_INVALID_REQUEST, with a sentence in
 * the arena that names the file and says what to do, when everybody may write to the directory, or reach a file at all,
 * or a group a file of another user's. With `mend`, the group's rights to what is this user's own are taken off, and
 * the log says so (`group_rights_removed`). A directory that isn't there is good. */
MUST_USE struct err data_dir_check(struct arena *arena, const char *dir, bool mend);

/* Gives files that root made in another user's directory to that user: a command that an administrator runs must leave
 * nothing behind that the service can't open. Only files of the service that belong to root, are regular files and have
 * one name. Does nothing unless this is root. */
void data_dir_give(const char *dir);
/* The same of one file of the directory that is open as `dir_fd`. */
void data_dir_give_file(int dir_fd, const char *name);

/* Takes the lock; *out is its descriptor, and closing that gives it back. ERR_INVALID_REQUEST: another process has it,
 * or its file, the first in an empty directory, can't be made. */
MUST_USE struct err data_dir_lock(const char *dir, int *out);
/* Whether a server has it. */
bool data_dir_is_locked(const char *dir);

#endif
