/* revocation/revocations.h: everything that refuses tokens before their end, and what keeps that complete: revoked
 * tokens and rules in memory (hash_set.h, rules.h), what other instances revoke, by way of Redis or of the store that
 * they share (replication.h, store_follower.h), and the feed that tells others of it (feed.h). The front of this room:
 * other rooms need this header, and rule.h and feed.h. Thread-safe. Nothing waits but what says so. */
#ifndef REVOCATION_REVOCATIONS_H
#define REVOCATION_REVOCATIONS_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache;
struct claims;
struct feed;
struct keyring;
struct record;
struct settings;
struct store;
struct verified;

struct revocations;

/* As a command has them, which ends: nothing is in memory, and nothing follows what others revoke. `cache`: the Redis
 * of all instances, NULL without one. All four must outlive it; only the feed needs `keyring`. */
struct revocations *revocations_new(const struct settings *settings, struct store *store, struct cache *cache,
                                    struct keyring *keyring);
/* A server's: from now on follows what other instances revoke, if there can be any: on threads of its own, or, for a
 * process that is frozen between calls, in each revocations_round(). */
enum follow { FOLLOW_BY_THREADS, FOLLOW_BY_ROUNDS };
MUST_USE struct err revocations_follow(struct revocations *revocations, enum follow how);
/* Reads every revocation that still matters, so that nothing is verified before they are known. Waits. ERR_UNAVAILABLE
 * when the store can't be read. */
MUST_USE struct err revocations_read(struct revocations *revocations);
/* A server's, which has read them: makes the feed, unless feed.h says why not. */
void revocations_open_feed(struct revocations *revocations);
void revocations_close(struct revocations *revocations); /* NULL allowed */

/* --- refusing ---------------------------------------------------------------------------------------------------- */

/* Whether a token that was verified is known here as revoked: by itself, with the token that it was issued with, or by
 * a rule. */
bool revocations_refuse(struct revocations *revocations, struct verified *entry);
/* Whether another instance may have revoked the token without this one knowing of it: ERR_UNAVAILABLE. A command waits,
 * and asks Redis: ERR_TOKEN_REVOKED. */
MUST_USE struct err revocations_check_elsewhere(struct revocations *revocations, struct verified *entry);
/* Whether a rule that is known here refuses a token that is still to be issued: its sub, client_id, sid, iat and
 * issued_after. */
bool revocations_refuse_new(struct revocations *revocations, const struct claims *claims);
/* Whether the clock is behind rules that are known here, by more than the second in which a rule is made. */
bool revocations_clock_is_behind(struct revocations *revocations, int64_t now_s);
/* The issued_after of a token that comes after all rules that are known here. */
int64_t revocations_after_all(struct revocations *revocations);

/* --- revoking ---------------------------------------------------------------------------------------------------- */

/* A token or a rule that this machine's clock says is over, or is not yet, is kept this long beyond that: the clock may
 * be wrong by as much. */
enum { CLOCK_DOUBT_S = 86400 };

/* A new revocation, before its record is handed to the group commit. It is in force here at once; and in Redis, if
 * there is one, when this returns OK. A rule expires later than `record` says, when it must outlive an older one: that
 * is written there. *announced is for revocations_confirm(). May wait. ERR_UNAVAILABLE: try again. */
MUST_USE struct err revocations_make(struct revocations *revocations, struct record *record, uint64_t *announced);
/* announce.c: the records are durable: whether other instances can be relied upon to know of those that are
 * revocations. In a server it never waits; a command announces them once more. ERR_UNAVAILABLE: nothing may be
 * promised; try again. `announced` 0: there was nothing to announce. */
MUST_USE struct err revocations_confirm(struct revocations *revocations, uint64_t announced,
                                        const struct record *records);

/* --- for housekeeping -------------------------------------------------------------------------------------------- */

/* Reads what is new in the store, unless another thread does; by rounds, also what other instances have revoked. May
 * wait. */
MUST_USE struct err revocations_round(struct revocations *revocations);
/* For a process that follows by rounds, before it answers: reads only what others have revoked since, which is one
 * round trip or two. Thread-safe, as revocations_round() is then. Nothing to do, and OK, where there are no others.
 * After an error nothing is known under `strict`; under `bounded` what was known stays so for its time. */
MUST_USE struct err revocations_catch_up(struct revocations *revocations);
/* What was heard may have been hours ago, since the clock stood still meanwhile: nothing is known before the next round
 * or catching up. Thread-safe. */
void revocations_doubt(struct revocations *revocations);
/* Drops from memory what was over by all clocks (wall_clock.h) at `now_s`. */
void revocations_purge(struct revocations *revocations, int64_t now_s);

/* --- telling ----------------------------------------------------------------------------------------------------- */

/* For /health/ready and /metrics; atomic loads only. */
struct revocations_state {
    bool follows;         /* what other instances revoke */
    bool follows_cache;   /* by way of Redis */
    bool is_known;        /* all that they have revoked, as far as TOKEN_REVOCATION_POLICY asks */
    double staleness_s;   /* since all of it was known last */
    bool cache_ok;        /* Redis answered last */
    const char *evicts;   /* Redis may drop keys before their end: a sentence for people, static; else NULL */
    size_t tokens, rules; /* in memory */
};
struct revocations_state revocations_state(struct revocations *revocations);
/* Memory of revoked tokens and rules, in bytes; takes the locks of those who change them. */
size_t revocations_bytes(struct revocations *revocations);
/* NULL: there is none. */
struct feed *revocations_feed(const struct revocations *revocations);

#endif
