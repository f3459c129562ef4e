/* oauth/session.h: users who are signed in, in a browser: an item a session, under the hash of its cookie's value. Its
 * sid is in the tokens that come of it, and is no secret; the cookie's value is. */
#ifndef OAUTH_SESSION_H
#define OAUTH_SESSION_H

#include "oauth/granted.h"
#include "service/revoke_rule.h"
#include "store/store.h"

struct call;
struct response;

enum { SESSION_CLIENTS_MAX = 64, SESSION_ALLOWED_MAX = 4096 };

/* Views. */
struct session {
    struct item item;                        /* as it was read; version 0: it is new */
    struct granted login;                    /* who it is, and how that is known; no scope, no resource */
    int64_t begun_at;                        /* s */
    int64_t idle_expires_at;                 /* s; its end unless it is used before; 0: it has none */
    struct str clients[SESSION_CLIENTS_MAX]; /* that have tokens of it: told when it ends (Back-Channel Logout) */
    struct str
        allowed[SESSION_CLIENTS_MAX]; /* the scope that the user has allowed each for as long as it lasts; "": none */
    size_t client_count;
    bool is_changed;             /* since it was read: session_store() */
    const struct item *replaces; /* the item of the same session under another cookie; NULL: none */
};

/* The session of the request's cookie. ERR_NOT_FOUND: there is none, or it has ended: by time, by a revocation rule, or
 * with its user.
 * ERR_UNAVAILABLE. */
MUST_USE struct err session_of_request(const struct call *call, struct session *out);

/* The same for a logout: one that is over by time counts too, since what came of it goes on until then. */
MUST_USE struct err session_of_logout(const struct call *call, struct session *out);

/* It was used now, which moves its idle end (TOKEN_SESSION_IDLE): by a tenth of the idle time or more, so that few uses
 * cost a write. Its tokens' use is none of its own, a refresh of its grants neither: that shows that a program runs,
 * and not that its user is there; and where the cookie isn't, the session would have to be looked for. A session whose
 * length the login has asked for (remember_for) has no idle end. */
void session_use(const struct call *call, struct session *session);

/* Whether a session that was read has ended, by time or by a revocation rule that is known here. */
bool session_is_over(const struct call *call, const struct session *session);

/* A session for who has logged in, with a cookie that nobody has seen before (so none that was planted can become
 * somebody's). When `before` is a session of the same user, it is gone on with, under the same sid; else `before`,
 * which may be NULL, is left to end. `lasts_s`: how long, and the cookie with it; 0: as the settings say, and until the
 * browser is closed. */
void session_begin(const struct call *call, struct response *response, const struct granted *login,
                   const struct session *before, int64_t lasts_s, struct session *out);

/* Notes that a client gets tokens of it. A session has room for SESSION_CLIENTS_MAX; one more is not told of its end.
 */
void session_add_client(struct session *session, struct str client_id);

/* Notes what the user allows a client for as long as the session lasts, in the place of what it was allowed before; of
 * all clients together, SESSION_ALLOWED_MAX bytes. What doesn't fit is asked again the next time. And what was noted.
 */
void session_allow(struct session *session, struct str client_id, struct str scope);
struct str session_allowed(const struct session *session, struct str client_id);

/* The records of what has changed, in front of *records. ERR_TOO_LARGE. */
MUST_USE struct err session_store(struct arena *arena, struct session *session, struct record **records);

/* Reads an item, as in a list. ERR_INTERNAL. */
MUST_USE struct err session_read(struct arena *arena, const struct item *item, struct session *out);

#endif
