/* revocation/rules.h: the rules in force: each refuses every token of its target (a subject, a client, a session, or
 * everybody) that was issued at `before` or earlier. The target is a SHA-256 here (revocation/rule.h). */
#ifndef REVOCATION_RULES_H
#define REVOCATION_RULES_H

#include "revocation/hash_set.h"

struct rules;

/* How many may be made, and how many of them about sessions: each logout makes one, so users alone, or one who signs in
 * and out for days, must not take the room that an administrator needs. What others made is kept in any case: it is in
 * force. */
enum { RULES_MAX = 1000000, RULES_OF_SESSIONS_MAX = RULES_MAX / 10 * 9 };

struct rules *rules_new(void);
void rules_free(struct rules *rules); /* NULL allowed */

/* All rules, to look up, list and purge; add only by the functions below. */
struct hash_set *rules_set(const struct rules *rules);

/* Adds or extends: of `before` and `expires_at` the later ones stay. */
void rules_add(struct rules *rules, const unsigned char hash[32], struct hash_value rule);
/* The same of a new one, which is to outlive all that were ever added: so expiries are in the order in which rules were
 * made, whatever clocks say. Returns its expiry, rule.expires_at or later. */
int64_t rules_make(struct rules *rules, const unsigned char hash[32], struct hash_value rule);
/* Whether any of the hashes has a rule that refuses what was issued at `issued_at`, when it does not come after that
 * rule: `issued_after` is later than the rule's expiry then; 0: that is not known. */
bool rules_cover(const struct rules *rules, const unsigned char (*hashes)[32], size_t count, int64_t issued_at,
                 int64_t issued_after);
/* The highest `before`, and the latest expiry, of all that were ever added; 0: none was. One atomic load. */
int64_t rules_latest(struct rules *rules);
int64_t rules_last_expiry(struct rules *rules);

#endif
