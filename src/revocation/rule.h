/* revocation/rule.h: a rule refuses more than one token: every token issued at its `before` or earlier to one subject,
 * client or session, or to anybody. It is one entry for any number of tokens; service/revoke_rule.c makes them. A hash
 * identifies it everywhere: SHA-256 of "sub:", "client_id:" or "sid:" and the value, or of "all:".
 *
 * A machine whose clock was set back issues tokens with an iat before rules that already exist. So the order of rules
 * does not depend on a clock: each new rule expires later than all that its maker knows (rules_make()), and a token
 * that one of them would refuse only for its iat says in issued_after, a number above all their expiries, that it was
 * issued later. Only a rule that was made after it, and so expires at that time or later, refuses it. */
#ifndef REVOCATION_RULE_H
#define REVOCATION_RULE_H

#include "cache/verified.h"
#include "store/store.h"

struct rules;

/* The hash of a rule. `value`: the subject, client or session; of REVOKED_ALL nothing. */
void rule_hash(enum revocation_kind kind, struct str value, unsigned char out[32]);
/* The hashes of all rules that may apply to a token: by its sub, its client (azp of an id token), its sid (OpenID
 * Connect Front-Channel Logout 1.0, section 3), by the subject and session behind a sub and a sid that only its client
 * knows (`sealed`: two hashes, or NULL), and the one for all tokens. The last one and those after it may also apply to
 * the token that it was issued with, whose client is its subject too. */
enum { RULE_OF_ALL = 5, RULES_OF_TOKEN = RULE_OF_ALL + 1, RULES_OF_PARENT = VERIFIED_RULES - RULE_OF_ALL };
void rule_hashes(const struct claims *claims, const unsigned char (*sealed)[32], unsigned char out[VERIFIED_RULES][32]);
/* What a rule names that is about the grants of a session which outlive its logout (offline_access): a session as well,
 * of a name that no session has. No token says it; oauth/grant.h asks for it. */
struct str rule_offline_target(struct arena *arena, struct str sid);
/* The same of a token that has been verified: made once, and kept with it. They lie there or in `room`. */
const unsigned char (*rule_hashes_of(struct verified *entry, unsigned char room[VERIFIED_RULES][32]))[32];

/* Whether a rule that is known here refuses the token. Never waits; one atomic load while there are no rules. */
bool rule_refuses(struct rules *rules, struct verified *entry);
/* The same of a token that is still to be issued: its sub, client_id, sid, iat and issued_after. */
bool rule_refuses_new(struct rules *rules, const struct claims *claims);

#endif
