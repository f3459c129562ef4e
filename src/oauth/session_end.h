/* oauth/session_end.h: the end of a session: nobody is signed in any more, its tokens are revoked by a rule, and the
 * clients that had some are told (OpenID Connect Back-Channel Logout 1.0). Its grants end with it; only when the user
 * has logged out, those with offline_access don't (section 2.7): their next tokens are of no session. */
#ifndef OAUTH_SESSION_END_H
#define OAUTH_SESSION_END_H

#include "oauth/session.h"

struct call;

enum session_end_cause {
    SESSION_LOGGED_OUT, /* by its user */
    SESSION_ENDED,      /* by an administrator: all that came of it ends */
};

/* Ends it, with what the response has to record in front of *records, and what response->announced is. What clients are
 * told lies in the store until they have taken it (oauth/backchannel.h). May wait. ERR_UNAVAILABLE. */
MUST_USE struct err session_end(struct call *call, const struct session *session, enum session_end_cause cause,
                                struct record **records, uint64_t *announced);

#endif
