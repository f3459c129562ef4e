/* service/revoke_rule.h: a revocation rule that an operation makes, and until when a revocation of many tokens matters.
 */
#ifndef SERVICE_REVOKE_RULE_H
#define SERVICE_REVOKE_RULE_H

#include "store/store.h"

struct call;

/* The longest that a user stays signed in (oauth/session.h), whatever is set or a login says. */
enum { SESSION_LASTING_MAX_S = 365 * 24 * 3600 };

/* Revokes everything that was issued up to now to a subject or client; of a session, which is over with that, whatever
 * is issued at this moment as well, also by a clock that is ahead by as much as clocks may differ. The rule is in force
 * here when this returns; *out is its record, for the response, and *announced is response->announced. May wait.
 * ERR_UNAVAILABLE. */
MUST_USE struct err rule_revoke(struct call *call, enum revocation_kind kind, struct str target, struct str reason,
                                struct record **out, uint64_t *announced);

/* Of a rule about a session, which is in force: a second one for the session's grants that its logout leaves alone
 * (rule_offline_target()), behind it in its list. In force, and announced with it, when this returns. May wait.
 * ERR_UNAVAILABLE. */
MUST_USE struct err rule_revoke_offline(struct call *call, struct record *rule, uint64_t *announced);

/* When no caller accepts any token any more that this service issued up to `until_s`, whatever lifetimes the settings
 * and clients have had. May wait. ERR_UNAVAILABLE. */
MUST_USE struct err rule_end_of_tokens(struct call *call, int64_t until_s, int64_t *out);

#endif
