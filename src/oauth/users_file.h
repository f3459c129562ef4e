/* oauth/users_file.h: the users of the built-in login, as their file holds them: a JSON array with an object for each.
 *
 *     [
 *     {"subject":"…","username":"…","password_hash":"$scrypt$…","claims":{"name":"…"},"disabled":false}
 *     ]
 *
 * Pure: bytes in, bytes out; oauth/users.h has the file itself. Fuzzed: tests/fuzz/users.c. */
#ifndef OAUTH_USERS_FILE_H
#define OAUTH_USERS_FILE_H

#include "base/mem.h"

enum { USERS_MAX = 10000, USERS_FILE_MAX = 4 * 1024 * 1024, USER_NAME_MAX = 255, USER_CLAIMS_MAX = 16 * 1024 };

struct user {
    struct str subject;       /* the sub of tokens: 1 to 255 visible ASCII characters, never given to anybody else */
    struct str username;      /* what the user types: compared byte by byte */
    struct str password_hash; /* jose/password.h */
    struct str claims;        /* a JSON object of standard claims (oauth/standard_claims.h); "{}": none */
    bool is_disabled;
};

struct user_list {
    struct user *at; /* by username; with room for one more */
    size_t count;
};

/* Whether a text may be a username: 1 to 255 bytes of UTF-8, without control characters, and without a space at its
 * begin or end, which nobody sees. Whether one may be a subject. */
bool user_name_is_fit(struct str username);
bool user_subject_is_fit(struct str subject);

/* Reads the file's text. What is found is copied into the arena, sorted by username. ERR_INVALID_REQUEST, with a
 * sentence in the arena that says which user is at fault and why: anything that users_write() would not write, apart
 * from white space and the order; a username or a subject that occurs twice; more than the maxima above. */
MUST_USE struct err users_read(struct arena *arena, struct str text, struct user_list *out);

/* The text of a list; overflows (buf.overflowed) beyond the buf's maximum. */
void users_write(struct buf *out, const struct user_list *list);

/* NULL: there is none. */
struct user *user_named(const struct user_list *list, struct str username);
struct user *user_of_subject(const struct user_list *list, struct str subject);

#endif
