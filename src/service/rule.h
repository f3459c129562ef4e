/* service/rule.h: a rule refuses more than one token: whatever was issued at its `before` or earlier to a subject, a
 * client or a session, or to anybody. One entry, however many tokens; revoke_rule.c makes them. It is known everywhere
 * by a hash: SHA-256 of "sub:", "client_id:" or "sid:" and the value, or of "all:". */
#ifndef SERVICE_RULE_H
#define SERVICE_RULE_H

#include "service/service.h"

/* The hash of a rule. `value`: the subject, client or session; of REVOKED_ALL nothing. */
void rule_hash(enum revocation_kind kind, struct str value, unsigned char out[32]);
/* The hashes of all rules that may be about a token: by its sub, its client (azp of an id token), its sid (OpenID
 * Connect Front-Channel Logout 1.0, section 3), and the one about all. */
void rule_hashes(const struct claims *claims, unsigned char out[VERIFIED_RULES][32]);
/* The same of a token that has been verified: made once, and kept with it. They lie there or in `room`. */
const unsigned char (*rule_hashes_of(struct verified *entry, unsigned char room[VERIFIED_RULES][32]))[32];

/* Whether a rule that is known here refuses the token. Never waits; one atomic load while there are no rules. */
bool rule_refuses(struct service *service, struct verified *entry);
/* The same of a token that is still to be issued: its sub, client_id, sid, iat and issued_after. */
bool rule_refuses_new(struct service *service, const struct claims *claims);
/* Whether the clock is behind rules that are known here, by more than the second in which a rule is made. Then *at is
 * the time that follows all of them, which takes the clock's place among rules: as the issued_after of a token that one
 * of them would refuse. */
bool rule_clock_is_behind(struct service *service, int64_t now_s, int64_t *at);
/* Notes such a token, before it is signed. */
void rule_note_marked(struct service *service, int64_t iat, int64_t issued_after);
/* For the start: those that were issued before it are not known, but that there may be some is. */
void rule_expect_marked(struct service *service, int64_t now_s);
/* The least `before` of a rule that refuses what was issued up to `before`, those tokens included. */
int64_t rule_before(struct service *service, int64_t before);

/* Holds in memory what the store says of one revocation, whichever kind it is. */
void revocation_hold(struct service *service, const struct revocation *revocation);

#endif
