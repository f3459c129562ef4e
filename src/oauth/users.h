/* oauth/users.h: the file of the built-in login's users (TOKEN_USERS_FILE): read when it has changed, changed under a
 * lock, replaced whole. Its text: oauth/users_file.h. For small sites and for development; a larger site has a login of
 * its own (LOGIN_URL).
 *
 * The server only reads it. A file that can't be used lets nobody in: the one before it may have had somebody in it who
 * was removed since. */
#ifndef OAUTH_USERS_H
#define OAUTH_USERS_H

#include "oauth/users_file.h"

struct settings;
struct users;

/* Nothing is read yet. `settings` must live as long. Thread-safe. */
struct users *users_new(const struct settings *settings);
void users_free(struct users *users); /* NULL allowed */

/* Copies a user into the arena, disabled ones too. ERR_NOT_FOUND; ERR_UNAVAILABLE while the file can't be used, which
 * the log explains. A file that isn't there has no users. */
MUST_USE struct err users_find(struct users *users, struct arena *arena, struct str username, struct user *out);
MUST_USE struct err users_find_subject(struct users *users, struct arena *arena, struct str subject, struct user *out);

/* A password hash to be checked in vain for a username that nobody has, so that the answer takes as long as for one
 * that somebody has: that of one of the users, always the same one for a name, since their hashes may differ in cost.
 * In the arena, or static. */
struct str users_decoy(struct users *users, struct arena *arena, struct str username);

/* --- for the command line ---------------------------------------------------------------------------------------- */

/* Reads the file. ERR_INVALID_REQUEST with a sentence in the arena: it can't be used. */
MUST_USE struct err users_list(const struct settings *settings, struct arena *arena, struct user_list *out);

/* What is done to the list: at most one user more. An error leaves the file as it is. */
typedef struct err users_change(void *context, struct arena *arena, struct user_list *list);

/* Reads the file, or begins with no user, has `change` change the list, and replaces the file (mode 0600); on disk when
 * this returns OK. Two that change at once wait for each other, some seconds at most: then ERR_UNAVAILABLE. What
 * users_read() would refuse is not written: ERR_INVALID_REQUEST. Makes the data directory, if the file belongs there.
 */
MUST_USE struct err users_alter(const struct settings *settings, struct arena *arena, users_change *change,
                                void *context);

#endif
