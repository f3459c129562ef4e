/* base/durable_file.h: small files that are there whole, and on disk, or not at all. */
#ifndef BASE_DURABLE_FILE_H
#define BASE_DURABLE_FILE_H

#include "base/mem.h"

/* Writes the file `name` of the directory open as `dir`, mode 0600, in the place of one that is there. False, with
 * errno, when it can't. A process that is killed meanwhile leaves ".NAME.PID" behind. */
bool durable_file_write(int dir, const char *name, struct str bytes);

#endif
