/* revocation/rules.h: the set of rules in force: each refuses every token of somebody (a subject, a client, a session,
 * or all of them) that was issued at `before` or earlier. Who that is, is a SHA-256 here (revocation/rule.h): hash ->
 * before, expiry. All of it in memory; a look-up takes no lock and waits for nothing. At most 152 bytes a rule. */
#ifndef REVOCATION_RULES_H
#define REVOCATION_RULES_H

#include "base/mem.h"

struct rules;

/* How many may be made. What others made is kept in any case: it is in force. */
enum { RULES_MAX = 100000 };

struct rules *rules_new(void);
void rules_free(struct rules *set); /* NULL allowed */

/* Adds or extends; of `before` and `expires_at`, in seconds since 1970, the later ones stay. `kind` is the caller's,
 * and nothing here depends on it; 0: not known, or as it was. */
void rules_add(struct rules *set, const unsigned char hash[32], unsigned kind, int64_t before, int64_t expires_at);
/* The same of a new one, which is to outlive all that were ever added: so expiries are in the order in which rules were
 * made, whatever clocks say. Returns its expiry, `expires_at` or later. */
int64_t rules_make(struct rules *set, const unsigned char hash[32], unsigned kind, int64_t before, int64_t expires_at);
/* Whether any of the hashes has a rule that refuses what was issued at `issued_at`, when it does not come after that
 * rule: `issued_after` is later than the rule's expiry then; 0: that is not known. A rule past its expiry may still be
 * there; that does no harm, what it refused has expired. */
bool rules_cover(struct rules *set, const unsigned char (*hashes)[32], size_t count, int64_t issued_at,
                 int64_t issued_after);
/* The rule of that hash; false, and nothing written, when there is none. */
bool rules_find(struct rules *set, const unsigned char hash[32], int64_t *before, int64_t *expires_at);
/* Whether it has the rule of that hash with these times or later ones. */
bool rules_hold(struct rules *set, const unsigned char hash[32], int64_t before, int64_t expires_at);
/* The highest `before`, and the latest expiry, of all that were ever added; 0: none was. One atomic load. */
int64_t rules_latest(struct rules *set);
int64_t rules_last_expiry(struct rules *set);
/* Drops what expired before `now_s`; returns how many. */
size_t rules_purge(struct rules *set, int64_t now_s);

struct rule {
    unsigned char hash[32];
    unsigned kind;
    int64_t before, expires_at; /* s */
};
/* The next ones of a walk through all that end after `now_s`, at most `max` (at least 1), *cursor from 0 on; 0: there
 * are no more. One that is added meanwhile, or moved by an addition, may be left out or come twice. */
size_t rules_list(struct rules *set, size_t *cursor, int64_t now_s, struct rule *out, size_t max);
size_t rules_count(struct rules *set); /* one atomic load */
size_t rules_bytes(struct rules *set); /* memory held */

#endif
