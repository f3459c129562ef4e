/* store/identity.h: which database belongs to the keys of a data directory. The database has an id, and a file beside
 * the keys, `database-id`, says the same. A database that was lost, or is another one, has forgotten what was revoked:
 * with the old keys beside it, all of that would be good again. */
#ifndef STORE_IDENTITY_H
#define STORE_IDENTITY_H

#include "base/mem.h"

enum { IDENTITY_LEN = 32 }; /* hexadecimal digits */

/* Whether a new database may begin in `dir`: ERR_INVALID_REQUEST, with a sentence that says how to go on, when keys or
 * the id of another one are there already. Changes nothing. */
MUST_USE struct err identity_may_begin(const char *dir);
/* Holds the id of the database in `dir` to what lies beside the keys: the same error when it is another one. Where
 * there is no such file yet (a first start, or a directory of before), it is written, and durable. */
MUST_USE struct err identity_check(const char *dir, struct str id);
/* The same for a shared database; but where no key files are, nothing is looked at or written: keys may be in AWS KMS.
 */
MUST_USE struct err identity_check_shared(const char *dir, struct str id);

#endif
