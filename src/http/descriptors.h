/* http/descriptors.h: how the files that the process may have open are shared out. */
#ifndef HTTP_DESCRIPTORS_H
#define HTTP_DESCRIPTORS_H

#include "base/settings.h"

/* How many connections may be open at once: as many as the settings say, or what the limit of open files
 * (RLIMIT_NOFILE) leaves beside what is kept back for the store, keys, Redis and KMS; the log says when it is fewer.
 * Numbers of loops and workers must be settled (not 0). */
size_t descriptors_for_connections(const struct settings *settings);

#endif
