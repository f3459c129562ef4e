/* oauth/session_end.h: the end of a session: nobody is signed in any more, every token of it is revoked by one rule,
 * and the clients that had some are told (OpenID Connect Back-Channel Logout 1.0). */
#ifndef OAUTH_SESSION_END_H
#define OAUTH_SESSION_END_H

#include "oauth/session.h"

struct call;

/* Ends it, with what the response has to record in front of *records, and what response->announced is. What clients are
 * told lies in the store until they have taken it (oauth/backchannel.h). May wait. ERR_UNAVAILABLE. */
MUST_USE struct err session_end(struct call *call, const struct session *session, struct str reason,
                                struct record **records, uint64_t *announced);

#endif
