/* oauth/password_login.h: whether somebody is who the login page says: username and password against the file of users
 * (oauth/users.h), slowed by address and by username (service/failures.h), and few at a time, since each check takes
 * tens of MiB and some 0.1 s.
 *
 * The answer, and how long it takes, is the same for a wrong password, a user who doesn't exist and one who is
 * disabled. */
#ifndef OAUTH_PASSWORD_LOGIN_H
#define OAUTH_PASSWORD_LOGIN_H

#include "oauth/users_file.h"

struct password_login;
struct settings;

/* `settings` must live as long: TOKEN_USERS_FILE, TOKEN_FAILURE_LIMIT. Thread-safe. */
struct password_login *password_login_new(const struct settings *settings);
void password_login_free(struct password_login *login); /* NULL allowed */

struct password_try {
    struct str address; /* request->peer */
    struct str username, password;
    int64_t now_ms; /* of clock_coarse_ms() */
};

/* On a worker. OK: *out is the user, in the arena. ERR_NOT_FOUND: the username or the password is wrong, and that is
 * all that anybody is told. ERR_TOO_MANY_REQUESTS: nothing was looked at, *wait_s says for how long. ERR_UNAVAILABLE:
 * the file can't be used, or too many log in at this moment. */
MUST_USE struct err password_login_check(struct password_login *login, struct arena *arena,
                                         const struct password_try *try, struct user *out, int64_t *wait_s);

/* Whether somebody who logged in earlier is still one of the users, and not disabled: then OK, and *out is what the
 * file says now. Else ERR_NOT_FOUND; ERR_UNAVAILABLE. */
MUST_USE struct err password_login_find(struct password_login *login, struct arena *arena, struct str subject,
                                        struct user *out);

/* What such a user is called, for the user's own eyes: the username, or the subject of whom the file doesn't know.
 * `login` may be NULL. */
struct str password_login_name(struct password_login *login, struct arena *arena, struct str subject);

#endif
