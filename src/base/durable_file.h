/* base/durable_file.h: small files that are complete and on disk, or do not exist. */
#ifndef BASE_DURABLE_FILE_H
#define BASE_DURABLE_FILE_H

#include "base/mem.h"

/* Writes the file `name` of the directory open as `dir`, mode 0600, and replaces an existing one. False, with errno,
 * when that fails. A process that is killed while writing leaves ".NAME.PID" behind. */
bool durable_file_write(int dir, const char *name, struct str bytes);

#endif
