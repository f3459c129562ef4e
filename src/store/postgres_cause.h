/* store/postgres_cause.h: why there is no connection to PostgreSQL, in words for operators. While it connects, libpq
 * has no code for it, only a message; only known parts of that are used, since it may quote the URL. */
#ifndef STORE_POSTGRES_CAUSE_H
#define STORE_POSTGRES_CAUSE_H

/* `says`: libpq's words. "the password or the user is refused"; static. Of words that are not known, a general one. */
const char *postgres_cause(const char *says);

/* Of a URL that libpq can't read: the parameter after the ? that it doesn't know; "" when that isn't the reason, or
 * when what stands there may be a part of the password. `is_known` asks libpq for a name. In static memory. */
const char *postgres_unknown_parameter(const char *url, _Bool (*is_known)(const void *arg, const char *name),
                                       const void *arg);

#endif
